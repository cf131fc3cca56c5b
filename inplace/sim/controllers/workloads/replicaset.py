"""ReplicaSets: as many pods as asked, made from the template of this moment; living pods are never touched by a new template.

Too many: those that are not ready go first, then those that share a node, then the newest ready ones, the most restarted,
the newest. So a scale-down may take exactly the pods that were upgraded in place (design, section 4).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, Record, controller_of
from inplace.sim.controllers.pods import PodSummary, facts_of, pod_from, seconds_since, seconds_to_available
from inplace.sim.controllers.workloads.census import PodCounts
from inplace.sim.controllers.workloads.pod_refs import PodRefManager
from inplace.sim.objects.defaults import POD_ONLY
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import PODS, REPLICA_SETS
from inplace.sim.objects.store import Key, StoredObject

BURST = 500
PHASES = {"Pending": 0, "": 0, "Unknown": 1, "Running": 2}


class ReplicaSets:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._queue = Queue(registry, self._sync)
        self._claims = PodRefManager(registry, REPLICA_SETS, self._queue)
        self._specs: dict[int, tuple[Json, Json]] = {}

    def _sync(self, key: Key) -> None:
        owner = self._registry.store.get(REPLICA_SETS, *key)
        if owner is None:
            return
        self._claims.settle(owner)
        if "deletionTimestamp" not in owner.meta:
            self._manage(owner)
        self._write_status(owner)

    def _manage(self, owner: StoredObject) -> None:
        census, wanted = self._claims.of(owner), int(owner.obj["spec"].get("replicas", 1))
        have = census.active
        for _ in range(min(wanted - have, BURST)):
            pod = self._registry.create(PODS, owner.namespace, self._pod(owner))
            self._record(owner.obj, "Normal", "SuccessfulCreate", f"Created pod: {pod.name}", component="replicaset-controller")
        if wanted - have > BURST:
            self._queue.add(owner.key)
        if have > wanted:
            for pod in self._surplus(owner, census.active_pods(), have - wanted):
                self._registry.delete(pod, {"preconditions": {"uid": pod.uid}})
                text = f"Deleted pod: {pod.name}"
                self._record(owner.obj, "Normal", "SuccessfulDelete", text, component="replicaset-controller")

    def _pod(self, owner: StoredObject) -> Json:
        made = pod_from(owner, owner.obj["spec"]["template"])
        return {**made, "spec": self._pod_spec(made["spec"])}

    def _pod_spec(self, spec: Json) -> Json:
        """One object for all pods of a template: it is never changed, and telling pods apart stays cheap."""
        known = self._specs.get(id(spec))
        if known is None or known[0] is not spec:
            known = self._specs[id(spec)] = (spec, {**POD_ONLY, **spec})
        return known[1]

    def _surplus(self, owner: StoredObject, active: list[StoredObject], count: int) -> list[StoredObject]:
        now = self._registry.scheduler.utcnow()
        nodes = Counter(facts_of(pod).node for pod in self._related(owner))

        def rank(pod: StoredObject) -> tuple[Any, ...]:
            facts = facts_of(pod)
            cost = int((pod.meta.get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", 0))
            ready_for = _magnitude(seconds_since(facts.ready_since, now)) if facts.is_ready and facts.ready_since else -1
            together = -nodes[facts.node]
            first = (bool(facts.node), PHASES.get(facts.phase, 2), facts.is_ready, cost, together, ready_for)
            return (*first, -facts.restarts, -_magnitude(seconds_since(facts.created, now)), pod.uid)

        return sorted(active, key=rank)[:count]

    def _related(self, owner: StoredObject) -> list[StoredObject]:
        """Active pods of all ReplicaSets of the same owner: on a node with many of them, one goes rather than elsewhere."""
        above = controller_of(owner.obj)
        owners = [owner]
        if above is not None:
            owners = [item for item in self._registry.store.owned_by(above["uid"]) if item.kind is REPLICA_SETS]
        return [pod for each in owners for pod in self._claims.of(each).active_pods()]

    def _write_status(self, owner: StoredObject) -> None:
        spec, census = owner.obj["spec"], self._claims.of(owner)
        min_ready = spec.get("minReadySeconds", 0)
        counts = {
            "fullyLabeledReplicas": self._fully_labeled(owner, census),
            "readyReplicas": census.ready,
            "availableReplicas": self._available(owner.key, census.ready_facts(), min_ready) if min_ready else census.ready,
        }
        status = {"replicas": census.active, **{key: value for key, value in counts.items() if value}}
        status |= {"terminatingReplicas": census.terminating, "observedGeneration": owner.meta["generation"]}
        if status != owner.obj.get("status"):
            self._registry.change(owner, lambda obj: {**obj, "status": status}, SELF_STATUS)

    def _fully_labeled(self, owner: StoredObject, census: PodCounts) -> int:
        """All, unless the template's labels are more than its selector's."""
        labels = ((owner.obj["spec"]["template"].get("metadata") or {}).get("labels") or {}).items()
        if labels == (owner.obj["spec"]["selector"].get("matchLabels") or {}).items():
            return census.active
        return sum(1 for pod in census.active_pods() if labels <= facts_of(pod).labels.items())

    def _available(self, key: Key, ready: list[PodSummary], min_ready: float) -> int:
        """Ready for long enough; looks again when the next one will be."""
        now = self._registry.scheduler.utcnow()
        left = [seconds_to_available(facts, min_ready, now) or 0.0 for facts in ready]
        later = [seconds for seconds in left if seconds > 0]
        if later:
            self._queue.add(key, min(later) + 0.01)
        return len(left) - len(later)


def _magnitude(seconds: float) -> int:
    """Ages are compared by their order of magnitude, as the real controller does, so that ties fall anyhow."""
    return int(math.log2(max(1.0, seconds)))
