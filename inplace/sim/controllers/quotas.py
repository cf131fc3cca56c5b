"""ResourceQuotas that count objects, `count/replicasets.apps` for one: no more are created than `spec.hard` says.

As in a real 1.36 a quota holds once its status says so.
"""

from __future__ import annotations

from inplace.sim.api.admission import Attributes
from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue
from inplace.sim.objects.errors import Json, forbidden, qualified
from inplace.sim.objects.kinds import RESOURCE_QUOTAS, Kind
from inplace.sim.objects.store import Key, StoreEvent


class ResourceQuotas:
    """Admits what there is room for, and keeps the status of the quotas true."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        registry.admission.append(self._admit)
        registry.store.listen_to_all(self._saw)

    def _saw(self, event: StoreEvent) -> None:
        if event.old is None or event.new is None or event.item.kind is RESOURCE_QUOTAS:
            for quota in self._registry.store.all(RESOURCE_QUOTAS, event.item.namespace):
                self._queue.add(quota.key)

    def _sync(self, key: Key) -> None:
        quota = self._registry.store.get(RESOURCE_QUOTAS, *key)
        if quota is None:
            return
        hard = quota.obj["spec"].get("hard") or {}
        used = {name: str(self._used(kind, quota.namespace)) for name in hard if (kind := self._counted(name))}
        status = {"hard": {name: str(hard[name]) for name in used}, "used": used}
        self._registry.change(quota, lambda obj: {**obj, "status": status}, SELF_STATUS)

    def _admit(self, asked: Attributes) -> Json:
        if asked.operation == "UPDATE" or asked.subresource:
            return asked.obj
        kind = asked.kind
        resource = f"count/{qualified(kind.plural, kind.group)}"
        for quota in self._registry.store.all(RESOURCE_QUOTAS, asked.namespace):
            hard = (quota.obj.get("status") or {}).get("hard", {}).get(resource)
            used = self._used(kind, asked.namespace)
            if hard is not None and used >= int(hard):
                told = {"requested": 1, "used": used, "limited": hard}
                text = ", ".join(f"{what}: {resource}={number}" for what, number in told.items())
                name = str(asked.obj["metadata"].get("name", ""))
                raise forbidden(kind.plural, kind.group, name, f"exceeded quota: {quota.name}, {text}")
        return asked.obj

    def _used(self, kind: Kind, namespace: str) -> int:
        return sum(1 for _ in self._registry.store.all(kind, namespace))

    def _counted(self, resource: str) -> Kind | None:
        return next((k for k in self._registry.store.kinds.stored if resource == f"count/{qualified(k.plural, k.group)}"), None)
