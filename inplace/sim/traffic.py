"""Clients of a Service, on the cluster's own clock: who is hurt when a pod restarts?

A proxy follows the EndpointSlices as kube-proxy does, late by its lag and no more often than its sync period allows. Short
clients open a connection per request through it; kept-alive ones stay with the pod they got, whatever the slices say, until
the pod hangs up. A request fails where nothing listens (`refused`) or where its container stops before it is answered
(`cut`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inplace.sim.clock import Timer
from inplace.sim.cluster import Cluster
from inplace.sim.controllers.endpointslice import SERVICE_NAME
from inplace.sim.kubelet.containers import NEVER, Instance
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import ENDPOINT_SLICES, PODS
from inplace.sim.objects.store import StoreEvent

SYNC_SECONDS = 1.0
"""kube-proxy waits so long after each sync; since 1.34 there is no burst (pkg/proxy/runner)."""


@dataclass
class Counts:
    """`dropped`: idle kept-alive connections that a stopping container closed; no request was hurt by that."""

    sent: int = 0
    refused: int = 0
    cut: int = 0
    nowhere: int = 0
    dropped: int = 0

    @property
    def failed(self) -> int:
        return self.refused + self.cut + self.nowhere


@dataclass(frozen=True)
class Failure:
    at: float
    pod: str
    why: str


@dataclass(frozen=True)
class Backend:
    """Where a request may go."""

    pod: str
    uid: str


class Proxy:
    """What one node's kube-proxy knows of a Service. `lag_seconds`: from a slice's event to its arrival here."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, lag_seconds: float) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._lag_seconds = lag_seconds
        self._synced_at = -NEVER
        self._due: Timer | None = None
        self.places: tuple[Backend, ...] = ()
        self._stop = cluster.store.listen((ENDPOINT_SLICES,), self._saw)
        self._sync()

    def stop(self) -> None:
        self._stop()
        if self._due is not None:
            self._due.cancel()

    def _saw(self, event: StoreEvent) -> None:
        labels = event.item.meta.get("labels") or {}
        if event.item.namespace != self._namespace or labels.get(SERVICE_NAME) != self._service:
            return
        if self._due is None:
            soonest = self._synced_at + SYNC_SECONDS
            self._due = self._cluster.scheduler.at(max(soonest, self._cluster.scheduler.now + self._lag_seconds), self._sync)

    def _sync(self) -> None:
        self._due = None
        self._synced_at = self._cluster.scheduler.now
        ready = [_place(e) for e in self._endpoints() if e["conditions"].get("ready") is not False]
        # Nobody ready: terminating ones that still serve are better than nothing.
        last = [_place(e) for e in self._endpoints() if e["conditions"].get("serving") and e["conditions"].get("terminating")]
        self.places = tuple(ready or last)

    def _endpoints(self) -> Iterator[Json]:
        for item in self._cluster.store.all(ENDPOINT_SLICES, self._namespace):
            if (item.meta.get("labels") or {}).get(SERVICE_NAME) == self._service:
                yield from item.obj.get("endpoints") or ()


@dataclass
class _Kept:
    """A kept-alive connection, with the container at its other end."""

    place: Backend | None = None
    instance: Instance | None = None


@dataclass
class Traffic:
    """Starts at once. `rate`: requests per second on short connections; `kept_alive`: clients with one connection each, which
    send a request every `interval_seconds`. `answer_seconds`: how long a request takes."""

    cluster: Cluster
    namespace: str
    service: str
    rate: float = 100.0
    kept_alive: int = 0
    interval_seconds: float = 0.1
    lag_seconds: float = 0.02
    answer_seconds: float = 0.005
    short: Counts = field(default_factory=Counts)
    kept: Counts = field(default_factory=Counts)
    failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._proxy = Proxy(self.cluster, self.namespace, self.service, self.lag_seconds)
        self._is_stopped = False
        scheduler = self.cluster.scheduler
        if self.rate > 0:
            scheduler.after(scheduler.random.random() / self.rate, self._send_short)
        for _ in range(self.kept_alive):
            connection = _Kept()
            scheduler.after(scheduler.random.random() * self.interval_seconds, lambda c=connection: self._send_kept(c))  # type: ignore[misc]

    def stop(self) -> None:
        """Requests on their way are not counted any more."""
        self._is_stopped = True
        self._proxy.stop()

    @property
    def sent(self) -> int:
        return self.short.sent + self.kept.sent

    @property
    def failed(self) -> int:
        return self.short.failed + self.kept.failed

    def _send_short(self) -> None:
        if self._is_stopped:
            return
        scheduler = self.cluster.scheduler
        scheduler.after(scheduler.random.expovariate(self.rate), self._send_short)
        self.short.sent += 1
        place = self._choose()
        if place is None:
            self._fail(self.short, "", "nowhere")
            return
        instance = self._instance(place)
        if instance is None or not instance.answers(scheduler.now):
            self._fail(self.short, place.pod, "refused")
            return
        scheduler.after(self.answer_seconds, lambda: self._ended(self.short, place, instance))

    def _send_kept(self, connection: _Kept) -> None:
        if self._is_stopped:
            return
        scheduler = self.cluster.scheduler
        scheduler.after(self.interval_seconds, lambda: self._send_kept(connection))
        self.kept.sent += 1
        if connection.instance is not None and not connection.instance.answers(scheduler.now):
            self.kept.dropped += 1
            connection.place = connection.instance = None
        if connection.instance is None:
            place = self._choose()
            instance = self._instance(place) if place is not None else None
            if place is None or instance is None or not instance.answers(scheduler.now):
                self._fail(self.kept, place.pod if place else "", "refused" if place else "nowhere")
                return
            connection.place, connection.instance = place, instance
        assert connection.place is not None
        place, instance = connection.place, connection.instance
        scheduler.after(self.answer_seconds, lambda: self._ended(self.kept, place, instance))

    def _choose(self) -> Backend | None:
        places = self._proxy.places
        return places[int(self.cluster.scheduler.random.random() * len(places))] if places else None

    def _instance(self, place: Backend) -> Instance | None:
        pod = self.cluster.store.get(PODS, self.namespace, place.pod)
        if pod is None or pod.uid != place.uid:
            return None
        kubelet = self.cluster.kubelet_of(pod.obj)
        return kubelet.instance(place.uid) if kubelet is not None else None

    def _ended(self, counts: Counts, place: Backend, instance: Instance) -> None:
        if not self._is_stopped and not instance.answers(self.cluster.scheduler.now):
            self._fail(counts, place.pod, "cut")

    def _fail(self, counts: Counts, pod: str, why: str) -> None:
        setattr(counts, why, getattr(counts, why) + 1)
        self.failures.append(Failure(self.cluster.scheduler.now, pod, why))


def _place(endpoint: Json) -> Backend:
    target = endpoint.get("targetRef") or {}
    return Backend(str(target.get("name", "")), str(target.get("uid", "")))
