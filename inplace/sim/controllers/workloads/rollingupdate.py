"""One step of a rolling update: the new ReplicaSet grows as maxSurge allows, or old ones shrink as maxUnavailable does."""

from __future__ import annotations

from inplace.sim.controllers.workloads import rollout as r
from inplace.sim.controllers.workloads.scaling import Scaling
from inplace.sim.objects.store import StoredObject


class RollingUpdate:
    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling

    def step(
        self, deployment: StoredObject, new: StoredObject, old: list[StoredObject]
    ) -> tuple[bool, StoredObject, list[StoredObject]]:
        """Whether anything was scaled, and all ReplicaSets as they are then."""
        grown = self._grow(deployment, new, old)
        if grown is not new:
            return True, grown, old
        shrunk = self._shrink(deployment, new, old)
        return any(a is not b for a, b in zip(old, shrunk, strict=True)), new, shrunk

    def _grow(self, deployment: StoredObject, new: StoredObject, old: list[StoredObject]) -> StoredObject:
        wanted, have = r.replicas_of(deployment), r.replicas_of(new)
        if have == wanted:
            return new
        size = wanted if have > wanted else r.new_replicas(deployment, [*old, new], have)
        return self._scaling.resize(deployment, new, size)

    def _shrink(self, deployment: StoredObject, new: StoredObject, old: list[StoredObject]) -> list[StoredObject]:
        living = r.active(old)
        if not living:
            return old
        least = r.replicas_of(deployment) - r.limits(deployment)[1]
        total = sum(r.replicas_of(item) for item in [*old, new])
        new_missing = r.replicas_of(new) - r.status_of(new, "availableReplicas")
        budget = total - least - new_missing
        if budget <= 0:
            return old
        sizes = {item.uid: r.replicas_of(item) for item in living}
        for item in r.oldest_first(living):
            missing = r.replicas_of(item) - r.status_of(item, "availableReplicas")
            taken = min(budget, max(0, missing))
            sizes[item.uid] -= taken
            budget -= taken
        spare = sum(r.status_of(item, "availableReplicas") for item in [*old, new]) - least
        for item in r.oldest_first(living):
            taken = min(max(0, spare), sizes[item.uid])
            sizes[item.uid] -= taken
            spare -= taken
        return [
            self._scaling.resize(deployment, item, sizes[item.uid])
            if sizes.get(item.uid, r.replicas_of(item)) != r.replicas_of(item)
            else item
            for item in old
        ]
