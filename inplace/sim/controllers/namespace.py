"""The namespace controller: default service accounts, and namespaces that are emptied."""

from __future__ import annotations

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import Queue, on_events
from inplace.sim.objects import kinds as k
from inplace.sim.objects.store import Key

SCHEDULING = (0.005, 0.02)
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NamespaceController:
    """A namespace that is deleted is emptied, and goes when it is empty. Every namespace has its default service account."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.NAMESPACES,), lambda event: self._queue.add(event.item.key) if event.new else None)

    def _sync(self, key: Key) -> None:
        space = self._registry.store.get(k.NAMESPACES, *key)
        if space is None:
            return
        if "deletionTimestamp" not in space.meta:
            if self._registry.store.get(k.SERVICE_ACCOUNTS, space.name, "default") is None:
                self._registry.create(k.SERVICE_ACCOUNTS, space.name, {"metadata": {"name": "default"}})
            return
        left = 0
        for kind in self._registry.store.kinds.stored:
            if not kind.is_namespaced:
                continue
            for item in self._registry.store.ordered(kind, space.name):
                left += kind is k.PODS
                if "deletionTimestamp" not in item.meta:
                    self._registry.delete(item, {})
        if left:
            self._queue.add(key, 0.25)
        else:
            self._registry.store.remove(space)
