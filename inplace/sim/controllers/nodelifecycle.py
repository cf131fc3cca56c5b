"""Nodes that fall silent, come back or are cordoned: their conditions and taints, and what becomes of their pods.

As in a real 1.36: a node is called unknown 40 to 55 s after its kubelet stopped (its last sign is up to 10 s old, 50 s are
granted, every 5 s is looked). At that moment `Ready` of its ready pods becomes False, while `ContainersReady`, the reason
and the containers' own status stay as the kubelet left them; 300 s later, by their tolerations, its pods are deleted, and stay
terminating until the kubelet is back. A DaemonSet's pods tolerate it for ever.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.clock import Timer
from inplace.sim.controllers.base import Queue, Record, on_events
from inplace.sim.controllers.placement import tolerates
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import NODES, PODS
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

SILENCE = (40.0, 55.0)
PREFIX = "node.kubernetes.io/"
BY_STATUS = {"False": "not-ready", "Unknown": "unreachable"}
OURS = tuple(PREFIX + what for what in (*BY_STATUS.values(), "unschedulable"))
HEALTHY = {
    kind: {"type": kind, "status": status, "reason": reason, "message": message}
    for kind, status, reason, message in (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
}
UNKNOWN = {"status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}


class Nodes:
    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._scheduler = registry.scheduler
        self._record = record
        self._silent: dict[str, Timer] = {}
        self._queue = Queue(registry, self._taint)
        on_events(registry, (NODES,), self._changed)

    def fell_silent(self, name: str) -> None:
        self._silent[name] = self._scheduler.after(self._scheduler.between(*SILENCE), lambda: self._lost(name))

    def is_back(self, name: str) -> None:
        if name in self._silent:
            self._silent.pop(name).cancel()
        self._set_conditions(name, known=True)

    def _changed(self, event: StoreEvent) -> None:
        if event.new is not None:
            self._queue.add(event.new.key)

    def _taint(self, key: Key) -> None:
        node = self._registry.store.get(NODES, *key)
        if node is None:
            return
        have = [t for t in node.obj["spec"].get("taints") or () if t["key"] in OURS]
        others = [t for t in node.obj["spec"].get("taints") or () if t["key"] not in OURS]
        taints = [next((t for t in have if (t["key"], t["effect"]) == wanted), None) or self._new(*wanted)
                  for wanted in _wanted(node.obj)]  # fmt: skip
        if taints == have:
            return
        spec = {key: value for key, value in node.obj["spec"].items() if key != "taints"}
        spec |= {"taints": [*others, *taints]} if others or taints else {}
        self._registry.change(node, lambda obj: {**obj, "spec": spec})
        fresh = [t for t in taints if t not in have and t["effect"] == "NoExecute"]
        for pod in self._pods_on(node.name) if fresh else ():
            self._evict_later(pod, fresh[0])

    def _new(self, key: str, effect: str) -> Json:
        return {"key": key, "effect": effect, "timeAdded": self._scheduler.stamp()}

    def _pods_on(self, node: str) -> list[StoredObject]:
        return [pod for pod in self._registry.store.ordered(PODS) if pod.obj["spec"].get("nodeName") == node]

    def _lost(self, name: str) -> None:
        self._set_conditions(name, known=False)
        for pod in self._pods_on(name):
            if _ready(pod.obj) == "True":
                made = self._registry.change(pod, partial(_not_ready, stamp=self._scheduler.stamp()), SELF_STATUS)
                self._say(made or pod, "Warning", "NodeNotReady", "Node is not ready")

    def _set_conditions(self, name: str, *, known: bool) -> None:
        stamp = self._scheduler.stamp()

        def change(obj: Json) -> Json:
            conditions = []
            for c in obj["status"]["conditions"]:
                said = HEALTHY[c["type"]] if known else UNKNOWN
                since = c["lastTransitionTime"] if c["status"] == said["status"] else stamp
                conditions.append({**c, **said, "lastHeartbeatTime": stamp, "lastTransitionTime": since})
            return {**obj, "status": {**obj["status"], "conditions": conditions}}

        self._registry.change(self._registry.store.get(NODES, "", name), change, SELF_STATUS)

    def _evict_later(self, pod: StoredObject, taint: Json) -> None:
        grants = [t for t in pod.obj["spec"].get("tolerations") or () if tolerates(t, taint)]
        if any("tolerationSeconds" not in grant for grant in grants):
            return
        seconds = min((float(grant["tolerationSeconds"]) for grant in grants), default=0.0)
        self._scheduler.after(seconds, partial(self._evict, pod, taint))

    def _evict(self, pod: StoredObject, taint: Json) -> None:
        now = self._registry.store.get(PODS, pod.namespace, pod.name)
        node = self._registry.store.get(NODES, "", str(pod.obj["spec"]["nodeName"]))
        if now is None or now.uid != pod.uid or node is None or taint not in (node.obj["spec"].get("taints") or ()):
            return
        made = self._registry.change(now, partial(_disrupted, stamp=self._scheduler.stamp()), SELF_STATUS) or now
        self._say(made, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {pod.namespace}/{pod.name}")
        self._registry.delete(made, {})

    def _say(self, pod: StoredObject, kind: str, reason: str, message: str) -> None:
        component = "node-controller" if kind == "Warning" else "taint-eviction-controller"
        self._record(pod.obj, kind, reason, message, component=component)


def _wanted(node: Json) -> list[tuple[str, str]]:
    """Key and effect of the taints that its state calls for."""
    status = next((c["status"] for c in node["status"].get("conditions") or () if c["type"] == "Ready"), "Unknown")
    down = PREFIX + BY_STATUS[status] if status in BY_STATUS else ""
    found = [(down, "NoSchedule"), (down, "NoExecute")] if down else []
    return [*found, *([(PREFIX + "unschedulable", "NoSchedule")] if node["spec"].get("unschedulable") else [])]


def _ready(pod: Json) -> str:
    return next((str(c["status"]) for c in pod["status"].get("conditions") or () if c["type"] == "Ready"), "")


def _not_ready(pod: Json, stamp: str) -> Json:
    conditions = [
        {**c, "status": "False", "lastTransitionTime": stamp} if c["type"] == "Ready" and c["status"] == "True" else c
        for c in pod["status"].get("conditions") or ()
    ]
    return {**pod, "status": {**pod["status"], "conditions": conditions}}


def _disrupted(pod: Json, stamp: str) -> Json:
    made: Any = {
        "type": "DisruptionTarget",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": stamp,
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    return {**pod, "status": {**pod["status"], "conditions": [*(pod["status"].get("conditions") or ()), made]}}
