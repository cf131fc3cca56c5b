"""The scheduler: gives each pod a node that may have it."""

from __future__ import annotations

from functools import partial

from inplace.sim.api.registry import BINDING, SELF_STATUS, Registry
from inplace.sim.api.subresources import bound, unschedulable
from inplace.sim.controllers.base import Queue, Record, on_events
from inplace.sim.controllers.placement import fits, repelled, tolerates, untolerated
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

SCHEDULING = (0.005, 0.02)
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Scheduler:
    """Pods go round the ready nodes that they fit in turn, whatever they ask for."""

    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._turn = 0
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.PODS,), self._saw)
        on_events(registry, (k.NODES,), self._node_changed)

    def _saw(self, event: StoreEvent) -> None:
        if event.new is not None and "nodeName" not in event.new.obj["spec"]:
            self._queue.add(event.new.key, self._registry.scheduler.between(*SCHEDULING))
        elif event.new is None:
            self._try_again()

    def _node_changed(self, event: StoreEvent) -> None:
        if event.new is not None:
            self._try_again()

    def _try_again(self) -> None:
        for pod in self._registry.store.all(k.PODS):
            if "nodeName" not in pod.obj["spec"]:
                self._queue.add(pod.key)

    def _sync(self, key: Key) -> None:
        pod = self._registry.store.get(k.PODS, *key)
        if pod is None or "nodeName" in pod.obj["spec"] or "deletionTimestamp" in pod.meta:
            return
        spec, others = pod.obj["spec"], self._registry.store.ordered(k.PODS, pod.namespace)
        nodes = [n for n in self._registry.store.ordered(k.NODES) if _may_have(n, spec) and not repelled(spec, n, others)]
        if not nodes:
            self._registry.change(pod, partial(unschedulable, stamp=self._registry.scheduler.stamp()), SELF_STATUS)
            return
        node = nodes[self._turn % len(nodes)].name
        self._turn += 1
        self._registry.change(pod, lambda obj: bound(obj, node, self._registry.scheduler.stamp()), BINDING)
        text = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
        self._record(pod.obj, "Normal", "Scheduled", text, component="default-scheduler")


def _may_have(node: StoredObject, spec: Json) -> bool:
    if not is_ready(node) or not fits(spec, node) or untolerated(spec, node, ("NoSchedule", "NoExecute")):
        return False
    return not node.obj["spec"].get("unschedulable") or any(tolerates(t, CORDONED) for t in spec.get("tolerations") or ())


def is_ready(node: StoredObject) -> bool:
    conditions = (node.obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
