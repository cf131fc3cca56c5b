"""The command lines of the registry, etcd and Kubernetes' own programs."""

import urllib.request
from pathlib import Path

from tests.cluster import network
from tests.cluster.paths import Instance, binaries, minor, write
from tests.cluster.processes import start
from tests.cluster.wait import eventually


def start_registry(instance: Instance) -> None:
    config = f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{instance.state}/registry"}}}}
http: {{addr: "{instance.registry}"}}
"""
    start(instance, "registry", "docker-registry", "serve", write(instance.state / "registry.yml", config))
    eventually(lambda: answers(f"http://{instance.registry}/v2/"), "the registry", 30)


def answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def start_api(instance: Instance, pki: Path) -> None:
    etcd, peer = (f"http://127.0.0.1:{instance.port(n)}" for n in (2, 3))
    start(
        instance,
        "etcd",
        binaries() / "etcd",
        f"--data-dir={instance.state}/etcd",
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={peer}",
        "--unsafe-no-fsync",
    )
    start(
        instance,
        "kube-apiserver",
        binaries() / "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--secure-port={instance.port(1)}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={network.HOST}",
        f"--tls-cert-file={pki}/api.crt",
        f"--tls-private-key-file={pki}/api.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={pki}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--allow-privileged",
        "--kubelet-preferred-address-types=InternalIP",
    )


def controllers() -> tuple[str, ...]:
    """All but those for clouds and pod networks. From 1.37 on the manager knows no controllers for clouds, and refuses to start
    where one is named."""
    for_clouds = ("-cloud-node-lifecycle", "-route", "-service") if minor() < 37 else ()
    return ("*", "-nodeipam", "-ttl", *for_clouds)


def start_controllers(instance: Instance, pki: Path, kubeconfig: Path, lock: tuple[int, ...]) -> None:
    """kube-proxy inherits the machine's lock, if it is to outlive us: what it writes is what the lock protects."""
    start(
        instance,
        "kube-controller-manager",
        binaries() / "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--controllers={','.join(controllers())}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    )
    start(
        instance,
        "kube-scheduler",
        binaries() / "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
    )
    start(
        instance,
        "kube-proxy",
        binaries() / "kube-proxy",
        f"--kubeconfig={kubeconfig}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={network.PODS}",
        "--hostname-override=node1",
        "--conntrack-max-per-core=0",
        f"--metrics-bind-address=127.0.0.1:{instance.port(5)}",
        f"--healthz-bind-address=127.0.0.1:{instance.port(6)}",
        keep=lock,
    )
