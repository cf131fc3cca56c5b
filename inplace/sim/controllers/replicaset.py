"""ReplicaSets: as many pods as asked, made from the template of this moment; living pods are never touched by a new template.

Too many: those that are not ready go first, then those that share a node, then the newest ready ones, the most restarted, the
newest. So a scale-down may take exactly the pods that were upgraded in place (design, section 4).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from inplace.sim.api.defaults import POD_ONLY
from inplace.sim.api.errors import Json
from inplace.sim.api.kinds import PODS, REPLICA_SETS
from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.api.selectors import Test, selector_test
from inplace.sim.api.store import Happened, Item, Key
from inplace.sim.controllers.base import Queue, Record, controller_of, on_events, owner_reference
from inplace.sim.controllers.pods import PodFacts, facts_of, seconds_since

BURST = 500
PHASES = {"Pending": 0, "": 0, "Unknown": 1, "Running": 2}


class ReplicaSets:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._queue = Queue(registry, self._sync)
        self._orphans: set[Key] = set()
        self._specs: dict[int, tuple[Json, Json]] = {}
        on_events(registry, (REPLICA_SETS,), self._own_changed)
        on_events(registry, (PODS,), self._pod_changed)

    def _own_changed(self, event: Happened) -> None:
        if event.new is not None:
            self._queue.add(event.new.key)

    def _pod_changed(self, event: Happened) -> None:
        if event.old is not None and event.new is not None and _is_same_to_us(event.old, event.new):
            return
        owner = controller_of(event.item.obj)
        if owner is not None:
            if owner["kind"] == "ReplicaSet":
                self._queue.add((event.item.namespace, owner["name"]))
            return
        if event.new is not None:
            self._adopt_or_leave(event.new)
        if event.old is not None and (before := controller_of(event.old.obj)) is not None:
            self._queue.add((event.item.namespace, before["name"]))

    def _adopt_or_leave(self, pod: Item) -> None:
        for owner in self._registry.store.all(REPLICA_SETS, pod.namespace):
            if selector_test(owner.obj["spec"]["selector"])(facts_of(pod).labels):
                self._orphans.add(pod.key)
                self._queue.add(owner.key)

    def _sync(self, key: Key) -> None:
        owner = self._registry.store.get(REPLICA_SETS, *key)
        if owner is None:
            return
        pods = self._claimed(owner)
        active = [pod for pod in pods if facts_of(pod).is_active]
        if "deletionTimestamp" not in owner.meta:
            self._manage(owner, active)
        self._write_status(owner, pods, active)

    def _claimed(self, owner: Item) -> list[Item]:
        """Its pods: orphans that match are adopted, its own that match no more are released."""
        matches = selector_test(owner.obj["spec"]["selector"])
        mine, strangers, uid = [], [], owner.uid
        for pod in self._registry.store.owned_by(uid):
            if pod.kind is PODS and (facts := facts_of(pod)).controller == uid:
                (mine if matches(facts.labels) else strangers).append(pod)
        for pod in strangers:
            if not facts_of(pod).is_terminating:
                self._registry.change(pod, lambda obj: _owned(obj, None, uid))
        if "deletionTimestamp" not in owner.meta:
            mine += self._adopted(owner, matches)
        return mine

    def _adopted(self, owner: Item, matches: Test) -> list[Item]:
        found = [self._registry.store.get(PODS, *key) for key in sorted(self._orphans) if key[0] == owner.namespace]
        orphans = [
            pod
            for pod in found
            if pod and not pod.meta.get("ownerReferences") and matches(facts_of(pod).labels) and facts_of(pod).is_active
        ]
        self._orphans.difference_update(pod.key for pod in orphans)
        changed = [self._registry.change(pod, lambda obj: _owned(obj, owner_reference(owner), "")) for pod in orphans]
        return [pod for pod in changed if pod is not None]

    def _manage(self, owner: Item, active: list[Item]) -> None:
        wanted = int(owner.obj["spec"].get("replicas", 1))
        for _ in range(min(wanted - len(active), BURST)):
            pod = self._registry.create(PODS, owner.namespace, self._pod(owner))
            self._record(owner.obj, "Normal", "SuccessfulCreate", f"Created pod: {pod.name}", component="replicaset-controller")
        if wanted - len(active) > BURST:
            self._queue.add(owner.key)
        if len(active) > wanted:
            for pod in self._surplus(owner, active, len(active) - wanted):
                self._registry.delete(pod, {"preconditions": {"uid": pod.uid}})
                text = f"Deleted pod: {pod.name}"
                self._record(owner.obj, "Normal", "SuccessfulDelete", text, component="replicaset-controller")

    def _pod(self, owner: Item) -> Json:
        template = owner.obj["spec"]["template"]
        meta: Json = {
            key: v for key, v in (template.get("metadata") or {}).items() if key in ("labels", "annotations", "finalizers")
        }
        meta |= {"generateName": f"{owner.name}-", "ownerReferences": [owner_reference(owner)]}
        return {"metadata": meta, "spec": self._pod_spec(template["spec"])}

    def _pod_spec(self, spec: Json) -> Json:
        """One object for all pods of a template: it is never changed, and telling pods apart stays cheap."""
        known = self._specs.get(id(spec))
        if known is None or known[0] is not spec:
            known = self._specs[id(spec)] = (spec, {**POD_ONLY, **spec})
        return known[1]

    def _surplus(self, owner: Item, active: list[Item], count: int) -> list[Item]:
        now = self._registry.scheduler.utcnow()
        nodes = Counter(facts_of(pod).node for pod in self._related(owner))

        def rank(pod: Item) -> tuple[Any, ...]:
            facts = facts_of(pod)
            cost = int((pod.meta.get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", 0))
            ready_for = _magnitude(seconds_since(facts.ready_since, now)) if facts.is_ready and facts.ready_since else -1
            together = -nodes[facts.node]
            first = (bool(facts.node), PHASES.get(facts.phase, 2), facts.is_ready, cost, together, ready_for)
            return (*first, -facts.restarts, -_magnitude(seconds_since(facts.created, now)), pod.uid)

        return sorted(active, key=rank)[:count]

    def _related(self, owner: Item) -> list[Item]:
        """Active pods of all ReplicaSets of the same owner: on a node with many of them, one goes rather than elsewhere."""
        above = controller_of(owner.obj)
        owners = [owner]
        if above is not None:
            owners = [item for item in self._registry.store.owned_by(above["uid"]) if item.kind is REPLICA_SETS]
        pods = [pod for each in owners for pod in self._registry.store.owned_by(each.uid) if pod.kind is PODS]
        return [pod for pod in pods if facts_of(pod).is_active]

    def _write_status(self, owner: Item, pods: list[Item], active: list[Item]) -> None:
        spec = owner.obj["spec"]
        min_ready = spec.get("minReadySeconds", 0)
        ready = [facts for pod in active if (facts := facts_of(pod)).is_ready]
        available = len(ready)
        if min_ready:
            available = self._available(owner.key, ready, min_ready)
        wanted = ((spec["template"].get("metadata") or {}).get("labels") or {}).items()
        counts = {
            "fullyLabeledReplicas": sum(1 for pod in active if wanted <= facts_of(pod).labels.items()),
            "readyReplicas": len(ready),
            "availableReplicas": available,
        }
        terminating = sum(
            1 for pod in pods if facts_of(pod).is_terminating and facts_of(pod).phase not in ("Succeeded", "Failed")
        )
        status = {"replicas": len(active), **{key: value for key, value in counts.items() if value}}
        status |= {"terminatingReplicas": terminating, "observedGeneration": owner.meta["generation"]}
        if status != owner.obj.get("status"):
            self._registry.change(owner, lambda obj: {**obj, "status": status}, SELF_STATUS)

    def _available(self, key: Key, ready: list[PodFacts], min_ready: float) -> int:
        """Ready for long enough; looks again when the next one will be."""
        now = self._registry.scheduler.utcnow()
        left = [min_ready - seconds_since(facts.ready_since, now) for facts in ready]
        later = [seconds for seconds in left if seconds > 0]
        if later:
            self._queue.add(key, min(later) + 0.01)
        return len(left) - len(later)


def _is_same_to_us(old: Item, new: Item) -> bool:
    a, b = facts_of(old), facts_of(new)
    if (a.is_active, a.is_terminating, a.is_ready, a.phase) != (b.is_active, b.is_terminating, b.is_ready, b.phase):
        return False
    return old.meta.get("labels") == new.meta.get("labels") and old.meta.get("ownerReferences") == new.meta.get(
        "ownerReferences"
    )


def _magnitude(seconds: float) -> int:
    """Ages are compared by their order of magnitude, as the real controller does, so that ties fall anyhow."""
    return int(math.log2(max(1.0, seconds)))


def _owned(obj: Json, owner: Json | None, without: str) -> Json:
    owners = [o for o in obj["metadata"].get("ownerReferences") or () if o["uid"] != without]
    owners += [owner] if owner else []
    meta = {key: v for key, v in obj["metadata"].items() if key != "ownerReferences"}
    return {**obj, "metadata": {**meta, "ownerReferences": owners} if owners else meta}
