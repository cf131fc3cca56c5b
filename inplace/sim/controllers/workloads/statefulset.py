"""StatefulSets: pods with names and an order, made and replaced one by one, each from the revision that its place calls for.

What our product relies on, and so holds here too (design, section 5): the partition is an index, ordinal less
`ordinals.start`; a pod recreated below it comes from `currentRevision`, above it from `updateRevision`; `currentRevision`
becomes `updateRevision` at the moment when every pod is ready and carries the new label, whatever the partition is; under
OrderedReady a pod that is not ready stops creation, scale-down and update beyond it. `maxUnavailable` does nothing, as in a
real 1.36, where its feature gate is off: an update replaces one pod at a time, under Parallel too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, Record
from inplace.sim.controllers.pods import facts_of, pod_from, seconds_to_available
from inplace.sim.controllers.workloads.pod_refs import PodRefManager
from inplace.sim.controllers.workloads.revisions import ControllerHistory, template_of
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import PODS, STATEFUL_SETS
from inplace.sim.objects.store import Key, StoredObject

HASH = "controller.kubernetes.io/hash"
REVISION = "controller-revision-hash"
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
COMPONENT = "statefulset-controller"


@dataclass(frozen=True)
class StatefulSetState:
    """One look at a StatefulSet. `replicas` stand at their index, None where there is no pod; `condemned` highest first."""

    owner: StoredObject
    current: StoredObject
    update: StoredObject
    pods: list[StoredObject]
    replicas: list[StoredObject | None]
    condemned: list[StoredObject]

    @property
    def is_ordered(self) -> bool:
        return bool(self.owner.obj["spec"]["podManagementPolicy"] != "Parallel")

    @property
    def rolling(self) -> Json | None:
        """None: OnDelete, or no parameters given."""
        found: Json | None = self.owner.obj["spec"]["updateStrategy"].get("rollingUpdate")
        return found

    @property
    def is_rolling(self) -> bool:
        return bool(self.owner.obj["spec"]["updateStrategy"]["type"] == "RollingUpdate")


class StatefulSets:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._queue = Queue(registry, self._sync)
        self._history = ControllerHistory(registry, HASH)
        self._claims = PodRefManager(registry, STATEFUL_SETS, self._queue, lambda owner, pod: parent_of(pod) == owner.name)

    def _sync(self, key: Key) -> None:
        owner = self._registry.store.get(STATEFUL_SETS, *key)
        if owner is None:
            return
        self._claims.settle(owner)
        known = self._history.of(owner)
        update, collisions = self._history.current(owner, known)
        name = (owner.obj.get("status") or {}).get("currentRevision")
        current = next((item for item in known if item.name == name), update)
        view = self._view(owner, current, update)
        counts = self._counts(view)
        if "deletionTimestamp" not in owner.meta and self._manage(view):
            counts["currentReplicas"] -= 1
        self._write_status(view, counts, collisions)
        live = {current.name, update.name, *(revision_of(pod) for pod in view.pods)}
        self._history.truncate(owner, (item for item in known if item.name not in live))

    def _view(self, owner: StoredObject, current: StoredObject, update: StoredObject) -> StatefulSetState:
        first, count = start_of(owner), int(owner.obj["spec"]["replicas"])
        pods = sorted(self._claims.of(owner).pods.values(), key=ordinal_of)
        replicas: list[StoredObject | None] = [None] * count
        condemned = []
        for pod in pods:
            if 0 <= (index := ordinal_of(pod) - first) < count:
                replicas[index] = pod
            elif ordinal_of(pod) >= 0:
                condemned.append(pod)
        return StatefulSetState(owner, current, update, pods, replicas, condemned[::-1])

    def _manage(self, view: StatefulSetState) -> bool:
        """Whether a pod was taken down for the update."""
        if not self._fill(view) or not self._shrink(view):
            return False
        return view.is_rolling and self._roll(view)

    def _fill(self, view: StatefulSetState) -> bool:
        """Creates what is missing, from below. False: nothing more may be done now."""
        for index, pod in enumerate(view.replicas):
            if pod is None:
                self._create(view, index)
            elif facts_of(pod).phase in ("Succeeded", "Failed"):
                if not facts_of(pod).is_terminating:
                    self._delete(view, pod)
            elif self._is_available(view.owner, pod) and not facts_of(pod).is_terminating:
                continue
            if view.is_ordered:
                return False
        return True

    def _shrink(self, view: StatefulSetState) -> bool:
        """Deletes what is too much, from above: in order, one at a time, and past one that is not available only if it is the
        first such of all. False: nothing more may be done now."""
        unavailable = [pod for pod in (*view.replicas, *view.condemned[::-1]) if self._is_unavailable(view.owner, pod)]
        for pod in view.condemned:
            if facts_of(pod).is_terminating:
                if view.is_ordered:
                    return False
                continue
            if view.is_ordered and not self._is_available(view.owner, pod) and pod is not unavailable[0]:
                return False
            self._delete(view, pod)
            if view.is_ordered:
                return False
        return True

    def _roll(self, view: StatefulSetState) -> bool:
        """The highest that is not of the update revision goes, once all above it are available."""
        lowest = int((view.rolling or {}).get("partition", 0))
        for pod in view.replicas[lowest:][::-1]:
            if pod is not None and revision_of(pod) != view.update.name and not facts_of(pod).is_terminating:
                self._delete(view, pod)
                return True
            if self._is_unavailable(view.owner, pod):
                return False
        return False

    def _is_available(self, owner: StoredObject, pod: StoredObject) -> bool:
        """Looks again when it will be."""
        facts, now = facts_of(pod), self._registry.scheduler.utcnow()
        left = seconds_to_available(facts, owner.obj["spec"].get("minReadySeconds", 0), now)
        if left is None or facts.phase != "Running":
            return False
        if left > 0:
            self._queue.add(owner.key, left + 0.01)
        return left <= 0

    def _is_unavailable(self, owner: StoredObject, pod: StoredObject | None) -> bool:
        return pod is None or facts_of(pod).is_terminating or not self._is_available(owner, pod)

    def _create(self, view: StatefulSetState, index: int) -> None:
        ordinal = start_of(view.owner) + index
        revision = view.current if self._is_of_current(view, index) else view.update
        body = stateful_pod(view.owner, template_of(revision), ordinal, revision.name)
        pod = self._registry.create(PODS, view.owner.namespace, body)
        self._say(view.owner, "Create", pod)

    def _is_of_current(self, view: StatefulSetState, index: int) -> bool:
        if view.rolling is not None:
            return index < int(view.rolling["partition"])
        return view.is_rolling and index < int((view.owner.obj.get("status") or {}).get("currentReplicas", 0))

    def _delete(self, view: StatefulSetState, pod: StoredObject) -> None:
        self._registry.delete(pod, {})
        self._say(view.owner, "Delete", pod)

    def _say(self, owner: StoredObject, verb: str, pod: StoredObject) -> None:
        text = f"{verb} Pod {pod.name} in StatefulSet {owner.name} successful"
        self._record(owner.obj, "Normal", f"Successful{verb}", text, component=COMPONENT)

    def _counts(self, view: StatefulSetState) -> dict[str, int]:
        ready = [pod for pod in view.pods if facts_of(pod).is_ready and facts_of(pod).phase == "Running"]
        living = [revision_of(pod) for pod in view.pods if not facts_of(pod).is_terminating]
        return {
            "replicas": len(view.pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(1 for pod in ready if self._is_available(view.owner, pod)),
            "currentReplicas": living.count(view.current.name),
            "updatedReplicas": living.count(view.update.name),
        }

    def _write_status(self, view: StatefulSetState, counts: dict[str, int], collisions: int) -> None:
        current, wanted = view.current, view.owner.obj["spec"]["replicas"]
        done = [counts[field] for field in ("updatedReplicas", "readyReplicas", "replicas")]
        if view.is_rolling and done == [wanted] * 3:
            current = view.update
            counts["currentReplicas"] = counts["updatedReplicas"]
        status: dict[str, Any] = {"observedGeneration": view.owner.meta["generation"]}
        status |= {field: n for field, n in counts.items() if n or field in ("replicas", "availableReplicas")}
        status |= {"currentRevision": current.name, "updateRevision": view.update.name, "collisionCount": collisions}
        self._registry.change(view.owner, lambda obj: {**obj, "status": status}, SELF_STATUS)


def start_of(owner: StoredObject) -> int:
    return int((owner.obj["spec"].get("ordinals") or {}).get("start", 0))


def parent_of(pod: StoredObject) -> str:
    parent, _, number = pod.name.rpartition("-")
    return parent if number.isdecimal() else ""


def ordinal_of(pod: StoredObject) -> int:
    number = pod.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def revision_of(pod: StoredObject) -> str:
    return str(facts_of(pod).labels.get(REVISION, ""))


def stateful_pod(owner: StoredObject, template: Json, ordinal: int, revision: str) -> Json:
    made = pod_from(owner, template)
    name = f"{owner.name}-{ordinal}"
    labels = {**(made["metadata"].get("labels") or {}), POD_NAME: name, POD_INDEX: str(ordinal), REVISION: revision}
    service = owner.obj["spec"].get("serviceName")
    spec = {**made["spec"], "hostname": name, **({"subdomain": service} if service else {})}
    return {"metadata": {**made["metadata"], "name": name, "labels": labels}, "spec": spec}
