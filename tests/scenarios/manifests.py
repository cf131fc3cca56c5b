"""The objects that scenarios deploy: workloads of every kind with the test image, and Services."""

from typing import Any

from tests.recorder import Object

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
    patient = {"httpGet": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60}
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
    first_ordinal: int | None = None,
    strategy: Object | None = None,
    **pod_spec: Any,
) -> Object:
    """Its pods' gates must be opened one after the other unless parallel: use `deploy`. Make a Service of the name too."""
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
        "ordinals": None if first_ordinal is None else {"start": first_ordinal},
        "updateStrategy": strategy,
    }
    return workload("StatefulSet", name, containers, gate, pod_spec, spec)


def daemonset(
    name: str, containers: str | list[Object], *, gate: str | None = GATE, strategy: Object | None = None, **pod_spec: Any
) -> Object:
    return workload("DaemonSet", name, containers, gate, pod_spec, {"updateStrategy": strategy})


def partition(index: int) -> Object:
    """A StatefulSet's update strategy."""
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": index}}


ON_DELETE: Object = {"type": "OnDelete"}


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
