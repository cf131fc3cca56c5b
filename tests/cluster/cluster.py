"""One running instance, as the tests see it."""

import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import images, lock, network, pki
from tests.cluster.binaries import build
from tests.cluster.cleanup import down, sweep
from tests.cluster.control_plane import answers, start_api, start_controllers, start_registry
from tests.cluster.node import start_node
from tests.cluster.paths import Instance, binaries, cache, write
from tests.cluster.processes import ClusterError, environment, recorded
from tests.cluster.program import push_program
from tests.cluster.wait import eventually

TOOLS = ("containerd", "runc", "docker-registry", "skopeo", "openssl", "nft", "conntrack", "ip")


@dataclass(frozen=True)
class Cluster:
    """Plain strings only, so that it can be handed to another process (see `describe`)."""

    name: str
    nodes: int
    server: str
    ca: str
    token: str
    viewer_token: str
    registry: str
    kubeconfig: str

    @classmethod
    def up(cls, name: str, nodes: int = 2, index: int = 0, *, owned: bool = False) -> "Cluster":
        """Start a fresh instance. An owned one is this process's: when it dies, the next `up` sweeps the instance away."""
        check_tools()
        build()
        instance = Instance(name, index)
        if not owned and recorded(instance) and lock.holder() == name:
            down(instance)  # "up" again means a restart; it would wait for itself
        fd = lock.acquire(name)
        sweep()
        check_ports(instance)
        shutil.rmtree(instance.state, ignore_errors=True)
        instance.state.mkdir(parents=True)
        instance.run.mkdir(parents=True)
        (instance.run / "state").symlink_to(instance.state)
        try:
            cluster = cls._start(instance, nodes, () if owned else (fd,))
        except (AssertionError, ClusterError) as error:
            logs = shutil.copytree(instance.state / "logs", cache() / "failed" / name, dirs_exist_ok=True)
            down(instance)
            raise ClusterError(f"{error}\nthe programs' logs: {logs}") from error
        write(instance.state / "cluster.json", cluster.describe()).chmod(0o600)
        if not owned:
            lock.release(name)
        return cluster

    @classmethod
    def load(cls, name: str) -> "Cluster":
        """An instance that already runs."""
        try:
            return cls.parse((Instance(name).state / "cluster.json").read_text())
        except FileNotFoundError:
            raise ClusterError(f"no instance {name!r} runs; start it with: python -m tests.cluster up --name {name}") from None

    @classmethod
    def parse(cls, described: str) -> "Cluster":
        return cls(**json.loads(described))

    def describe(self) -> str:
        return json.dumps(self.__dict__)

    def down(self) -> None:
        down(Instance(self.name))

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002 as in subprocess.run
        """Standard output of kubectl; with `check` a failure raises with what kubectl said."""
        done = subprocess.run(
            [str(binaries() / "kubectl"), *args],
            env={**environment(), "KUBECONFIG": self.kubeconfig, "KUBECACHEDIR": f"{Instance(self.name).state}/kubectl"},
            input=input or "",
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            raise ClusterError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def image(self, ref: str, version: str) -> str:
        """Push a test image and return its full name."""
        return images.push(self.registry, ref, version)

    def program(self) -> str:
        """Push the project's own image, made from this checkout, and return its full name."""
        return push_program(self.registry)

    def kubeconfig_for(self, token: str, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig for another user of this cluster, or with another namespace."""
        return pki.kubeconfig(path, self.server, Path(self.ca), token, namespace)

    def add_node(self, number: int) -> None:
        """One more, for a test of its own (see `node.taint`), which may do with it as it likes. It ends with the cluster."""
        name = f"node{number}"
        if not self.kubectl("get", "node", name, "--ignore-not-found"):
            start_node(Instance(self.name), number, Path(self.kubeconfig), reserved=True)
        eventually(lambda: self.is_ready(name), name, 60)

    def signal_kubelet(self, number: int, sent: signal.Signals) -> None:
        """SIGSTOP makes the node fall silent: its containers go on, and nobody hears of them. SIGCONT ends that."""
        os.kill(int((Instance(self.name).run / f"kubelet{number}.pid").read_text().split()[0]), sent)

    def is_ready(self, node: str) -> bool:
        path = "-o=jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.kubectl("get", "node", node, path, check=False) == "True"

    @classmethod
    def _start(cls, instance: Instance, nodes: int, lock_fds: tuple[int, ...]) -> "Cluster":
        keys, tokens = pki.keys(instance), pki.tokens(instance)
        server, ca = f"https://127.0.0.1:{instance.port(1)}", keys / "ca.crt"
        config = pki.kubeconfig(instance.state / "admin.kubeconfig", server, ca, tokens["admin"])
        cluster = cls(instance.name, nodes, server, str(ca), tokens["admin"], tokens["viewer"], instance.registry, str(config))
        network.add_sink()
        start_api(instance, keys)
        start_registry(instance)
        cluster.image("pause:1", "mute")
        eventually(lambda: cluster.kubectl("get", "--raw", "/readyz", check=False) == "ok", "the API server", 60)
        start_controllers(instance, keys, config, lock_fds)
        for number in range(1, nodes + 1):
            start_node(instance, number, config)
            # One after the other: all bind one socket for device plugins, and of two that do so at once one ends.
            eventually(lambda name=f"node{number}": cluster.is_ready(name), f"node{number}", 60)  # type: ignore[misc]
        eventually(lambda: answers(f"http://127.0.0.1:{instance.port(6)}/healthz"), "kube-proxy", 60)
        eventually(
            lambda: cluster.kubectl("get", "serviceaccount", "default", "--ignore-not-found"), "the default service account", 30
        )
        return cluster


def check_tools() -> None:
    if absent := [t for t in TOOLS if not shutil.which(t)]:
        raise ClusterError(f"not installed: {', '.join(absent)} (.ci/run installs all that the cluster needs)")


def check_ports(instance: Instance) -> None:
    for offset in (1, 2, 3, 4, 5, 6):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", instance.port(offset)))
            except OSError:
                raise ClusterError(f"port {instance.port(offset)} is in use; choose another index") from None
