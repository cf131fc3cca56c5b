"""Which pods an owner has: those that name it, those without an owner that it adopts, less those that match it no more.

Always holds: whoever must look again after a pod's event is told; an event that changes nothing that a controller acts on
wakes nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import Queue, controller_of, on_events, owner_reference
from inplace.sim.controllers.pods import facts_of
from inplace.sim.controllers.workloads.census import PodCountIndex, PodCounts
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import PODS, Kind
from inplace.sim.objects.selectors import selector_test
from inplace.sim.objects.store import Key, StoredObject, StoreEvent


def anybody(_owner: StoredObject, _pod: StoredObject) -> bool:
    return True


class PodRefManager:
    """For the owners of one kind. `is_member` is what must hold of a pod beside the selector."""

    def __init__(
        self, registry: Registry, kind: Kind, queue: Queue, is_member: Callable[[StoredObject, StoredObject], bool] = anybody
    ) -> None:
        self._registry = registry
        self._kind = kind
        self._queue = queue
        self._is_member = is_member
        self._counted = PodCountIndex()
        self._orphans: set[Key] = set()
        """Pods without an owner that some owner may adopt."""
        self._strangers: set[Key] = set()
        """Owners of which some pod's labels have changed: it may not match any more."""
        on_events(registry, (kind,), self._own_changed)
        on_events(registry, (PODS,), self._pod_changed)

    def of(self, owner: StoredObject) -> PodCounts:
        return self._counted.of(owner.uid)

    def settle(self, owner: StoredObject) -> None:
        """Adopts and releases."""
        if owner.key in self._strangers:
            self._strangers.discard(owner.key)
            self._release(owner)
        if self._orphans and "deletionTimestamp" not in owner.meta:
            self._adopt(owner)

    def _own_changed(self, event: StoreEvent) -> None:
        if event.new is None:
            self._counted.forget(event.item.uid)
            return
        if event.old is None:
            self._look_for_orphans(event.new)
        self._queue.add(event.new.key)

    def _look_for_orphans(self, owner: StoredObject) -> None:
        """A new owner may adopt what another has left."""
        for pod in self._registry.store.all(PODS, owner.namespace):
            if not facts_of(pod).controller and self._matches(owner, pod):
                self._orphans.add(pod.key)

    def _pod_changed(self, event: StoreEvent) -> None:
        old, new = event.old, event.new
        ours = [each for each in (old, new) if each is not None and facts_of(each).controller_kind == self._kind.kind]
        if ours:
            self._counted.saw(event)
        if old is not None and new is not None and _is_same_to_us(old, new):
            return
        for item in ours:
            owner = controller_of(item.obj)
            assert owner is not None
            key = (item.namespace, owner["name"])
            if old is not None and new is not None and old.meta.get("labels") != new.meta.get("labels"):
                self._strangers.add(key)
            self._queue.add(key)
        if new is not None and not facts_of(new).controller:
            for each in self._registry.store.all(self._kind, new.namespace):
                if self._matches(each, new):
                    self._orphans.add(new.key)
                    self._queue.add(each.key)

    def _matches(self, owner: StoredObject, pod: StoredObject) -> bool:
        return selector_test(owner.obj["spec"]["selector"])(facts_of(pod).labels) and self._is_member(owner, pod)

    def _release(self, owner: StoredObject) -> None:
        for pod in list(self.of(owner).pods.values()):
            if not self._matches(owner, pod) and not facts_of(pod).is_terminating:
                self._registry.change(pod, lambda obj: _owned(obj, None, owner.uid))

    def _adopt(self, owner: StoredObject) -> None:
        for key in sorted(self._orphans):
            pod = self._registry.store.get(PODS, *key)
            if pod is None or pod.meta.get("ownerReferences") or not facts_of(pod).is_active:
                self._orphans.discard(key)
            elif pod.namespace == owner.namespace and self._matches(owner, pod):
                self._orphans.discard(key)
                self._registry.change(pod, lambda obj: _owned(obj, owner_reference(owner), ""))


def _is_same_to_us(old: StoredObject, new: StoredObject) -> bool:
    a, b = facts_of(old), facts_of(new)
    if (a.is_active, a.is_terminating, a.is_ready, a.phase) != (b.is_active, b.is_terminating, b.is_ready, b.phase):
        return False
    return old.meta.get("labels") == new.meta.get("labels") and old.meta.get("ownerReferences") == new.meta.get(
        "ownerReferences"
    )


def _owned(obj: Json, owner: Json | None, without: str) -> Json:
    owners = [o for o in obj["metadata"].get("ownerReferences") or () if o["uid"] != without]
    owners += [owner] if owner else []
    meta = {key: v for key, v in obj["metadata"].items() if key != "ownerReferences"}
    return {**obj, "metadata": {**meta, "ownerReferences": owners} if owners else meta}
