"""What end-to-end tests are written with: manifests, conditions to wait for, snapshots, and a client that counts failures."""

import json
from collections.abc import Callable
from typing import Any

from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.e2e.prober import Prober
from tests.recorder import Object
from tests.scenarios.manifests import (
    GATE,
    container,
    daemonset,
    deployment,
    job,
    pod,
    replicaset,
    service,
    statefulset,
    template,
)
from tests.scenarios.stage import Probe

__all__ = [
    "GATE",
    "Object",
    "Probe",
    "Prober",
    "container",
    "daemonset",
    "deployment",
    "eventually",
    "job",
    "pod",
    "replicaset",
    "service",
    "statefulset",
    "template",
]


def apply(cluster: Cluster, ns: str, *objects: Object) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("-n", ns, "apply", "-f-", input=json.dumps(listed))


def get(cluster: Cluster, ns: str, reference: str) -> Object:
    """One object, for instance `deploy/web`."""
    found: Object = json.loads(cluster.kubectl("-n", ns, "get", reference, "-o", "json"))
    return found


def pods(cluster: Cluster, ns: str, selector: str = "") -> list[Object]:
    """The living pods."""
    items = json.loads(cluster.kubectl("-n", ns, "get", "pods", "-l", selector, "-o", "json"))["items"]
    return [p for p in items if "deletionTimestamp" not in p["metadata"]]


def condition(obj: Object, kind: str) -> str | None:
    found = [c["status"] for c in obj.get("status", {}).get("conditions") or [] if c["type"] == kind]
    return str(found[0]) if found else None


def open_gates(cluster: Cluster, ns: str, selector: str = "", gate: str = GATE, status: str = "True") -> None:
    """Set the gate of every selected pod by hand; a status of False closes them."""
    for each in pods(cluster, ns, selector):
        if condition(each, gate) != status:
            patch = json.dumps({"status": {"conditions": [{"type": gate, "status": status}]}})
            name = each["metadata"]["name"]
            cluster.kubectl("-n", ns, "patch", "pod", name, "--subresource=status", "--type=strategic", "-p", patch)


def deploy(cluster: Cluster, ns: str, *objects: Object, count: int, gate: str | None = GATE, selector: str = "") -> None:
    """Apply, open gates as pods come, and wait until `count` pods are Ready and every Service's slices say so."""
    apply(cluster, ns, *objects)
    services = sum(1 for o in objects if o["kind"] == "Service")

    def ready() -> bool:
        if gate:
            open_gates(cluster, ns, selector, gate)
        found = pods(cluster, ns, selector)
        sent_to = sum(1 for e in endpoints(cluster, ns) if e["conditions"].get("ready") is not False)
        return sum(1 for p in found if condition(p, "Ready") == "True") == len(found) == count and sent_to >= count * bool(
            services
        )

    eventually(ready, f"{count} pods in {ns} Ready")


def endpoints(cluster: Cluster, ns: str) -> list[Object]:
    slices = json.loads(cluster.kubectl("-n", ns, "get", "endpointslices", "-o", "json"))["items"]
    return [e for s in slices for e in s.get("endpoints") or []]


def of_each(cluster: Cluster, ns: str, selector: str, fact: Callable[[Object], Any]) -> dict[str, Any]:
    return {p["metadata"]["name"]: fact(p) for p in pods(cluster, ns, selector)}


def uids(cluster: Cluster, ns: str, selector: str = "") -> dict[str, str]:
    """By pod name."""
    return of_each(cluster, ns, selector, lambda p: p["metadata"]["uid"])


def ips(cluster: Cluster, ns: str, selector: str = "") -> dict[str, str]:
    """By pod name."""
    return of_each(cluster, ns, selector, lambda p: p["status"].get("podIP"))


def restarts(cluster: Cluster, ns: str, selector: str = "") -> dict[str, dict[str, int]]:
    """Restart counts by pod name and container name, sidecars included."""
    return of_each(cluster, ns, selector, lambda p: {s["name"]: s["restartCount"] for s in container_statuses(p)})


def images(cluster: Cluster, ns: str, selector: str = "") -> dict[str, dict[str, str]]:
    """What each pod's spec asks for, by pod name and container name."""
    listed: Callable[[Object], Any] = lambda p: p["spec"]["containers"] + p["spec"].get("initContainers", [])  # noqa: E731
    return of_each(cluster, ns, selector, lambda p: {c["name"]: c["image"] for c in listed(p)})


def container_statuses(obj: Object) -> list[Object]:
    status = obj["status"]
    return [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]


def service_ip(cluster: Cluster, ns: str, name: str) -> str:
    return str(get(cluster, ns, f"service/{name}")["spec"]["clusterIP"])
