"""The garbage collector: dependents go after their owners."""

from __future__ import annotations

from functools import partial

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import Queue
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

SCHEDULING = (0.005, 0.02)
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class GarbageCollector:
    """What has only owners that are gone goes too; an owner deleted in the foreground goes after what it owns.

    An owner of a kind that is not served may be there or not: what it owns is left alone.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._gone = Queue(registry, self._owner_gone)
        self._waiting = Queue(registry, self._owner_waits)
        registry.store.listen_to_all(self._saw)

    def _saw(self, event: StoreEvent) -> None:
        item = event.item
        if event.new is None:
            if self._registry.store.owned_by(item.uid):
                self._gone.add(("", item.uid))
            for owner in item.meta.get("ownerReferences") or ():
                found = self._owner(item.namespace, owner)
                if found is not None and "deletionTimestamp" in found.meta:
                    self._wait(found)
        elif "deletionTimestamp" in item.meta and "foregroundDeletion" in (item.meta.get("finalizers") or ()):
            self._wait(item)
        elif event.old is None:
            self._check_owners(item)

    def _check_owners(self, item: StoredObject) -> None:
        """Made for an owner that is gone already."""
        for owner in item.meta.get("ownerReferences") or ():
            if not self._may_live(item.namespace, owner):
                self._gone.add(("", owner["uid"]))

    def _owner(self, namespace: str, owner: Json) -> StoredObject | None:
        kind = self._registry.store.kinds.called(owner.get("apiVersion", ""), owner.get("kind", ""))
        return self._registry.store.get(kind, namespace if kind.is_namespaced else "", owner["name"]) if kind else None

    def _may_live(self, namespace: str, owner: Json) -> bool:
        if self._registry.store.kinds.called(owner.get("apiVersion", ""), owner.get("kind", "")) is None:
            return True
        found = self._owner(namespace, owner)
        return found is not None and found.uid == owner["uid"]

    def _wait(self, owner: StoredObject) -> None:
        self._waiting.add((f"{owner.kind.api_version}/{owner.kind.kind}/{owner.namespace}", owner.name))

    def _owner_gone(self, key: Key) -> None:
        for item in self._registry.store.owned_by(key[1]):
            owners = item.meta["ownerReferences"]
            living = [o for o in owners if self._may_live(item.namespace, o)]
            if living:
                self._registry.change(item, partial(_with_owners, owners=living))
            elif "deletionTimestamp" not in item.meta:
                self._registry.delete(item, {"preconditions": {"uid": item.uid}})

    def _owner_waits(self, key: Key) -> None:
        api_version, kind_name, namespace = key[0].rsplit("/", 2)
        kind = self._registry.store.kinds.called(api_version, kind_name)
        owner = self._registry.store.get(kind, namespace, key[1]) if kind is not None else None
        if owner is None or "deletionTimestamp" not in owner.meta:
            return
        dependents = self._registry.store.owned_by(owner.uid)
        for item in dependents:
            if "deletionTimestamp" not in item.meta:
                self._registry.delete(item, {"propagationPolicy": "Foreground" if item.kind is not k.PODS else "Background"})
        if not self._registry.store.owned_by(owner.uid):
            finalizers = [f for f in owner.meta.get("finalizers") or () if f != "foregroundDeletion"]
            self._registry.change(owner, lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}})


def _with_owners(obj: Json, owners: list[Json]) -> Json:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}}
