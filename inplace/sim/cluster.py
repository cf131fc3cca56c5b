"""The whole embedded cluster: API server, controllers, nodes, Events, put together on one scheduler.

Everything that happens is a function of the seed and of what clients do when. One thread; a `Pacer` makes it usable from
several.
"""

from __future__ import annotations

from datetime import datetime

from inplace.sim.api.discovery import VERSION
from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.api.server import Server
from inplace.sim.clock import EPOCH, EventLoop
from inplace.sim.controllers.budgets import DisruptionBudgets
from inplace.sim.controllers.customresources import CustomResources
from inplace.sim.controllers.endpointslice import EndpointSlices
from inplace.sim.controllers.garbagecollector import GarbageCollector
from inplace.sim.controllers.namespace import NamespaceController
from inplace.sim.controllers.nodelifecycle import HEALTHY, Nodes
from inplace.sim.controllers.quotas import ResourceQuotas
from inplace.sim.controllers.scheduler import Scheduler
from inplace.sim.controllers.workloads.daemonset import DaemonSets
from inplace.sim.controllers.workloads.deployment import Deployments
from inplace.sim.controllers.workloads.replicaset import ReplicaSets
from inplace.sim.controllers.workloads.statefulset import StatefulSets
from inplace.sim.kubelet.images import Catalog
from inplace.sim.kubelet.kubelet import Kubelet
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.store import Store, StoredObject, StoreEvent


class Cluster:
    """`events` False saves the work of Event objects; nothing else changes."""

    def __init__(
        self, seed: int = 0, nodes: int = 2, *, epoch: datetime = EPOCH, events: bool = True, window: int = 20_000
    ) -> None:
        self.scheduler = EventLoop(seed, epoch)
        self.store = Store(window)
        self.registry = Registry(self.store, self.scheduler)
        self.server = Server(self.registry)
        self.catalog = Catalog()
        self._events: dict[tuple[str, str, str], StoredObject] = {}
        self._records = events
        self._recorded = 0
        self.deployments = Deployments(self.registry, self.record)
        self.replica_sets = ReplicaSets(self.registry, self.record)
        self.stateful_sets = StatefulSets(self.registry, self.record)
        self.daemon_sets = DaemonSets(self.registry, self.record)
        self.endpoint_slices = EndpointSlices(self.registry)
        self.scheduling = Scheduler(self.registry, self.record)
        self.garbage = GarbageCollector(self.registry)
        self.namespaces = NamespaceController(self.registry)
        self.budgets = DisruptionBudgets(self.registry)
        self.quotas = ResourceQuotas(self.registry)
        self.custom_resources = CustomResources(self.registry)
        self.kubelets: dict[str, Kubelet] = {}
        self.nodes = Nodes(self.registry, self.record)
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.registry.create(k.NAMESPACES, "", {"metadata": {"name": name}})
        for number in range(1, nodes + 1):
            self._add_node(number)
        self.store.listen((k.PODS,), self._pod_changed)

    def kubelet_of(self, pod: Json) -> Kubelet | None:
        return self.kubelets.get(str(pod["spec"].get("nodeName", "")))

    def set_kubelet_version(self, node: str, version: str) -> None:
        """Before its first pod. Nodes may be up to three releases behind the API server."""
        major, minor = (int(number) for number in version.removeprefix("v").split(".")[:2])
        self.kubelets[node].reports_generation = (major, minor) >= (1, 34)

        def change(obj: Json) -> Json:
            info = {**obj["status"]["nodeInfo"], "kubeletVersion": version}
            return {**obj, "status": {**obj["status"], "nodeInfo": info}}

        self.registry.change(self.store.get(k.NODES, "", node), change, SELF_STATUS)

    def stop_node(self, name: str) -> None:
        """Its machine is cut off: after some time it, and its pods, are not ready."""
        self.kubelets[name].go_down()
        self.nodes.fell_silent(name)

    def start_node(self, name: str) -> None:
        kubelet = self.kubelets[name]
        if kubelet.is_up:
            return
        kubelet.come_up()
        self.nodes.is_back(name)
        for worker in kubelet.workers.values():
            worker.trigger()

    def record(
        self, obj: Json, kind: str, reason: str, message: str, *, component: str, host: str = "", field: str = ""
    ) -> None:
        """An Event about an object; the same again only counts up."""
        if not self._records:
            return
        meta, stamp = obj["metadata"], self.scheduler.stamp()
        key = (meta["uid"], reason, message)
        known = self._events.get(key)
        if known is not None and self.store.get(k.EVENTS, known.namespace, known.name) is not None:
            made = self.registry.change(known, lambda old: {**old, "count": old["count"] + 1, "lastTimestamp": stamp})
            self._events[key] = made or known
            return
        space = self.store.get(k.NAMESPACES, "", meta.get("namespace", "default"))
        if space is None or space.obj["status"]["phase"] == "Terminating":
            return
        involved = {"kind": obj["kind"], "namespace": meta.get("namespace", ""), "name": meta["name"], "uid": meta["uid"]}
        involved |= {"apiVersion": obj["apiVersion"], "resourceVersion": meta.get("resourceVersion", "")}
        self._recorded += 1
        body = {
            "metadata": {"name": f"{meta['name']}.{self.scheduler.nanoseconds() + self._recorded:x}"},
            "involvedObject": {**involved, **({"fieldPath": field} if field else {})},
            "reason": reason,
            "message": message,
            "source": {"component": component, **({"host": host} if host else {})},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": host,
        }
        self._events[key] = self.registry.create(k.EVENTS, meta.get("namespace", "default"), body)

    def _pod_changed(self, event: StoreEvent) -> None:
        kubelet = self.kubelet_of(event.item.obj)
        if kubelet is not None:
            kubelet.saw(event)

    def _add_node(self, number: int) -> None:
        name = f"node{number}"
        kubelet = self.kubelets[name] = Kubelet(self.registry, name, number, self.catalog, self.record)
        stamp = self.scheduler.stamp()
        times = {"lastHeartbeatTime": stamp, "lastTransitionTime": stamp}
        conditions = [{**said, **times} for said in HEALTHY.values()]
        info = {
            "kubeletVersion": VERSION["gitVersion"],
            "containerRuntimeVersion": "containerd://simulated",
            "osImage": "simulated",
            "kernelVersion": "simulated (amd64)",
            "operatingSystem": "linux",
            "architecture": "amd64",
        }
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "5000"}
        status = {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": kubelet.address}, {"type": "Hostname", "address": name}],
            "nodeInfo": info,
        }
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        self.registry.create(k.NODES, "", {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status})
