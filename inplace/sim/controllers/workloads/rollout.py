"""The arithmetic of rollouts: how many pods a ReplicaSet gets, and what a Deployment's status says. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

from inplace.sim.api.registry import SUFFIX
from inplace.sim.controllers.base import resolve
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import StoredObject

HASH = "pod-template-hash"
PREFIX = "deployment.kubernetes.io/"
REVISION, HISTORY, DESIRED, MAX = (
    PREFIX + name for name in ("revision", "revision-history", "desired-replicas", "max-replicas")
)
NOT_COPIED = (REVISION, HISTORY, DESIRED, MAX, "kubectl.kubernetes.io/last-applied-configuration")


def replicas_of(item: StoredObject) -> int:
    return int(item.obj["spec"].get("replicas", 1))


def notes_of(item: StoredObject) -> Json:
    notes: Json = item.meta.get("annotations") or {}
    return notes


def revision_of(item: StoredObject) -> int:
    text = str(notes_of(item).get(REVISION, "0"))
    return int(text) if text.isdecimal() else 0


def status_of(item: StoredObject, field: str) -> int:
    return int((item.obj.get("status") or {}).get(field, 0))


def is_rolling(deployment: StoredObject) -> bool:
    return bool(deployment.obj["spec"]["strategy"]["type"] == "RollingUpdate")


def limits(deployment: StoredObject) -> tuple[int, int]:
    """Pods beyond and pods below the wanted number that a rollout may have: maxSurge, maxUnavailable."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return 0, 0
    rolling = deployment.obj["spec"]["strategy"].get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = resolve(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted) if wanted else 0


def same_template(a: Json, b: Json) -> bool:
    """The pod-template-hash apart."""
    if (a.get("spec") or {}) != (b.get("spec") or {}):
        return False
    metas = []
    for template in (a, b):
        meta = dict(template.get("metadata") or {})
        labels = {key: v for key, v in (meta.pop("labels", None) or {}).items() if key != HASH}
        metas.append(({key: v for key, v in meta.items() if v}, labels))
    return metas[0] == metas[1]


def template_hash(template: Json, collisions: int) -> str:
    """Like the real one a function of the template, written with the same letters; not the same function."""
    text = json.dumps(template, sort_keys=True) + (str(collisions) if collisions else "")
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return "".join(SUFFIX[int(digit) % len(SUFFIX)] for digit in str(number))


def oldest_first(items: Iterable[StoredObject]) -> list[StoredObject]:
    return sorted(items, key=lambda item: (item.meta["creationTimestamp"], item.name))


def active(items: Iterable[StoredObject]) -> list[StoredObject]:
    return [item for item in items if replicas_of(item) > 0]


def new_replicas(deployment: StoredObject, everything: list[StoredObject], current: int) -> int:
    """How many pods the new ReplicaSet may have now."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    total = sum(replicas_of(item) for item in everything)
    most = wanted + limits(deployment)[0]
    return current if total >= most else current + min(most - total, wanted - current)


def proportion(item: StoredObject, deployment: StoredObject, to_add: int, added: int) -> int:
    """The share of a scaling that falls on one of several active ReplicaSets."""
    have, allowed = replicas_of(item), to_add - added
    if have == 0 or to_add == 0 or allowed == 0:
        return 0
    wanted = replicas_of(deployment)
    if wanted == 0:
        fraction = -have
    else:
        before = int(notes_of(item).get(MAX, 0)) or status_of(deployment, "replicas") or 1
        fraction = int(have * (wanted + limits(deployment)[0]) / before + 0.5) - have
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def condition(obj: Json, kind: str) -> Json | None:
    return next((c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == kind), None)


def made_condition(kind: str, status: str, reason: str, message: str, stamp: str) -> Json:
    times = {"lastUpdateTime": stamp, "lastTransitionTime": stamp}
    return {"type": kind, "status": status, **times, "reason": reason, "message": message}


def with_condition(conditions: list[Json], made: Json) -> list[Json]:
    """A condition that says nothing new stays as it is."""
    before = next((c for c in conditions if c["type"] == made["type"]), None)
    if before is not None:
        if (before["status"], before["reason"]) == (made["status"], made["reason"]):
            return conditions
        if before["status"] == made["status"]:
            made = {**made, "lastTransitionTime": before["lastTransitionTime"]}
    return [*(c for c in conditions if c["type"] != made["type"]), made]


def calculated(deployment: StoredObject, everything: list[StoredObject], new: StoredObject | None, stamp: str) -> Json:
    """The status that follows from the ReplicaSets."""
    total = sum(replicas_of(item) for item in everything)
    available = sum(status_of(item, "availableReplicas") for item in everything)
    counts = {
        "replicas": sum(status_of(item, "replicas") for item in everything),
        "updatedReplicas": status_of(new, "replicas") if new else 0,
        "readyReplicas": sum(status_of(item, "readyReplicas") for item in everything),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total - available),
    }
    before = deployment.obj.get("status") or {}
    is_enough = available >= replicas_of(deployment) - limits(deployment)[1]
    if is_enough:
        made = made_condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", stamp)
    else:
        text = "Deployment does not have minimum availability."
        made = made_condition("Available", "False", "MinimumReplicasUnavailable", text, stamp)
    status: Json = {"observedGeneration": deployment.meta["generation"]}
    status |= {key: value for key, value in counts.items() if value}
    status["terminatingReplicas"] = sum(status_of(item, "terminatingReplicas") for item in everything)
    status["conditions"] = with_condition(list(before.get("conditions") or ()), made)
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    return status


def is_complete(deployment: StoredObject, status: Json) -> bool:
    wanted = replicas_of(deployment)
    counts = ("updatedReplicas", "replicas", "availableReplicas")
    return (
        all(status.get(field, 0) == wanted for field in counts)
        and status["observedGeneration"] >= deployment.meta["generation"]
    )


def is_progressing(deployment: StoredObject, status: Json) -> bool:
    before = deployment.obj.get("status") or {}
    old = [s.get("replicas", 0) - s.get("updatedReplicas", 0) for s in (before, status)]
    more = any(status.get(f, 0) > before.get(f, 0) for f in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or old[1] < old[0]


def has_timed_out(deployment: StoredObject, now: datetime) -> bool:
    progressing = condition(deployment.obj, "Progressing")
    if progressing is None or progressing["reason"] == "NewReplicaSetAvailable":
        return False
    if progressing["reason"] == "ProgressDeadlineExceeded":
        return True
    since = datetime.fromisoformat(progressing["lastUpdateTime"].replace("Z", "+00:00"))
    return bool((now - since).total_seconds() > deployment.obj["spec"]["progressDeadlineSeconds"])
