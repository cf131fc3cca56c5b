"""DaemonSets: one pod on each node that may have one, replaced by deletion (maxUnavailable) or beside the old one (maxSurge).

What our product relies on, and so holds here too (design, section 5): pods are told apart by the bare hash in
`controller-revision-hash`, or by `pod-template-generation`; under RollingUpdate an old pod that is not available is replaced
at once, beyond maxUnavailable, so a drained one would be; under OnDelete nothing old is touched, and what is made is new.
"""

from __future__ import annotations

from typing import Any

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, Record, controller_of, on_events
from inplace.sim.controllers.placement import target_node
from inplace.sim.controllers.pods import facts_of
from inplace.sim.controllers.workloads.daemonset_rollout import HASH, Sync, daemon_pod, placed, rolled
from inplace.sim.controllers.workloads.pod_refs import PodRefManager
from inplace.sim.controllers.workloads.revisions import ControllerHistory
from inplace.sim.objects.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

COMPONENT = "daemonset-controller"


class DaemonSets:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._queue = Queue(registry, self._sync)
        self._history = ControllerHistory(registry, HASH)
        self._claims = PodRefManager(registry, DAEMON_SETS, self._queue)
        on_events(registry, (CONTROLLER_REVISIONS,), self._revision_changed)
        on_events(registry, (NODES,), self._node_changed)

    def _revision_changed(self, event: StoreEvent) -> None:
        owner = controller_of(event.item.obj)
        if owner is not None and owner["kind"] == "DaemonSet":
            self._queue.add((event.item.namespace, owner["name"]))

    def _node_changed(self, event: StoreEvent) -> None:
        if event.old is not None and event.new is not None and _placing(event.old) == _placing(event.new):
            return
        for owner in self._registry.store.all(DAEMON_SETS):
            self._queue.add(owner.key)

    def _sync(self, key: Key) -> None:
        owner = self._registry.store.get(DAEMON_SETS, *key)
        if owner is None or "deletionTimestamp" in owner.meta:
            return
        self._claims.settle(owner)
        known = self._history.of(owner)
        revision, _ = self._history.current(owner, known)
        sync = Sync(owner, self._history.hash_of(revision), self._registry.scheduler.utcnow())
        nodes = self._registry.store.ordered(NODES)
        pods = self._pods_by_node(owner)
        changed = self._act(sync, *placed(sync, nodes, pods))
        if not changed and sync.is_rolling:
            self._act(sync, *rolled(sync, nodes, pods))
        self._write_status(sync, nodes)
        live = {facts_of(pod).labels.get(HASH) for each in pods.values() for pod in each}
        old = [item for item in known if item.uid != revision.uid]
        self._truncate(owner, old, live)

    def _truncate(self, owner: StoredObject, old: list[StoredObject], live: set[Any]) -> None:
        """All old ones count, but those that pods still use are passed over."""
        surplus = len(old) - int(owner.obj["spec"]["revisionHistoryLimit"])
        dead = [item for item in old if self._history.hash_of(item) not in live]
        for item in dead[: max(0, surplus)]:
            self._registry.delete(item, {})

    def _pods_by_node(self, owner: StoredObject) -> dict[str, list[StoredObject]]:
        """The oldest first."""
        found: dict[str, list[StoredObject]] = {}
        for pod in sorted(self._claims.of(owner).pods.values(), key=_age_rank):
            facts = facts_of(pod)
            if not (facts.is_terminating and facts.phase in ("Succeeded", "Failed")) and (node := target_node(pod.obj)):
                found.setdefault(node, []).append(pod)
        return found

    def _act(self, sync: Sync, nodes: list[str], surplus: list[StoredObject]) -> bool:
        for node in nodes:
            pod = self._registry.create(PODS, sync.owner.namespace, daemon_pod(sync.owner, node, sync.hash))
            self._say(sync.owner, "SuccessfulCreate", f"Created pod: {pod.name}")
        for pod in surplus:
            self._registry.delete(pod, {})
            self._say(sync.owner, "SuccessfulDelete", f"Deleted pod: {pod.name}")
        return bool(nodes or surplus)

    def _say(self, owner: StoredObject, reason: str, text: str) -> None:
        self._record(owner.obj, "Normal", reason, text, component=COMPONENT)

    def _write_status(self, sync: Sync, nodes: list[StoredObject]) -> None:
        pods = self._pods_by_node(sync.owner)
        wanted = [node for node in nodes if sync.should_run(node)]
        oldest = [pods[node.name][0] for node in wanted if node.name in pods]
        ready = [pod for pod in oldest if facts_of(pod).is_ready]
        available = sum(1 for pod in ready if sync.is_available(pod))
        waits = [left for pod in ready if (left := sync.seconds_left(pod)) is not None and left > 0]
        if waits:
            self._queue.add(sync.owner.key, min(waits) + 0.01)
        counts = {
            "currentNumberScheduled": len(oldest),
            "numberMisscheduled": sum(1 for node in nodes if node not in wanted and node.name in pods),
            "desiredNumberScheduled": len(wanted),
            "numberReady": len(ready),
        }
        extra = {
            "updatedNumberScheduled": sum(1 for pod in oldest if sync.is_updated(pod)),
            "numberAvailable": available,
            "numberUnavailable": len(wanted) - available,
        }
        status = {**counts, "observedGeneration": sync.owner.meta["generation"], **{f: n for f, n in extra.items() if n}}
        self._registry.change(sync.owner, lambda obj: {**obj, "status": status}, SELF_STATUS)


def _age_rank(pod: StoredObject) -> tuple[bool, str, str]:
    return (not pod.obj["spec"].get("nodeName"), facts_of(pod).created, pod.name)


def _placing(node: StoredObject) -> tuple[Any, Any]:
    return node.meta.get("labels"), (node.obj.get("spec") or {}).get("taints")
