"""The audit trail of a target: for each run that an InPlaceRollout requested, who requested it, when, step by step, and pod by
pod.

The rollouts themselves are the audit trail, as long as they are kept; what happened to each pod is in its Events, which a
cluster keeps for an hour, say.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import EVENTS, INPLACE_ROLLOUTS, Resource
from inplace.model.constants import (
    CLIENT_ANNOTATION,
    CREATED_BY_ANNOTATION,
    GROUP,
    ROLLOUT_KIND,
    ROLLOUT_PLURAL,
    ROLLOUT_VERSION,
)
from inplace.model.objects.meta import ApiStruct, ObjectMeta
from inplace.model.refs import TargetRef
from inplace.model.rollout import InPlaceRollout, StepTiming


class PodEvent(msgspec.Struct, frozen=True, rename="camel"):
    at: str
    pod: str
    reason: str
    note: str


class AuditRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One rollout. `images`: those requested; empty: an undo, or what the template said. `by`: who requested it, as the API
    server names the caller; if that is not written down, the field manager that created the object."""

    name: str
    phase: str
    message: str
    by: str
    images: dict[str, str]
    started_at: str
    finished_at: str
    steps: tuple[StepTiming, ...]
    pods: tuple[PodEvent, ...]
    client: str = ""
    """USER@HOST of the machine on which it was requested."""


class _Manager(ApiStruct, frozen=True):
    manager: str = ""
    subresource: str = ""


class _OwnedMeta(ObjectMeta, frozen=True):
    managed_fields: tuple[_Manager, ...] | None = None


class _Made(ApiStruct, frozen=True):
    """An InPlaceRollout, as far as it says what created it."""

    metadata: _OwnedMeta


_MADE = Resource(
    group=GROUP,
    version=ROLLOUT_VERSION,
    plural=ROLLOUT_PLURAL,
    kind=ROLLOUT_KIND,
    singular=INPLACE_ROLLOUTS.singular,
    type=_Made,
)


def audit_records(api: ApiClient, target: TargetRef) -> tuple[AuditRecord, ...]:
    """The oldest first; none where the cluster has no InPlaceRollouts. Raises `ApiError`."""
    try:
        listed = api.list(INPLACE_ROLLOUTS, target.namespace).items
    except NotFound:
        return ()
    ours = [rollout for rollout in listed if rollout.spec.target.ref(target.namespace) == target]
    events = _events(api, target.namespace) if ours else ()
    makers = (
        _makers(api, target.namespace)
        if any(not rollout.metadata.annotation(CREATED_BY_ANNOTATION) for rollout in ours)
        else {}
    )
    records = [_audit_record(rollout, events, makers.get(rollout.metadata.uid, "")) for rollout in ours]
    return tuple(sorted(records, key=lambda record: (record.started_at or "~", record.name)))


def _events(api: ApiClient, namespace: str) -> tuple[PodEvent, ...]:
    """Events of pods; none if they may not be read."""
    with suppress(Forbidden):
        events = api.list(EVENTS, namespace).items
        ours = (event for event in events if event.regarding.kind == "Pod")
        return tuple(PodEvent(e.event_time or "", e.regarding.name, e.reason, e.note) for e in ours)
    return ()


def _makers(api: ApiClient, namespace: str) -> dict[str, str]:
    """By the uid of a rollout, for example `kubectl-create`: the API server stores by what an object was created, and by whom
    only in its audit log."""
    found = {}
    for made in api.list(_MADE, namespace).items:
        managers = made.metadata.managed_fields or ()
        found[made.metadata.uid] = next((f"field manager {m.manager}" for m in managers if m.manager and not m.subresource), "")
    return found


def _audit_record(rollout: InPlaceRollout, events: tuple[PodEvent, ...], manager: str) -> AuditRecord:
    status, mark = rollout.status, f" (inplacerollout/{rollout.metadata.name})"
    pods = [msgspec.structs.replace(event, note=event.note.removesuffix(mark)) for event in events if event.note.endswith(mark)]
    return AuditRecord(
        name=rollout.metadata.name,
        phase=status.phase or "Pending",
        message=status.message,
        by=rollout.metadata.annotation(CREATED_BY_ANNOTATION) or manager,
        images={image.container: image.image for image in rollout.spec.images},
        started_at=status.started_at,
        finished_at=status.finished_at,
        steps=status.steps,
        pods=tuple(sorted(pods, key=lambda event: (event.at, event.pod))),
        client=rollout.metadata.annotation(CLIENT_ANNOTATION) or "",
    )
