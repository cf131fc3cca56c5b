"""Events, as far as they are read back."""

from __future__ import annotations

from inplace.model.objects.meta import ApiStruct, ObjectMeta


class ObjectReference(ApiStruct, frozen=True):
    """The object that an event is about."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Event(ApiStruct, frozen=True):
    """Of events.k8s.io/v1. `event_time` is None for one that was written through the older API."""

    metadata: ObjectMeta
    event_time: str | None = None
    reason: str = ""
    note: str = ""
    regarding: ObjectReference = ObjectReference()
