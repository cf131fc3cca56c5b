"""One node: its kubelet's eyes on the API server, its container list every second, its images, and a worker per pod.

A kubelet can be stopped and started again, as if its machine were cut off: while it is stopped its containers run on,
nothing is written, and after the grace period the control plane calls the node and its pods not ready.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.kubelet.containers import Container, Instance, Steps
from inplace.sim.kubelet.images import Catalog, Image
from inplace.sim.kubelet.status import first_of_each
from inplace.sim.kubelet.worker import PodWorker
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import PODS
from inplace.sim.objects.store import StoredObject, StoreEvent

RELIST_SECONDS = 1.0
Recorder = Callable[..., None]


class Kubelet:
    """One node's kubelet: a worker for each pod.

    `reports_generation` is false of a kubelet older than 1.34. `record` makes Events. `on_stopping` gets each container
    that begins to stop (preStop and stop seconds)."""

    def __init__(self, registry: Registry, name: str, number: int, catalog: Catalog, record: Recorder) -> None:
        self.registry = registry
        self.scheduler = registry.scheduler
        self.name = name
        self.address = f"10.0.0.{number}"
        self.catalog = catalog
        self.images: dict[str, str] = {}
        self.is_up = True
        self.reports_generation = True
        self.on_stopping: Callable[[PodWorker, Container, float, float], None] = lambda *_: None
        self.workers: dict[str, PodWorker] = {}
        self._number = number
        self._record = record
        self._phase = self.scheduler.between(0.0, RELIST_SECONDS)
        self._last_ip = 0
        self._pull_ends_at = 0.0
        self._pulls: dict[str, float] = {}

    def saw(self, event: StoreEvent) -> None:
        """A pod's event; it arrives here a moment later."""
        item = event.item
        if item.obj["spec"].get("nodeName") != self.name or not self.is_up:
            return
        if event.new is None:
            self.scheduler.after(self.scheduler.between(0.002, 0.008), lambda: self._forget(item.uid))
        elif event.old is None or _matters(event.old.obj, event.new.obj):
            self.scheduler.after(
                self.scheduler.between(0.002, 0.008), lambda: self._observe(item.namespace, item.name, item.uid)
            )

    def last_relist(self, now: float) -> float:
        return self._phase + math.floor((now - self._phase) / RELIST_SECONDS) * RELIST_SECONDS

    def next_relist(self, now: float) -> float:
        return self.last_relist(now) + RELIST_SECONDS

    def go_down(self) -> None:
        self.is_up = False

    def come_up(self) -> None:
        """Everything is looked at afresh."""
        self.is_up = True
        for uid in list(self.workers):
            if not any(item.uid == uid for item in self.registry.store.all(PODS)):
                self._forget(uid)
        for item in list(self.registry.store.all(PODS)):
            if item.obj["spec"].get("nodeName") == self.name:
                self._observe(item.namespace, item.name, item.uid)

    def patch_status(self, worker: PodWorker, change: Callable[[Json], Json]) -> None:
        self.registry.change(self._item(worker), change, SELF_STATUS)

    def remove(self, worker: PodWorker) -> None:
        """Its containers are gone: the object may go."""
        self.workers.pop(worker.uid, None)
        item = self._item(worker)
        if item is not None and self.is_up:
            self.registry.delete(item, {"gracePeriodSeconds": 0})

    def event(self, pod: Json, kind: str, reason: str, message: str, field: str) -> None:
        self._record(pod, kind, reason, message, component="kubelet", host=self.name, field=field)

    def new_ip(self) -> str:
        self._last_ip += 1
        return f"10.{244 + self._number // 250}.{self._number % 250}.{self._last_ip}" if self._last_ip < 250 else self._far_ip()

    def _far_ip(self) -> str:
        return f"10.{100 + self._number}.{self._last_ip // 250}.{self._last_ip % 250 + 1}"

    def new_container_id(self) -> str:
        return self.registry.hexadecimal(64)

    def pulling(self, image: Image) -> Steps:
        """One pull at a time, as by default; pods that want the same image wait for the same pull."""
        now = self.scheduler.now
        ends_at = self._pulls.get(image.image_id, 0.0)
        if ends_at < now:
            self._pull_ends_at = ends_at = max(now, self._pull_ends_at) + image.pull_seconds
            self._pulls[image.image_id] = ends_at
        yield ends_at - now

    def has_pulled(self, name: str, image: Image) -> None:
        self.images[name] = image.image_id

    def shown_name(self, name: str, image: Image) -> str:
        """The runtime knows digests: it shows the first tag that it has pulled of one."""
        return next((known for known, image_id in self.images.items() if image_id == image.image_id), name)

    def instance(self, uid: str, container: str = "") -> Instance | None:
        """What runs, or ran last; of the first container by default."""
        worker = self.workers.get(uid)
        if worker is None:
            return None
        mains = [c for c in worker.containers.values() if c.role == "main"]
        chosen = worker.containers.get(container) if container else mains[0]
        return chosen.current if chosen else None

    def set_sick(self, uid: str, container: str, *, is_sick: bool) -> None:
        """The app stops answering, or answers again, without any restart."""
        instance = self.instance(uid, container)
        if instance is not None:
            instance.is_sick = is_sick
            self.workers[uid].health_changed(container)

    def _item(self, worker: PodWorker) -> StoredObject | None:
        item = self.registry.store.get(PODS, str(worker.pod["metadata"]["namespace"]), worker.name)
        return item if item is not None and item.uid == worker.uid else None

    def _observe(self, namespace: str, name: str, uid: str) -> None:
        item = self.registry.store.get(PODS, namespace, name)
        if item is None or item.uid != uid or not self.is_up:
            return
        worker = self.workers.get(uid)
        if worker is None:
            worker = self.workers[uid] = PodWorker(self, item.obj)
        worker.saw(item.obj)

    def _forget(self, uid: str) -> None:
        worker = self.workers.pop(uid, None)
        if worker is not None:
            worker.stop()


def _matters(old: Json, new: Json) -> bool:
    """Whether a kubelet syncs the pod for this: not for what only it has written itself."""
    if old["spec"] is not new["spec"] and old["spec"] != new["spec"]:
        return True
    before, after = old["metadata"], new["metadata"]
    if any(before.get(key) != after.get(key) for key in ("labels", "annotations", "deletionTimestamp")):
        return True
    gates = [g["conditionType"] for g in new["spec"].get("readinessGates") or ()]
    return bool(gates) and _gates(old, gates) != _gates(new, gates)


def _gates(pod: Json, gates: list[str]) -> list[Any]:
    have = first_of_each(pod["status"].get("conditions") or ())
    return [have.get(gate) for gate in gates]
