"""The machine's share of the cluster network: a sink for cluster addresses, and the removal of what the cluster made."""

from pathlib import Path

from tests.cluster.processes import run

SINK = "ipt-sink"
SERVICES, PODS = "10.96.0.0/16", "10.244.0.0/16"
HOST = "10.244.0.1"  # the nodes' address: on the sink, so that neither kubelets nor pods can be reached from outside


def bridge(node: int) -> str:
    return f"ipt-node{node}"


def add_sink() -> None:
    """Cluster addresses that nobody claims must die here and never leave by the default route."""
    run("ip", "link", "add", SINK, "type", "bridge")
    run("ip", "link", "set", SINK, "up")
    run("ip", "address", "add", f"{HOST}/32", "dev", SINK)
    for net in (SERVICES, PODS):
        run("ip", "route", "add", net, "dev", SINK)


def remove() -> None:
    """Bridges, sink (its routes go with it) and kube-proxy's tables."""
    for family in ("ip", "ip6"):
        run("nft", "delete", "table", family, "kube-proxy", check=False)
    for link in Path("/sys/class/net").glob("ipt-*"):
        run("ip", "link", "delete", link.name, check=False)
