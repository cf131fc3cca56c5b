"""What is another view of an object or an act on it: scale, binding, eviction, and the two shapes of an Event."""

from __future__ import annotations

from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.selectors import selector_test, selector_text


def scale_of(obj: Json) -> Json:
    """`autoscaling/v1 Scale`."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    spec, status = obj["spec"], obj.get("status") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in kept if key in obj["metadata"]},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": selector_text(spec.get("selector"))},
    }


def bound(pod: Json, node: str, stamp: str) -> Json:
    """The pod on its node."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    conditions = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
    status = {**pod["status"], "conditions": [*conditions, scheduled]}
    return {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status}


def unschedulable(pod: Json, stamp: str) -> Json:
    """The pod once the scheduler has found no node for it."""
    conditions = pod["status"].get("conditions") or ()
    if any(c["type"] == "PodScheduled" for c in conditions):
        return pod
    said = {"status": "False", "reason": "Unschedulable", "message": "no node is available"}
    condition = {"type": "PodScheduled", **said, "lastProbeTime": None, "lastTransitionTime": stamp}
    return {**pod, "status": {**pod["status"], "conditions": [*conditions, condition]}}


def check_eviction(pod: Json, budgets: list[Json]) -> None:
    """Raises `Refusal` where a PodDisruptionBudget has no room for this pod."""
    labels = pod["metadata"].get("labels") or {}
    mine = [b for b in budgets if b["spec"].get("selector") and selector_test(b["spec"]["selector"])(labels)]
    if len(mine) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise StatusError(500, "InternalError", text)
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())
    if not mine or pod["status"].get("phase") != "Running":
        return
    status = mine[0].get("status") or {}
    is_healthy_enough = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0)
    if status.get("disruptionsAllowed", 0) > 0 or (not ready and is_healthy_enough):
        return
    name, needs, has = mine[0]["metadata"]["name"], status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    text = "Cannot evict pod as it would violate the pod's disruption budget."
    cause = f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
    raise StatusError(429, "TooManyRequests", text, {"causes": [{"reason": "DisruptionBudget", "message": cause}]})


_NEW_TO_OLD = {
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}


def old_event(event: Json) -> Json:
    """As `core/v1`."""
    made = {_NEW_TO_OLD.get(key, key): value for key, value in event.items()}
    return {**made, "kind": "Event", "apiVersion": "v1"}


def new_event(event: Json) -> Json:
    """As `events.k8s.io/v1`."""
    names = {old: new for new, old in _NEW_TO_OLD.items()}
    made = {names.get(key, key): value for key, value in event.items()}
    return {**made, "kind": "Event", "apiVersion": "events.k8s.io/v1"}
