"""The small controllers: scheduling, garbage collection, namespaces."""

from __future__ import annotations

from functools import partial

from inplace.sim.api import kinds as k
from inplace.sim.api.errors import Json
from inplace.sim.api.registry import BINDING, SELF_STATUS, Registry
from inplace.sim.api.store import Happened, Item, Key
from inplace.sim.api.subresources import bound, unschedulable
from inplace.sim.controllers.base import Queue, Record, on_events
from inplace.sim.controllers.placement import fits, repelled, tolerates, untolerated

SCHEDULING = (0.005, 0.02)
CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Scheduling:
    """Pods go round the ready nodes that they fit in turn, whatever they ask for."""

    def __init__(self, registry: Registry, record: Record) -> None:
        self._registry = registry
        self._record = record
        self._turn = 0
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.PODS,), self._saw)
        on_events(registry, (k.NODES,), self._node_changed)

    def _saw(self, event: Happened) -> None:
        if event.new is not None and "nodeName" not in event.new.obj["spec"]:
            self._queue.add(event.new.key, self._registry.scheduler.between(*SCHEDULING))
        elif event.new is None:
            self._try_again()

    def _node_changed(self, event: Happened) -> None:
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


class GarbageCollection:
    """What has only owners that are gone goes too; an owner deleted in the foreground goes after what it owns.

    An owner of a kind that is not served may be there or not: what it owns is left alone.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._gone = Queue(registry, self._owner_gone)
        self._waiting = Queue(registry, self._owner_waits)
        registry.store.listen_to_all(self._saw)

    def _saw(self, event: Happened) -> None:
        item = event.item
        if event.new is None:
            if self._registry.store.owned_by(item.uid):
                self._gone.add(("", item.uid))
            for owner in item.meta.get("ownerReferences") or ():
                found = self._owner(item.namespace, owner)
                if found is not None and "deletionTimestamp" in found.meta:
                    self._wait(found)
        elif "deletionTimestamp" in item.meta and "foregroundDeletion" in (item.meta.get("finalizers") or ()):
            self._wait(item)
        elif event.old is None:
            self._check_owners(item)

    def _check_owners(self, item: Item) -> None:
        """Made for an owner that is gone already."""
        for owner in item.meta.get("ownerReferences") or ():
            if not self._may_live(item.namespace, owner):
                self._gone.add(("", owner["uid"]))

    def _owner(self, namespace: str, owner: Json) -> Item | None:
        kind = self._registry.store.kinds.called(owner.get("apiVersion", ""), owner.get("kind", ""))
        return self._registry.store.get(kind, namespace if kind.is_namespaced else "", owner["name"]) if kind else None

    def _may_live(self, namespace: str, owner: Json) -> bool:
        if self._registry.store.kinds.called(owner.get("apiVersion", ""), owner.get("kind", "")) is None:
            return True
        found = self._owner(namespace, owner)
        return found is not None and found.uid == owner["uid"]

    def _wait(self, owner: Item) -> None:
        self._waiting.add((f"{owner.kind.api_version}/{owner.kind.kind}/{owner.namespace}", owner.name))

    def _owner_gone(self, key: Key) -> None:
        for item in self._registry.store.owned_by(key[1]):
            owners = item.meta["ownerReferences"]
            living = [o for o in owners if self._may_live(item.namespace, o)]
            if living:
                self._registry.change(item, partial(_with_owners, owners=living))
            elif "deletionTimestamp" not in item.meta:
                self._registry.delete(item, {"preconditions": {"uid": item.uid}})

    def _owner_waits(self, key: Key) -> None:
        api_version, kind_name, namespace = key[0].rsplit("/", 2)
        kind = self._registry.store.kinds.called(api_version, kind_name)
        owner = self._registry.store.get(kind, namespace, key[1]) if kind is not None else None
        if owner is None or "deletionTimestamp" not in owner.meta:
            return
        dependents = self._registry.store.owned_by(owner.uid)
        for item in dependents:
            if "deletionTimestamp" not in item.meta:
                self._registry.delete(item, {"propagationPolicy": "Foreground" if item.kind is not k.PODS else "Background"})
        if not self._registry.store.owned_by(owner.uid):
            finalizers = [f for f in owner.meta.get("finalizers") or () if f != "foregroundDeletion"]
            self._registry.change(owner, lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": finalizers}})


class Namespaces:
    """A namespace that is deleted is emptied, and goes when it is empty. Every namespace has its default service account."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.NAMESPACES,), lambda event: self._queue.add(event.item.key) if event.new else None)

    def _sync(self, key: Key) -> None:
        space = self._registry.store.get(k.NAMESPACES, *key)
        if space is None:
            return
        if "deletionTimestamp" not in space.meta:
            if self._registry.store.get(k.SERVICE_ACCOUNTS, space.name, "default") is None:
                self._registry.create(k.SERVICE_ACCOUNTS, space.name, {"metadata": {"name": "default"}})
            return
        left = 0
        for kind in self._registry.store.kinds.stored:
            if not kind.is_namespaced:
                continue
            for item in self._registry.store.ordered(kind, space.name):
                left += kind is k.PODS
                if "deletionTimestamp" not in item.meta:
                    self._registry.delete(item, {})
        if left:
            self._queue.add(key, 0.25)
        else:
            self._registry.store.remove(space)


def _with_owners(obj: Json, owners: list[Json]) -> Json:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}}


def _may_have(node: Item, spec: Json) -> bool:
    if not is_ready(node) or not fits(spec, node) or untolerated(spec, node, ("NoSchedule", "NoExecute")):
        return False
    return not node.obj["spec"].get("unschedulable") or any(tolerates(t, CORDONED) for t in spec.get("tolerations") or ())


def is_ready(node: Item) -> bool:
    conditions = (node.obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
