"""EndpointSlices of Services: who may be sent traffic. Works by pod: an event looks at that pod alone, so thousands are cheap.

Always holds: a pod that is not ready stays listed with `ready: false`; a terminating one is `serving` while it is ready,
and never `ready` unless its Service publishes not-ready addresses; a pod is in at most one slice of a Service; a slice
holds at most 100.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import Queue, on_events, owner_reference
from inplace.sim.controllers.pods import facts_of
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import ENDPOINT_SLICES, PODS, SERVICES
from inplace.sim.objects.store import Key, StoredObject, StoreEvent

PER_SLICE = 100
DELAY = (0.004, 0.012)
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass
class Sliced:
    """What we have written for one Service: slice name to pod uid to endpoint."""

    uid: str
    slices: dict[str, dict[str, Json]] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    dirty: set[Key] = field(default_factory=set)
    is_new: bool = True


class EndpointSlices:
    """`lag_seconds` is added to every sync, for tests of a slow control plane; it may be changed at any time."""

    def __init__(self, registry: Registry) -> None:
        self.lag_seconds = 0.0
        self._registry = registry
        self._queue = Queue(registry, self._sync)
        self._known: dict[Key, Sliced] = {}
        on_events(registry, (SERVICES,), self._service_changed)
        on_events(registry, (PODS,), self._pod_changed)
        on_events(registry, (ENDPOINT_SLICES,), self._slice_changed)

    def _later(self, key: Key) -> None:
        self._queue.add(key, self._registry.scheduler.between(*DELAY) + self.lag_seconds)

    def _service_changed(self, event: StoreEvent) -> None:
        known = self._known.get(event.item.key)
        if known is not None:
            known.is_new = True
        self._later(event.item.key)

    def _slice_changed(self, event: StoreEvent) -> None:
        """One of our slices was deleted: create it again."""
        labels = event.item.meta.get("labels") or {}
        key = (event.item.namespace, labels.get(SERVICE_NAME, ""))
        known = self._known.get(key)
        if event.new is None and known is not None and event.item.name in known.slices:
            for uid in known.slices.pop(event.item.name):
                known.where.pop(uid, None)
            known.is_new = True
            self._later(key)

    def _pod_changed(self, event: StoreEvent) -> None:
        if event.old is not None and event.new is not None and _is_same_to_us(event.old, event.new):
            return
        item = event.item
        labels = [each.meta.get("labels") or {} for each in (event.old, event.new) if each is not None]
        for service in self._registry.store.all(SERVICES, item.namespace):
            selector = service.obj["spec"].get("selector")
            if selector and any(selector.items() <= have.items() for have in labels):
                known = self._known.setdefault(service.key, Sliced(service.uid))
                known.dirty.add((item.name, item.uid))
                self._later(service.key)

    def _sync(self, key: Key) -> None:
        service = self._registry.store.get(SERVICES, *key)
        known = self._known.get(key)
        if service is None or not service.obj["spec"].get("selector"):
            self._known.pop(key, None)
            return
        if known is None or known.uid != service.uid:
            known = self._known[key] = Sliced(service.uid)
        if known.is_new:
            self._look_at_all(service, known)
        touched: set[str] = set()
        for name, uid in sorted(known.dirty):
            self._place(service, known, name, uid, touched)
        known.dirty.clear()
        if not known.slices:
            known.slices[self._new_name(service)] = {}
            touched.update(known.slices)
        for name in sorted(touched):
            self._write(service, known, name)

    def _look_at_all(self, service: StoredObject, known: Sliced) -> None:
        known.is_new = False
        selector = service.obj["spec"]["selector"].items()
        for pod in self._registry.store.all(PODS, service.namespace):
            if selector <= (pod.meta.get("labels") or {}).items():
                known.dirty.add((pod.name, pod.uid))
        for endpoints in known.slices.values():
            known.dirty.update((endpoint["targetRef"]["name"], uid) for uid, endpoint in endpoints.items())

    def _place(self, service: StoredObject, known: Sliced, name: str, uid: str, touched: set[str]) -> None:
        pod = self._registry.store.get(PODS, service.namespace, name)
        wanted = endpoint_of(pod, service.obj["spec"]) if pod is not None and pod.uid == uid else None
        place = known.where.get(uid)
        if place is not None and known.slices[place].get(uid) == wanted:
            return
        if wanted is None:
            if place is not None:
                del known.slices[place][uid], known.where[uid]
                touched.add(place)
            return
        if place is None:
            room = (slice_name for slice_name, endpoints in known.slices.items() if len(endpoints) < PER_SLICE)
            place = next(room, None) or self._new_name(service)
            known.slices.setdefault(place, {})
            known.where[uid] = place
        known.slices[place][uid] = wanted
        touched.add(place)

    def _new_name(self, service: StoredObject) -> str:
        return f"{service.name}-{self._registry.suffix()}"

    def _write(self, service: StoredObject, known: Sliced, name: str) -> None:
        endpoints = list(known.slices[name].values())
        old = self._registry.store.get(ENDPOINT_SLICES, service.namespace, name)
        if not endpoints and len(known.slices) > 1:
            del known.slices[name]
            if old is not None:
                self._registry.delete(old, {})
            return
        ports = self._ports(service, known)
        if old is None:
            labels = {MANAGED_BY: CONTROLLER, SERVICE_NAME: service.name, **_headless(service.obj)}
            meta: Json = {"name": name, "generateName": f"{service.name}-", "labels": labels}
            meta["ownerReferences"] = [owner_reference(service)]
            body = {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
            self._registry.create(ENDPOINT_SLICES, service.namespace, body)
            return
        self._registry.change(old, lambda obj: {**obj, "endpoints": endpoints, "ports": ports})

    def _ports(self, service: StoredObject, known: Sliced) -> list[Json]:
        first = next((e["targetRef"]["name"] for endpoints in known.slices.values() for e in endpoints.values()), "")
        pod = self._registry.store.get(PODS, service.namespace, first) if first else None
        made = []
        for port in service.obj["spec"].get("ports") or ():
            number = _number(port.get("targetPort", port["port"]), pod)
            if number is not None or pod is None:
                shown = {} if number is None else {"port": number}
                made.append({"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), **shown})
        return made


def endpoint_of(pod: StoredObject, service: Json) -> Json | None:
    """None: this pod is not listed."""
    facts, status = facts_of(pod), pod.obj["status"]
    if facts.phase in ("Succeeded", "Failed") or not status.get("podIP"):
        return None
    ready = facts.is_ready and not facts.is_terminating
    publishes = bool(service.get("publishNotReadyAddresses"))
    made: Json = {
        "addresses": [status["podIP"]],
        "conditions": {"ready": publishes or ready, "serving": facts.is_ready, "terminating": facts.is_terminating},
        "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
        "nodeName": facts.node,
    }
    if pod.obj["spec"].get("hostname"):
        made["hostname"] = pod.obj["spec"]["hostname"]
    return made


def _is_same_to_us(old: StoredObject, new: StoredObject) -> bool:
    a, b = facts_of(old), facts_of(new)
    if (a.is_ready, a.is_terminating, a.phase, a.node) != (b.is_ready, b.is_terminating, b.phase, b.node):
        return False
    if old.obj["status"].get("podIP") != new.obj["status"].get("podIP"):
        return False
    return old.meta.get("labels") == new.meta.get("labels")


def _headless(service: Json) -> Json:
    return {"service.kubernetes.io/headless": ""} if service["spec"].get("clusterIP") == "None" else {}


def _number(target: int | str, pod: StoredObject | None) -> int | None:
    """A target port by number or by name."""
    if isinstance(target, int):
        return target
    for container in pod.obj["spec"]["containers"] if pod else ():
        for port in container.get("ports") or ():
            if port.get("name") == target:
                return int(port["containerPort"])
    return None
