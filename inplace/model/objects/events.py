"""Defines Events, with the fields that inplace reads back."""

from __future__ import annotations

from inplace.model.objects.meta import ApiStruct, ObjectMeta


class ObjectReference(ApiStruct, frozen=True):
    """The object that an Event is about."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Event(ApiStruct, frozen=True):
    """An Event of events.k8s.io/v1. `event_time` is None if it was written through the core/v1 API."""

    metadata: ObjectMeta
    event_time: str | None = None
    reason: str = ""
    note: str = ""
    regarding: ObjectReference = ObjectReference()
