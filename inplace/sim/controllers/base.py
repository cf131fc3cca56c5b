"""What every controller has: a queue of keys, in which a key stands once, on the cluster's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inplace.sim.api.registry import Registry
from inplace.sim.clock import Timer
from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.kinds import Kind
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

QUICK = (0.003, 0.010)
"""From an event to the sync for it, in seconds: a watch, a queue."""
RETRY_SECONDS = 0.05


class Queue:
    """`sync` is called for each key, once however often it was added meanwhile."""

    def __init__(self, registry: Registry, sync: Callable[[Key], None]) -> None:
        self._scheduler = registry.scheduler
        self._sync = sync
        self._due: dict[Key, Timer] = {}

    def add(self, key: Key, seconds: float | None = None) -> None:
        """After `seconds`; soon by default. The sooner of two stands."""
        if seconds is None:
            seconds = self._scheduler.between(*QUICK)
        at = self._scheduler.now + seconds
        waiting = self._due.get(key)
        if waiting is not None:
            if waiting.at <= at:
                return
            waiting.cancel()
        self._due[key] = self._scheduler.at(at, lambda: self._run(key))

    def _run(self, key: Key) -> None:
        del self._due[key]
        try:
            self._sync(key)
        except StatusError as error:
            if error.code != 404:
                self.add(key, RETRY_SECONDS)


Record = Callable[..., None]


def controller_of(obj: Json) -> Json | None:
    """The owner reference of what manages this object."""
    owners = obj["metadata"].get("ownerReferences")
    return next((owner for owner in owners if owner.get("controller")), None) if owners else None


def owner_reference(item: StoredObject) -> Json:
    kind = item.kind
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": item.name,
        "uid": item.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def on_events(registry: Registry, kinds: Iterable[Kind], note: Callable[[StoreEvent], None]) -> None:
    registry.store.listen(kinds, note)


def resolve(value: int | str, total: int, *, up: bool) -> int:
    """An int-or-percent of `total`."""
    if isinstance(value, str) and value.endswith("%"):
        percent = int(value[:-1]) * total
        return -(-percent // 100) if up else percent // 100
    return int(value)
