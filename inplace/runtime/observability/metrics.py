"""Metrics of the process for Prometheus, under the names of controller-runtime and client-go where they exist, otherwise with
the prefix `inplace_`.

Always holds: each process part has a registry of its own, so two in one process do not clash; every label has a bounded set of
values: never a pod, a rollout, a path or a message. Every method is quick, never raises on the caller's thread, and is
thread-safe.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

from inplace import __version__
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Clock, Request, Response, Stream, Transport
from inplace.kube.workqueue import WorkQueue

__all__ = ["CONTENT_TYPE", "Metrics"]

K = TypeVar("K", bound=Hashable)

QUEUE_SECONDS = tuple(10.0**power for power in range(-8, 2))
RECONCILE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
STAGE_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Metrics:
    """All metrics of one process. `render` returns what /metrics answers."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "rest_client_requests", "Requests to the API server.", ("code", "method", "host"), registry=registry
        )
        self.request_seconds = Histogram(
            "rest_client_request_duration_seconds",
            "How long requests to the API server took, watches apart.",
            ("verb", "host"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._leading = Gauge(
            "leader_election_master_status", "Whether this process leads (1) or stands by (0).", ("name",), registry=registry
        )
        self._reconciles = Counter(
            "controller_runtime_reconcile", "Reconciliations.", ("controller", "result"), registry=registry
        )
        self._reconcile_errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciliations that failed.", ("controller",), registry=registry
        )
        self._reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took.",
            ("controller",),
            buckets=RECONCILE_SECONDS,
            registry=registry,
        )
        self._queues = _Queues(registry)
        self._add_own_metrics(registry)

    def _add_own_metrics(self, registry: CollectorRegistry) -> None:
        self.pods_upgraded = Counter("inplace_pods_upgraded", "Pods that were upgraded and proven.", registry=registry)
        self.pods_out = Gauge("inplace_pods_out_of_service", "Pods that runs keep out of service now.", registry=registry)
        self.stage_seconds = Histogram(
            "inplace_stage_duration_seconds",
            "How long pods were in a stage of their upgrade.",
            ("stage",),
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.rollouts = Gauge("inplace_rollouts", "InPlaceRollouts by phase.", ("phase",), registry=registry)
        self.failures = Counter("inplace_pod_failures", "Pods that failed, by reason.", ("reason",), registry=registry)
        self.gate_writes = Counter(
            "inplace_gate_writes", "Changes of gates by the rules.", ("condition", "result"), registry=registry
        )
        self.unreadable = Counter(
            "inplace_unreadable_objects", "Objects that could not be read, by kind.", ("kind",), registry=registry
        )
        self.events = Counter("inplace_events", "Events, by what became of them.", ("result",), registry=registry)
        build = Gauge("inplace_build_info", "The version that runs.", ("version",), registry=registry)
        build.labels(__version__).set(1)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def set_leader(self, name: str, is_leading: bool) -> None:
        self._leading.labels(name).set(is_leading)

    def reconciled(self, controller: str, seconds: float, error: BaseException | None) -> None:
        self._reconciles.labels(controller, "success" if error is None else "error").inc()
        self._reconcile_seconds.labels(controller).observe(seconds)
        if error is not None:
            self._reconcile_errors.labels(controller).inc()

    def instrument_queue(self, name: str, queue: WorkQueue[K], clock: Clock) -> None:
        """Measures the queue from now on."""
        self._queues.depth.labels(name).set_function(lambda: len(queue))
        queue.metrics = _QueueMeter(self._queues, name, clock)

    def instrument_transport(self, transport: Transport, host: str, clock: Clock) -> Transport:
        """Returns the same transport, with its requests counted; a watch counts when it is opened."""
        return _InstrumentedTransport(self, transport, host, clock)


class _Queues:
    """client-go's metrics of work queues."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name: Any = {"labelnames": ("name",), "registry": registry}
        self.depth = Gauge("workqueue_depth", "Items that wait now.", **name)
        self.adds = Counter("workqueue_adds", "Items added.", **name)
        self.retries = Counter("workqueue_retries", "Items added again after a failure.", **name)
        self.waited = Histogram("workqueue_queue_duration_seconds", "From added to taken.", **name, buckets=QUEUE_SECONDS)
        self.worked = Histogram("workqueue_work_duration_seconds", "From taken to done.", **name, buckets=QUEUE_SECONDS)


class _QueueMeter:
    """Implements `workqueue.QueueMetrics`. Called under the queue's lock."""

    def __init__(self, queues: _Queues, name: str, clock: Clock) -> None:
        self._adds, self._retries = queues.adds.labels(name), queues.retries.labels(name)
        self._waited, self._worked = queues.waited.labels(name), queues.worked.labels(name)
        self._clock = clock
        self._added_at: dict[Hashable, float] = {}
        self._taken_at: dict[Hashable, float] = {}

    def added(self, item: Hashable) -> None:
        self._adds.inc()
        self._added_at[item] = self._clock.monotonic()

    def taken(self, item: Hashable) -> None:
        now = self._taken_at[item] = self._clock.monotonic()
        self._waited.observe(now - self._added_at.pop(item, now))

    def done(self, item: Hashable) -> None:
        now = self._clock.monotonic()
        self._worked.observe(now - self._taken_at.pop(item, now))

    def retried(self) -> None:
        self._retries.inc()


class _InstrumentedTransport:
    """Implements `protocols.Transport`."""

    def __init__(self, metrics: Metrics, transport: Transport, host: str, clock: Clock) -> None:
        self._metrics = metrics
        self._transport = transport
        self._host = host
        self._clock = clock

    def call(self, request: Request, timeout_seconds: float) -> Response:
        began_at = self._clock.monotonic()
        try:
            response = self._transport.call(request, timeout_seconds)
        except ConnectionFailed:
            self._count("<error>", request)
            raise
        self._metrics.request_seconds.labels(request.method, self._host).observe(self._clock.monotonic() - began_at)
        self._count(str(response.status), request)
        return response

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[Stream]:
        is_open = False
        try:
            with self._transport.stream(request, read_timeout_seconds) as stream:
                is_open = True
                self._count(str(stream.status), request)
                yield stream
        except ConnectionFailed:
            if not is_open:
                self._count("<error>", request)
            raise

    def _count(self, code: str, request: Request) -> None:
        self._metrics.requests.labels(code, request.method, self._host).inc()
