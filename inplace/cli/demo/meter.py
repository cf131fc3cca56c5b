"""Measures an app of the demo from within the embedded cluster and on its clock, so that measuring costs the app no time."""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from inplace.kube.protocols import Request, Response, Transport
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoredObject, StoreEvent
from inplace.sim.serving import RunningCluster
from inplace.sim.traffic import Counts, Traffic

NAMESPACE = "demo"
MOMENT_SECONDS = 0.2


class CountingTransport:
    """Implements `protocols.Transport`; counts the requests that store something."""

    def __init__(self, inner: Transport) -> None:
        self.writes = 0
        self._inner = inner
        self._mutex = threading.Lock()

    def call(self, request: Request, timeout_seconds: float) -> Response:
        if request.persists:
            with self._mutex:
                self.writes += 1
        return self._inner.call(request, timeout_seconds)

    def stream(self, request: Request, read_timeout_seconds: float) -> Any:
        return self._inner.stream(request, read_timeout_seconds)


class Measurement(msgspec.Struct, frozen=True, rename="camel"):
    """What a change of image did to an app. `out_of_service_seconds`: absence from the Service, summed over the desired pods.
    `app_starts`: starts of the app, each with empty memory. `pods_at_peak`: without terminating pods.
    """

    seconds: float
    out_of_service_seconds: float
    pods: int
    pods_kept: int
    ips_kept: int
    volumes_lost: int
    sidecars_restarted: int
    app_starts: int
    pods_at_peak: int


class DowntimeMeter:
    """Watches one app from `begin` to `end`. All methods are to be called in the cluster's turn."""

    def __init__(self, served: RunningCluster, app: str, replicas: int) -> None:
        self._cluster = served.cluster
        self._app = app
        self._replicas = replicas
        self._ready = replicas
        self._missed = 0.0
        self._peak = self._current = 0
        self._current_since = 0.0
        self._at = self._began_at = self._cluster.scheduler.now
        self._before: dict[str, str] = {}
        self._containers: set[str] = set()
        self._seen: dict[str, str] = {}
        """Names by container id, of every container that ever started."""
        self._stop = self._cluster.store.listen((kinds.PODS, kinds.ENDPOINT_SLICES), self._on_event)

    def begin(self) -> None:
        pods = self._pods()
        self._before = {pod.uid: pod.obj["status"]["podIP"] for pod in pods}
        for pod in pods:
            self._note_containers(pod)
        self._containers = set(self._seen)
        self._peak = self._current = len(pods)
        self._current_since = self._cluster.scheduler.now
        self._at = self._began_at = self._cluster.scheduler.now

    def end(self) -> Measurement:
        self._stop()
        self._advance()
        now = {pod.uid: pod.obj["status"].get("podIP") for pod in self._pods() if not pod.meta.get("deletionTimestamp")}
        kept = self._before.keys() & now.keys()
        fresh = [name for container, name in self._seen.items() if container not in self._containers]
        return Measurement(
            seconds=round(self._at - self._began_at, 1),
            out_of_service_seconds=round(self._missed, 1),
            pods=len(self._before),
            pods_kept=len(kept),
            ips_kept=len(set(self._before.values()) & set(now.values())),
            volumes_lost=len(self._before) - len(kept),
            sidecars_restarted=fresh.count("agent"),
            app_starts=fresh.count("app"),
            pods_at_peak=self._peak,
        )

    def _on_event(self, event: StoreEvent) -> None:
        item = event.item
        if item.namespace != NAMESPACE:
            return
        if item.kind is kinds.ENDPOINT_SLICES:
            if (item.meta.get("labels") or {}).get("kubernetes.io/service-name") == self._app:
                self._advance()
                self._ready = sum(e["conditions"]["ready"] for e in item.obj.get("endpoints") or ()) if event.new else 0
        elif event.new is not None and is_of(item, self._app):
            self._note_containers(item)
            self._count()

    def _count(self) -> None:
        """Counts the pods. A count must last a moment to become the peak: controllers overlap for milliseconds."""
        now = self._cluster.scheduler.now
        if now - self._current_since >= MOMENT_SECONDS:
            self._peak = max(self._peak, self._current)
        count = sum(not pod.meta.get("deletionTimestamp") for pod in self._pods())
        if count != self._current:
            self._current, self._current_since = count, now

    def _advance(self) -> None:
        now = self._cluster.scheduler.now
        self._missed += max(0, self._replicas - self._ready) * (now - self._at)
        self._at = now

    def _note_containers(self, pod: StoredObject) -> None:
        for status in pod.obj["status"].get("containerStatuses") or ():
            if status.get("containerID"):
                self._seen[status["containerID"]] = status["name"]

    def _pods(self) -> list[StoredObject]:
        return [pod for pod in self._cluster.store.all(kinds.PODS, NAMESPACE) if is_of(pod, self._app)]


class Requests(msgspec.Struct, frozen=True, rename="camel"):
    """Requests of one kind of client."""

    sent: int
    failed: int


def is_of(pod: StoredObject, app: str) -> bool:
    return (pod.meta.get("labels") or {}).get("app") == app


def counted(counts: Counts) -> Requests:
    return Requests(counts.sent, counts.failed)


def traffic_text(traffic: Traffic) -> str:
    new, kept = counted(traffic.short), counted(traffic.kept)
    return f"failed: {new.failed:,} of {new.sent:,} on new connections, {kept.failed:,} of {kept.sent:,} on kept ones"
