"""Which pods of a DaemonSet to make and which to delete, for placement and for an update. Pure functions of one look at it."""

from __future__ import annotations

from datetime import datetime

from inplace.sim.api.registry import TEMPLATE_GENERATION
from inplace.sim.controllers.base import resolve
from inplace.sim.controllers.placement import fits, node_affinity, untolerated
from inplace.sim.controllers.pods import facts_of, pod_from, seconds_to_available
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import StoredObject

HASH = "controller-revision-hash"
GENERATION = "pod-template-generation"
TOLERATIONS: list[Json] = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": effect}
    for effect, reasons in (
        ("NoExecute", ("not-ready", "unreachable")),
        ("NoSchedule", ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")),
    )
    for what in reasons
]
"""A node that is not ready keeps its daemon, but gets no new one; a cordoned node does."""
PodPosition = dict[str, "tuple[StoredObject | None, StoredObject | None] | None"]
"""The new and the old pod of each node; None where it has more than one of either."""


class Sync:
    """One look at a DaemonSet: its numbers and its pods' standing at one instant."""

    def __init__(self, owner: StoredObject, digest: str, now: datetime) -> None:
        self.owner = owner
        self.hash = digest
        self._now = now
        self._pod_spec = daemon_pod(owner, "", digest)["spec"]
        self._min_ready = owner.obj["spec"].get("minReadySeconds", 0)

    @property
    def is_rolling(self) -> bool:
        return bool(self.owner.obj["spec"]["updateStrategy"]["type"] == "RollingUpdate")

    def limits(self, wanted: int) -> tuple[int, int]:
        """maxSurge and maxUnavailable."""
        rolling = self.owner.obj["spec"]["updateStrategy"].get("rollingUpdate") if self.is_rolling else None
        surge = resolve((rolling or {}).get("maxSurge", 0), wanted, up=True)
        unavailable = resolve((rolling or {}).get("maxUnavailable", 0), wanted, up=True)
        return surge, 1 if wanted and not surge and not unavailable else unavailable

    def should_run(self, node: StoredObject) -> bool:
        return fits(self._pod_spec, node) and not untolerated(self._pod_spec, node, ("NoSchedule", "NoExecute"))

    def may_stay(self, node: StoredObject) -> bool:
        return fits(self._pod_spec, node) and not untolerated(self._pod_spec, node, ("NoExecute",))

    def is_updated(self, pod: StoredObject) -> bool:
        labels = facts_of(pod).labels
        generation = (self.owner.meta.get("annotations") or {}).get(TEMPLATE_GENERATION)
        return labels.get(HASH) == self.hash or (generation is not None and labels.get(GENERATION) == generation)

    def seconds_left(self, pod: StoredObject) -> float | None:
        return seconds_to_available(facts_of(pod), self._min_ready, self._now)

    def is_available(self, pod: StoredObject) -> bool:
        left = self.seconds_left(pod)
        return left is not None and left <= 0

    def new_and_old(self, pods: list[StoredObject]) -> tuple[StoredObject | None, StoredObject | None] | None:
        """None: more than one of either."""
        living = [pod for pod in pods if not facts_of(pod).is_terminating]
        new = [pod for pod in living if self.is_updated(pod)]
        old = [pod for pod in living if not self.is_updated(pod)]
        return None if len(new) > 1 or len(old) > 1 else (next(iter(new), None), next(iter(old), None))


def placed(sync: Sync, nodes: list[StoredObject], pods: dict[str, list[StoredObject]]) -> tuple[list[str], list[StoredObject]]:
    """Nodes that lack a pod, and pods that are too many, failed, or on the wrong node."""
    surges = sync.limits(1)[0] > 0
    lacking: list[str] = []
    surplus: list[StoredObject] = []
    for node in nodes:
        here = pods.get(node.name, [])
        living = [pod for pod in here if not facts_of(pod).is_terminating]
        if not sync.may_stay(node):
            surplus += living
            continue
        over = [pod for pod in living if facts_of(pod).phase in ("Succeeded", "Failed")]
        running = [pod for pod in living if pod not in over]
        surplus += over
        if not here or (surges and not running):
            lacking += [node.name] if sync.should_run(node) else []
        elif not surges:
            surplus += running[1:]
        elif len(running) > 1:
            surplus += _surplus_of_surge(sync, running)
    return lacking, surplus


def _surplus_of_surge(sync: Sync, running: list[StoredObject]) -> list[StoredObject]:
    """An old and a new pod may stand beside each other until one of them decides it."""
    new = [pod for pod in running if facts_of(pod).labels.get(HASH) == sync.hash]
    old = [pod for pod in running if pod not in new]
    surplus = new[1:] + old[1:]
    if new and old and (not facts_of(old[0]).is_ready or sync.is_available(new[0])):
        surplus.append(old[0])
    return surplus


def rolled(sync: Sync, nodes: list[StoredObject], pods: dict[str, list[StoredObject]]) -> tuple[list[str], list[StoredObject]]:
    """Where to surge, and what to delete, for the update."""
    wanted = [node for node in nodes if sync.should_run(node)]
    surge, unavailable = sync.limits(len(wanted))
    here = {node.name: sync.new_and_old(pods.get(node.name, [])) for node in nodes if node in wanted or node.name in pods}
    if surge:
        return _surged(sync, surge, here, {node.name for node in wanted})
    return [], _deleted(sync, unavailable, here)


def _deleted(sync: Sync, most: int, here: PodPosition) -> list[StoredObject]:
    down, gone, candidates = 0, [], []
    for found in here.values():
        match found:
            case (None, old) if old is not None and not sync.is_available(old):
                gone.append(old)
                down += 1
            case (None, old) if old is not None:
                candidates.append(old)
            case (new, None) if new is not None and sync.is_available(new):
                pass
            case _:
                down += 1
    return gone + candidates[: max(0, most - down)]


def _surged(sync: Sync, most: int, here: PodPosition, wanted: set[str]) -> tuple[list[str], list[StoredObject]]:
    surging = 0
    must: list[str] = []
    may: list[str] = []
    gone: list[StoredObject] = []
    for node, found in here.items():
        match found:
            case None:
                surging += 1
            case (_, None):
                pass
            case (None, old) if node not in wanted:
                gone += [] if old is None or sync.is_available(old) else [old]
            case (None, old) if old is not None:
                (may if sync.is_available(old) else must).append(node)
            case (new, old) if new is not None and old is not None and sync.is_available(new):
                gone.append(old)
            case _:
                surging += 1
    return must + may[: max(0, most - surging)], gone


def daemon_pod(owner: StoredObject, node: str, digest: str) -> Json:
    """`node` "": one that may go anywhere that its template allows."""
    made = pod_from(owner, owner.obj["spec"]["template"])
    labels = {**(made["metadata"].get("labels") or {}), HASH: digest}
    generation = (owner.meta.get("annotations") or {}).get(TEMPLATE_GENERATION)
    if generation is not None:
        labels[GENERATION] = generation
    spec = made["spec"]
    ours = {(t["key"], t["effect"]) for t in TOLERATIONS}
    kept = [t for t in spec.get("tolerations") or () if (t.get("key"), t.get("effect")) not in ours]
    spec = {**spec, "tolerations": [*kept, *TOLERATIONS]}
    if node:
        affinity = spec.get("affinity") or {}
        spec["affinity"] = {**affinity, "nodeAffinity": {**(affinity.get("nodeAffinity") or {}), **node_affinity(node)}}
    return {"metadata": {**made["metadata"], "labels": labels}, "spec": spec}
