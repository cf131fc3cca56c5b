"""What controllers want to know of a pod, found once per version of it; and a new pod from a template."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from inplace.sim.controllers.base import controller_of, owner_reference
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import StoredObject


class PodSummary(NamedTuple):
    """`ready_since` and `created` are timestamps as written."""

    is_active: bool
    is_terminating: bool
    is_ready: bool
    ready_since: str
    phase: str
    restarts: int
    node: str
    created: str
    controller: str
    """The uid of the owner that manages it."""
    controller_kind: str
    labels: Json


def facts_of(item: StoredObject) -> PodSummary:
    if item.facts is None:
        item.facts = _facts(item.obj)
    found: PodSummary = item.facts
    return found


def _facts(pod: Json) -> PodSummary:
    status, meta = pod["status"], pod["metadata"]
    ready = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    is_terminating = "deletionTimestamp" in meta
    phase = str(status.get("phase", ""))
    owner = controller_of(pod) or {}
    return PodSummary(
        is_active=phase not in ("Succeeded", "Failed") and not is_terminating,
        is_terminating=is_terminating,
        is_ready=ready is not None and ready["status"] == "True",
        ready_since=str((ready or {}).get("lastTransitionTime") or ""),
        phase=phase,
        restarts=max((s.get("restartCount", 0) for s in status.get("containerStatuses") or ()), default=0),
        node=str(pod["spec"].get("nodeName", "")),
        created=str(meta["creationTimestamp"]),
        controller=str(owner.get("uid", "")),
        controller_kind=str(owner.get("kind", "")),
        labels=meta.get("labels") or {},
    )


def seconds_since(stamp: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()


def seconds_to_available(facts: PodSummary, min_ready: float, now: datetime) -> float | None:
    """Until it will have been ready for long enough; 0 or less: it has. None: it is not ready."""
    if not facts.is_ready:
        return None
    return min_ready - seconds_since(facts.ready_since, now) if min_ready else 0.0


def pod_from(owner: StoredObject, template: Json) -> Json:
    meta: Json = {
        key: v for key, v in (template.get("metadata") or {}).items() if key in ("labels", "annotations", "finalizers")
    }
    meta |= {"generateName": f"{owner.name}-", "ownerReferences": [owner_reference(owner)]}
    return {"metadata": meta, "spec": template["spec"]}
