"""Plain questions about objects and about the witness's log, for scenarios to wait on and to judge by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise

import msgspec

from inplace.model.objects.coordination import Lease
from inplace.runtime.lease.lock import describe_holder
from tests.recorder import Event, Object
from tests.recorder.history import end, replay
from tests.recorder.log import RECORD, annotation, condition, images, terminating
from tests.scenarios.manifests import GATE

LogPredicate = Callable[[list[Event]], object]


def images_in(pod_spec: Object) -> dict[str, str]:
    """By container name, init containers included."""
    return {c["name"]: c["image"] for c in [*pod_spec["containers"], *pod_spec.get("initContainers", [])]}


def strategy_of(workload: Object) -> Object:
    """Its updateStrategy; of a StatefulSet without the maxUnavailable of 1 that Kubernetes adds as of 1.37, or a user did."""
    found: Object = workload["spec"]["updateStrategy"]
    rolling = dict(found.get("rollingUpdate") or {})
    if "partition" not in rolling or rolling.get("maxUnavailable") != 1:
        return found
    del rolling["maxUnavailable"]
    return {**found, "rollingUpdate": rolling}


def container_statuses(pod: Object) -> dict[str, Object]:
    """By container name, init containers included."""
    status = pod["status"]
    return {s["name"]: s for s in [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]}


def is_observed(workload: Object) -> bool:
    return bool(workload.get("status", {}).get("observedGeneration") == workload["metadata"]["generation"])


def since(pod: Object, kind: str) -> datetime:
    """When a condition last changed, as the API server tells it: in whole seconds."""
    told = next(c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == kind)
    return datetime.fromisoformat(told)


def started_at(pod: Object) -> datetime:
    return datetime.fromisoformat(pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"])


def turned(versions: list[Event], kind: str) -> list[Event]:
    """Those at which a condition became True."""
    return [
        new
        for old, new in pairwise(versions)
        if condition(new.object, kind) == "True" and condition(old.object, kind) != "True"
    ]


def living(log: Iterable[Event]) -> list[Object]:
    """The pods as of the end of the log."""
    return [p for p in end(log).all("Pod").values() if not terminating(p)]


def recorded(pods: Iterable[Object]) -> list[Object]:
    """Those that an upgrade works on."""
    return [p for p in pods if annotation(p, RECORD)]


def any_closed(log: list[Event]) -> bool:
    return any(condition(p, GATE) == "False" for p in recorded(living(log)))


def any_patched(image: str) -> LogPredicate:
    return lambda log: any(image in images(p).values() for p in living(log))


def back(image: str, count: int) -> LogPredicate:
    """At least so many pods run the image and serve."""

    def happened(log: list[Event]) -> bool:
        served = [p for p in living(log) if condition(p, "Ready") == "True" and not annotation(p, RECORD)]
        return sum(1 for p in served if image in images(p).values()) >= count

    return happened


def told_holder(lease: Object) -> str:
    """Who holds a lock, as people are told."""
    return describe_holder(msgspec.convert(lease, Lease))


def holders(log: list[Event]) -> list[str]:
    """Who held the lock, one after the other."""
    found: list[str] = []
    for event in sorted((e for e in log if e.kind == "Lease"), key=lambda e: e.rv):
        holder = event.object["spec"].get("holderIdentity") or ""
        if holder and (not found or found[-1] != holder):
            found.append(holder)
    return found


def fewest_ready(log: list[Event], since: int) -> int:
    """Pods Ready at the worst moment after the resource version `since`."""
    counts = []
    for step in replay(log):
        if step.event.kind == "Pod" and step.event.rv > since:
            pods = {**step.world.all("Pod"), step.event.uid: step.event.object}
            counts.append(sum(condition(p, "Ready") == "True" for p in pods.values()))
    return min(counts)


def lists_ready(event: Event, uid: str) -> bool:
    """Whether a slice sends to a pod."""
    endpoints = event.object.get("endpoints") or [] if event.type != "DELETED" else []
    return any(e.get("targetRef", {}).get("uid") == uid and e["conditions"].get("ready") is not False for e in endpoints)


def spans(told: Iterable[tuple[float, bool]]) -> list[tuple[float, float]]:
    """From when to when it was true, for ever at the end."""
    found: list[tuple[float, float]] = []
    for at, true in told:
        is_open = bool(found) and found[-1][1] == math.inf
        if true and not is_open:
            found.append((at, math.inf))
        elif not true and is_open:
            found[-1] = (found[-1][0], at)
    return found


def differences(old: object, new: object, path: str = "") -> list[str]:
    """Where two versions of an object differ, but for its bookkeeping."""
    if old == new or path in ("metadata.resourceVersion", "metadata.managedFields"):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in sorted({*old, *new}) for d in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [d for i, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    return [f"{path} {old} -> {new}"]
