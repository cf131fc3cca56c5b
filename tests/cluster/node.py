"""One node: a containerd and a kubelet with folders, sockets, cgroup and pod network of its own."""

import json
from pathlib import Path

from tests.cluster import network
from tests.cluster.paths import Instance, binaries, write
from tests.cluster.processes import start
from tests.cluster.wait import eventually

CGROUPS = Path("/sys/fs/cgroup")

CONTAINERD = """version = 2
root = "{folder}/containerd"
state = "{sockets}/state"
[grpc]
  address = "{sockets}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{registry}/pause:1"
  disable_apparmor = true
  # without CAP_SYS_RESOURCE runc may not lower oom_score_adj
  restrict_oom_score_adj = true
  # so that a killed run's network namespaces are found
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      Root = "{sockets}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."{registry}"]
    endpoint = ["http://{registry}"]
"""


def cgroup_roots() -> list[Path]:
    """One hierarchy per controller in version 1, a single one in version 2."""
    return [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [p for p in CGROUPS.iterdir() if p.is_dir()]


def start_node(instance: Instance, number: int, kubeconfig: Path, *, reserved: bool = False) -> None:
    """Reserved: it takes only pods that tolerate `taint(number)`."""
    folder, sockets = instance.state / f"node{number}", instance.run / f"node{number}"
    make_cgroups(instance.cgroup(number))
    write(folder / "cni" / "10-bridge.conflist", json.dumps(pod_network(number, folder)))
    containerd = CONTAINERD.format(folder=folder, sockets=sockets, registry=instance.registry)
    config = write(folder / "containerd.toml", containerd)
    taints = {"registerWithTaints": [taint(number)]} if reserved else {}
    kubelet = write(folder / "kubelet.yaml", json.dumps({**kubelet_config(instance, number, folder), **taints}))
    start(instance, f"containerd{number}", "containerd", "-c", config)
    eventually((sockets / "containerd.sock").exists, f"containerd of node {number}", 30)
    start(
        instance,
        f"kubelet{number}",
        binaries() / "kubelet",
        f"--kubeconfig={kubeconfig}",
        f"--config={kubelet}",
        f"--root-dir={folder}/kubelet",
        f"--cert-dir={folder}/pki",
        f"--hostname-override=node{number}",
        f"--node-ip={network.HOST}",
    )


def taint(number: int) -> dict[str, str]:
    return {"key": "inplace-test/node", "value": f"node{number}", "effect": "NoSchedule"}


def make_cgroups(name: str) -> None:
    for root in cgroup_roots():
        (root / name).mkdir(exist_ok=True)
    cpuset = CGROUPS / "cpuset"
    for file in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts a cgroup with none of them
        if (cpuset / file).exists():
            (cpuset / name / file).write_text((cpuset / file).read_text())


def pod_network(number: int, folder: Path) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": f"{folder}/ipam",
        "ranges": [[{"subnet": f"10.244.{number}.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "bridge", "bridge": network.bridge(number), "isGateway": True, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": f"node{number}", "plugins": [plugin]}


def kubelet_config(instance: Instance, number: int, folder: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{instance.cgroup(number)}",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "address": network.HOST,
        "port": instance.port(10 + 2 * number),
        "healthzPort": instance.port(11 + 2 * number),
        "readOnlyPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{instance.run}/node{number}/containerd.sock",
        "podLogsDir": f"{folder}/pod-logs",  # in a shared folder kubelets remove each other's
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        "maxPods": 200,
    }
