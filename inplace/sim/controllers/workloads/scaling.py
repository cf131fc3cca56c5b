"""Changing the size of ReplicaSets for a Deployment: one at a time, or all of them in proportion."""

from __future__ import annotations

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import Record
from inplace.sim.controllers.workloads import rollout as r
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import StoredObject


class Scaling:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record

    def resize(self, deployment: StoredObject, item: StoredObject, size: int) -> StoredObject:
        """Also writes down for what size of the Deployment this was."""
        wanted = r.replicas_of(deployment)
        notes = {r.DESIRED: str(wanted), r.MAX: str(wanted + r.limits(deployment)[0])}
        before = r.replicas_of(item)

        def change(obj: Json) -> Json:
            have = obj["metadata"].get("annotations") or {}
            if obj["spec"].get("replicas") == size and notes.items() <= have.items():
                return obj
            meta = {**obj["metadata"], "annotations": {**have, **notes}}
            return {**obj, "metadata": meta, "spec": {**obj["spec"], "replicas": size}}

        made = self._registry.change(item, change) or item
        if before != size:
            text = f"Scaled {'up' if size > before else 'down'} replica set {item.name} from {before} to {size}"
            self._record(deployment.obj, "Normal", "ScalingReplicaSet", text, component="deployment-controller")
        return made

    def scale(
        self, deployment: StoredObject, new: StoredObject | None, old: list[StoredObject]
    ) -> tuple[StoredObject | None, list[StoredObject]]:
        """Brings the sizes to what the Deployment wants, whatever they hold; works while paused."""
        everything = [*old, *([new] if new else [])]
        sizes = self._sizes(deployment, new, everything)
        made = {item.uid: self.resize(deployment, item, sizes[item.uid]) for item in everything if item.uid in sizes}
        return (made.get(new.uid, new) if new else None), [made.get(item.uid, item) for item in old]

    def _sizes(self, deployment: StoredObject, new: StoredObject | None, everything: list[StoredObject]) -> dict[str, int]:
        wanted, living = r.replicas_of(deployment), r.active(everything)
        if len(living) <= 1:
            latest = living or ([new] if new else r.oldest_first(everything)[-1:])
            return {item.uid: wanted for item in latest if r.replicas_of(item) != wanted}
        if new and _is_saturated(deployment, new):
            return {item.uid: 0 for item in living if item is not new}
        if not r.is_rolling(deployment):
            return {}
        return self._proportional(deployment, living)

    def _proportional(self, deployment: StoredObject, living: list[StoredObject]) -> dict[str, int]:
        wanted = r.replicas_of(deployment)
        allowed = wanted + r.limits(deployment)[0] if wanted else 0
        to_add = allowed - sum(r.replicas_of(item) for item in living)
        newest_first = r.oldest_first(living)[::-1]
        ranked = newest_first if to_add > 0 else r.oldest_first(living)
        ranked = sorted(ranked, key=r.replicas_of, reverse=True)
        added, sizes = 0, {}
        for item in ranked:
            share = r.proportion(item, deployment, to_add, added)
            sizes[item.uid] = r.replicas_of(item) + share
            added += share
        if ranked and to_add:
            sizes[ranked[0].uid] = max(0, sizes[ranked[0].uid] + to_add - added)
        return sizes


def _is_saturated(deployment: StoredObject, new: StoredObject) -> bool:
    wanted = r.replicas_of(deployment)
    desired = r.notes_of(new).get(r.DESIRED, "")
    return r.replicas_of(new) == wanted and desired == str(wanted) and r.status_of(new, "availableReplicas") == wanted
