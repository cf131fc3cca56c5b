"""What end-to-end tests are written with: manifests, conditions to wait for, snapshots, and a client that counts failures."""

import json
from collections.abc import Callable
from typing import Any

from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.e2e.prober import Probe, Prober

__all__ = ["GATE", "Object", "Probe", "Prober", "eventually"]

Object = dict[str, Any]
GATE = "inplace.dev/ready"


def container(
    name: str,
    image: str,
    *,
    port: int = 8080,
    boot: float = 0,
    readiness: bool = True,
    startup: bool = False,
    liveness: bool = False,
    pre_stop: str | None = None,
    sidecar: bool = False,
) -> Object:
    """A container of the test image that listens on `port` after `boot` seconds."""
    patient = {"httpGet": {"port": port}, "periodSeconds": 1, "failureThreshold": 60}
    env = [{"name": "BOOT", "value": str(boot)}, {"name": "PORT", "value": str(port)}]
    made: Object = {"name": name, "image": image, "env": env, "ports": [{"containerPort": port}]}
    for kind, wanted in (("readinessProbe", readiness), ("startupProbe", startup), ("livenessProbe", liveness)):
        if wanted:
            made[kind] = {**patient, "failureThreshold": 1} if kind == "readinessProbe" else patient
    if pre_stop:
        made["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", pre_stop]}}}
    if sidecar:
        made["restartPolicy"] = "Always"
    return made


def template(name: str, containers: str | list[Object], *, gate: str | None = GATE, **pod_spec: Any) -> Object:
    """A pod template. An image alone stands for one container `app` with a readiness probe."""
    listed = [container("app", containers)] if isinstance(containers, str) else containers
    spec: Object = {"containers": [c for c in listed if "restartPolicy" not in c], **pod_spec}
    if sidecars := [c for c in listed if "restartPolicy" in c]:
        spec["initContainers"] = [*sidecars, *pod_spec.get("initContainers", [])]
    if gate:
        spec["readinessGates"] = [{"conditionType": gate}]
    return {"metadata": {"labels": {"app": name}}, "spec": spec}


def workload(kind: str, name: str, containers: str | list[Object], gate: str | None, pod_spec: Object, spec: Object) -> Object:
    body = {
        "selector": {"matchLabels": {"app": name}},
        "template": template(name, containers, gate=gate, **pod_spec),
        **{k: v for k, v in spec.items() if v is not None},
    }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def deployment(
    name: str,
    containers: str | list[Object],
    *,
    replicas: int = 3,
    gate: str | None = GATE,
    min_ready_seconds: int = 0,
    revision_history_limit: int | None = None,
    strategy: Object | None = None,
    **pod_spec: Any,
) -> Object:
    spec = {
        "replicas": replicas,
        "minReadySeconds": min_ready_seconds,
        "revisionHistoryLimit": revision_history_limit,
        "strategy": strategy,
    }
    return workload("Deployment", name, containers, gate, pod_spec, spec)


def statefulset(
    name: str,
    containers: str | list[Object],
    *,
    replicas: int = 3,
    gate: str | None = GATE,
    parallel: bool = False,
    **pod_spec: Any,
) -> Object:
    """Its pods' gates must be opened one after the other unless parallel: use `deploy`. Make a Service of the name too."""
    spec = {"replicas": replicas, "serviceName": name, "podManagementPolicy": "Parallel" if parallel else "OrderedReady"}
    return workload("StatefulSet", name, containers, gate, pod_spec, spec)


def daemonset(name: str, containers: str | list[Object], *, gate: str | None = GATE, **pod_spec: Any) -> Object:
    return workload("DaemonSet", name, containers, gate, pod_spec, {})


def replicaset(
    name: str, containers: str | list[Object], *, replicas: int = 3, gate: str | None = GATE, **pod_spec: Any
) -> Object:
    return workload("ReplicaSet", name, containers, gate, pod_spec, {"replicas": replicas})


def pod(name: str, containers: str | list[Object], *, gate: str | None = GATE, **pod_spec: Any) -> Object:
    made = template(name, containers, gate=gate, **pod_spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **made["metadata"]}, "spec": made["spec"]}


def job(name: str, containers: str | list[Object], *, gate: str | None = GATE, **pod_spec: Any) -> Object:
    made = template(name, containers, gate=gate, restartPolicy="Never", **pod_spec)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": made}}


def service(name: str, *, port: int = 8080, headless: bool = False, **spec: Any) -> Object:
    """Reached at its address on port 80; selects the pods of the workload of the same name."""
    body: Object = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": port}], **spec}
    if headless:
        body["clusterIP"] = "None"
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


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
