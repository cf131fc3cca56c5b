"""One controller process: it stands by, leads, and ends.

It watches from its start, so that it can take over at once; it works while it leads; and it ends when it has lost leadership,
since the next leader owns what it held. A clean stop waits for the writes on their way and releases leadership, so that another
takes over without waiting for the Lease to expire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args
from urllib.parse import urlsplit

import structlog

from inplace.engine.gate_openers import Announcement, encode_announcement
from inplace.kube.api import ApiClient
from inplace.kube.informers.reflector import relist_all
from inplace.kube.limiter import RateLimiter
from inplace.kube.resources import LEASES, WORKLOADS
from inplace.model.refs import TargetRef
from inplace.model.rollout import Phase
from inplace.runtime.controller.controller import Controller
from inplace.runtime.errors import RefusedError
from inplace.runtime.gates.reconciler import GateReconciler
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.lease.lock import LeaderRef
from inplace.runtime.lookup import crd_installed
from inplace.runtime.observability.event_recorder import EventRecorder, ObjectReference
from inplace.runtime.observability.health import LIVENESS_SECONDS, Health, HealthServer
from inplace.runtime.observability.metrics import CONTENT_TYPE, Metrics
from inplace.runtime.observability.telemetry import CONTROLLER, TelemetryListener
from inplace.runtime.permissions import (
    Permission,
    controller_permissions,
    format_permissions,
    missing_permissions,
    version_problem,
)
from inplace.runtime.run.backend import ControllerBackend, Runnable, ThreadControllerBackend
from inplace.runtime.settings import Settings
from inplace.runtime.threads import SYSTEM_THREADS, Threads

GATES_QPS, GATES_BURST = 50.0, 100
"""A rate limit of their own: new pods wait for their gates, whatever runs are doing."""


class Manager:
    """Runs a controller process. `runnables` run from its first moment to its last."""

    def __init__(
        self,
        controller: Controller,
        leader_elector: LeaderElector,
        gates: GateReconciler,
        runnables: Sequence[Runnable] = (),
        on_leadership_change: Callable[[bool], None] = lambda _is_leading: None,
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        self.controller = controller
        self.leader_elector = leader_elector
        self.gates = gates
        self._runnables = runnables
        self._on_leadership_change = on_leadership_change
        self._exits = threads.exit_queue()
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Watch, work while leading, and end in order: at `stop`, or raising the bug or the `LeadershipLost` that ended it."""
        self._log.info("watching", namespaces=self.controller.namespaces or "all")
        for runnable in self._runnables:
            runnable.start()
        self.controller.start_informers(self._exits.put)
        self.leader_elector.start(self._start_leading, self._exits.put)
        why = self._exits.get()
        self._log.info("stopping", why=str(why) if why is not None else "told to")
        self.gates.stop()
        self.controller.stop()
        self.leader_elector.stop()
        self._on_leadership_change(False)
        for runnable in reversed(self._runnables):
            runnable.stop()
        if why is not None:
            raise why

    def stop(self) -> None:
        """End `run`; from any thread, or a signal handler."""
        self._exits.put(None)

    def _start_leading(self) -> None:
        self._log.info("leading", identity=self.controller.leader.identity)
        self._on_leadership_change(True)
        self.controller.start_workers(self._exits.put)
        self.gates.start(self._exits.put)


def check_access(api: ApiClient, namespaces: tuple[str, ...], lease_namespace: str) -> None:
    """Check that a controller could work. Only reads. Raises `RefusedError` or `ApiError`.

    A permission that is taken away later is reported by what needs it, which then waits for it.
    """
    problem = version_problem(api)
    if problem is not None:
        raise RefusedError(problem)
    leases = tuple(Permission(verb, LEASES.group, LEASES.plural) for verb in ("get", "create", "patch"))
    required = [(namespace, controller_permissions()) for namespace in namespaces or ("",)]
    for namespace, permissions in (*required, (lease_namespace, leases)):
        missing = missing_permissions(api.replace(limiter=None), namespace, permissions)
        if missing:
            where = f"in namespace {namespace}" if namespace else "in all namespaces"
            raise RefusedError(
                f"you may not {format_permissions(missing)} {where}: `inplace install` brings the Role that allows it"
            )
    if not crd_installed(api):
        raise RefusedError("the cluster knows no InPlaceRollout: `inplace install --crds-only` brings its definition")


def build_manager(
    api: ApiClient,
    host: str,
    identity: str,
    settings: Settings,
    namespaces: tuple[str, ...],
    lease_namespace: str,
    backend: ControllerBackend | None = None,
) -> Manager:
    """Assemble a controller process; nothing of it runs yet. Raises OSError if it cannot listen."""
    backend = backend or ThreadControllerBackend()
    metrics = Metrics()
    api = api.replace(transport=metrics.instrument_transport(api.transport, urlsplit(host).netloc or host, api.clock))
    announcement = encode_announcement(Announcement(settings.rules(), namespaces))
    leader = LeaderElector(
        api, lease_namespace, settings.leader_election.name, identity, gates=announcement, threads=backend.threads
    )
    events = EventRecorder(api, identity, lambda result: metrics.events.labels(result).inc())
    listener = TelemetryListener(metrics, events)
    ref = LeaderRef(*leader.lease_ref, identity)
    fenced = api.replace(write_guard=lambda: leader.is_safe)
    controller = Controller(fenced, namespaces, ref, leader, listener, workers=settings.workers, backend=backend)
    gates = GateReconciler(
        fenced.replace(limiter=RateLimiter(api.clock, GATES_QPS, GATES_BURST)),
        settings.rules(),
        controller.informers.pod_caches,
        fence=leader,
        listener=listener,
        resync_seconds=settings.resync_seconds,
        threads=backend.threads,
    )
    leader.election.on_gap = partial(relist_all, controller.informers.reflectors)
    listener.find_target = lambda target: _find_target(controller, target)
    metrics.instrument_queue(CONTROLLER, controller.queue, api.clock)
    metrics.instrument_queue("gates", gates.queue, api.clock)
    for phase in get_args(Phase):
        metrics.rollouts.labels(phase).set_function(partial(controller.informers.count, phase))

    def on_leadership_change(is_leading: bool) -> None:
        metrics.set_leader(settings.leader_election.name, is_leading)

    on_leadership_change(False)
    runnables = [backend.event_recorder(events)]
    if settings.listen:
        runnables.insert(0, HealthServer(_health(metrics, controller, leader), settings.listen))
    return Manager(controller, leader, gates, runnables, on_leadership_change, backend.threads)


def _health(metrics: Metrics, controller: Controller, leader: LeaderElector) -> Health:
    def election() -> str | None:
        idle_seconds = controller.api.clock.monotonic() - leader.stepped_at
        return f"has done nothing for {idle_seconds:.0f} s" if idle_seconds > LIVENESS_SECONDS else None

    def caches() -> str | None:
        if controller.informers.is_synced:
            return None
        return str(controller.informers.error) if controller.informers.error is not None else "not everything was listed yet"

    return Health({"leader-election": election}, {"caches": caches}, lambda: (metrics.render(), CONTENT_TYPE))


def _find_target(controller: Controller, target: TargetRef) -> ObjectReference | None:
    """Return what an event on the target refers to. None: pods by selector or name, or the workload does not exist."""
    if target.kind == "Pods":
        return None
    cache = controller.informers.in_namespace(target.namespace).workloads[target.kind]
    workload = cache.get_by_name(target.namespace, target.name)
    if workload is None:
        return None
    uid = workload.metadata.uid
    return ObjectReference(WORKLOADS[target.kind].api_version, target.kind, target.namespace, target.name, uid)
