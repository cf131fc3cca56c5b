"""A pod's status as its kubelet writes it, and how that is put into the object.

Always holds: conditions that are not the kubelet's, such as readiness gates, are left as they are; only the kubelet writes
Ready; a transition time changes only with the status of its condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inplace.sim.objects.errors import Json

OURS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
Verdict = tuple[str, str, str]
"""Status, reason, message of a condition."""


def ready_verdicts(pod: Json, statuses: Iterable[Json], phase: str) -> dict[str, Verdict]:
    """`Ready` and `ContainersReady`. `pod`: its gates are read from the object that the kubelet has."""
    if phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return {"Ready": ("False", reason, ""), "ContainersReady": ("False", reason, "")}
    unready = [status["name"] for status in statuses if not status["ready"]]
    if unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        return dict.fromkeys(("Ready", "ContainersReady"), ("False", "ContainersNotReady", message))
    messages = []
    conditions = first_of_each(pod["status"].get("conditions") or ())
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in conditions:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif conditions[kind] != "True":
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {conditions[kind]}')
    ready = ("False", "ReadinessGatesNotReady", ", ".join(messages)) if messages else ("True", "", "")
    return {"Ready": ready, "ContainersReady": ("True", "", "")}


def first_of_each(conditions: Iterable[Json]) -> dict[str, str]:
    """Status by type. A client may append a second condition of a type: the first one counts."""
    found: dict[str, str] = {}
    for condition in conditions:
        found.setdefault(condition["type"], condition["status"])
    return found


def written(pod: Json, status: Json, verdicts: dict[str, Verdict], generation: int, stamp: str) -> Json:
    """The object with the kubelet's `status` fields and conditions in it; the same object where nothing is new. A kubelet
    older than 1.34 reports no generation: 0."""
    before = pod["status"]
    have = {c["type"]: c for c in before.get("conditions") or ()}
    conditions = [c for c in before.get("conditions") or () if c["type"] not in OURS]
    conditions += [_condition(kind, verdicts[kind], have.get(kind), generation, stamp) for kind in OURS if kind in verdicts]
    seen = {"observedGeneration": generation} if generation else {}
    made: Json = {**before, **status, "conditions": conditions, **seen}
    return pod if made == before else {**pod, "status": made}


def _condition(kind: str, verdict: Verdict, before: Json | None, generation: int, stamp: str) -> Json:
    status, reason, message = verdict
    since: Any = before["lastTransitionTime"] if before and before["status"] == status else stamp
    seen = {"observedGeneration": generation} if generation else {}
    made: Json = {"type": kind, **seen, "status": status, "lastProbeTime": None}
    made["lastTransitionTime"] = since
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made
