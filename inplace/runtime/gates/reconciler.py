"""The label rules: keep conditions of many pods true to their labels, one rule for each gate.

`Gates` works on caches that others fill, as a part of a controller that leads; `GateController` is a process of its own.
Level-based: a watch only says which pod to look at, and what to do is decided from the cache when a worker comes to it; every
resync looks at all pods again, so a lost event costs at most that long. A change is one strategic-merge PATCH on `pods/status`
(condition by type, holds and preconditions together: design, section 4), whose answer enters the cache before the pod is
judged again. A refusal means *look again*: at once-ish for a pod that has changed or gone, later and later for anything else.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from inplace.engine.gate_openers import Announcement, encode_announcement
from inplace.engine.gate_rules import GateRule, GateUpdate, desired_update
from inplace.kube.api import ApiClient
from inplace.kube.codec import Unreadable
from inplace.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import Reflector, all_synced
from inplace.kube.paging import ListOptions
from inplace.kube.protocols import STRATEGIC_MERGE, Request
from inplace.kube.resources import LEASES, PODS
from inplace.kube.workqueue import WorkQueue
from inplace.model.constants import DEFAULT_GATE, HOLDS_ANNOTATION
from inplace.model.objects.pods import Pod
from inplace.model.record import encode_holds
from inplace.runtime.conditions import conditions_body
from inplace.runtime.errors import RefusedError
from inplace.runtime.gates.openers import GATE_RUN
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.lease.lock import Fence
from inplace.runtime.lookup import require_namespace
from inplace.runtime.observability.health import LIVENESS_SECONDS, TEXT, Health, HealthServer
from inplace.runtime.permissions import Permission, format_permissions, missing_permissions, refusal, version_problem
from inplace.runtime.threads import SYSTEM_THREADS, Joinable, Threads

RIGHTS = (Permission("list", "", "pods"), Permission("watch", "", "pods"), Permission("patch", "", "pods", "status"))
STOP_SECONDS = 5.0
"""How long a stop waits for the writes that are on their way; each is whole, whether or not we hear of it."""
UNSAFE_SECONDS = 1.0
RESYNC = "resync"
"""No pod has such a uid."""


def check_access(api: ApiClient, scope: ListOptions) -> None:
    """Whether the controller could do its work. Only reads. Raises `Refused` or `ApiError`."""
    old = version_problem(api)
    if old is not None:
        raise RefusedError(old)
    missing = missing_permissions(api.replace(limiter=None), scope.namespace or "", RIGHTS)
    if missing:
        raise refusal(missing, scope.namespace)
    if scope.namespace:
        require_namespace(api, scope.namespace)
    api.raw(Request(method="GET", path=PODS.path(scope.namespace), query=(*scope.query(), ("limit", "1"))))


def leader_for(
    api: ApiClient, rule: GateRule, scope: ListOptions, home: str, identity: str, threads: Threads = SYSTEM_THREADS
) -> LeaderElector:
    """By whose Lease, in namespace `home`, others see which gates are opened here. Of those with one name one works: they are
    about the same gate of the same pods, and a gate follows one label."""
    says = Announcement((rule,), (scope.namespace,) if scope.namespace else (), scope.label_selector)
    name = lease_name(rule.condition, scope)
    flow = api.replace(limiter=None)
    gates = encode_announcement(says)
    return LeaderElector(flow, home, name, identity, gates=gates, component=GATE_RUN, stands_again=True, threads=threads)


def lease_name(condition: str, scope: ListOptions) -> str:
    """`inplace-gate` for the gate that is usual, of all pods of a namespace; so that a Role can name it."""
    if condition == DEFAULT_GATE and scope.namespace and not scope.label_selector:
        return "inplace-gate"
    told = "".join(c if c.isalnum() or c in ".-" else "-" for c in condition.lower())
    what = f"{condition} {scope.namespace is None} {scope.label_selector}"
    return f"inplace-gate-{told[:200]}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"


def missing_for_lease(api: ApiClient, leader: LeaderElector) -> str:
    """The rights that it lacks to be seen, in words; empty: none. Raises `ApiError`."""
    namespace, name = leader.lease_ref
    return format_permissions(missing_permissions(api.replace(limiter=None), namespace, lease_rights(name)))


def lease_rights(name: str) -> tuple[Permission, ...]:
    """To create one cannot be bound to a name."""
    named = tuple(Permission(verb, LEASES.group, LEASES.plural, name=name) for verb in ("get", "patch"))
    return (*named, Permission("create", LEASES.group, LEASES.plural))


class GateListener(Protocol):
    """What hears of gates: for events and metrics. Must be quick and must not raise."""

    def gate_changed(self, before: Pod, wanted: GateUpdate) -> None: ...

    def gate_refused(self, wanted: GateUpdate, error: ApiError) -> None: ...


class GateReconciler:
    """Keeps the gates of the pods in `caches` to `rules`, of which each gate has one. Nothing is written while `fence` is not
    safe."""

    def __init__(
        self,
        api: ApiClient,
        rules: Sequence[GateRule],
        caches: Sequence[Cache[Pod]],
        *,
        fence: Fence | None = None,
        heard: GateListener | None = None,
        resync_seconds: float = 30.0,
        workers: int = 4,
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        self._api = api
        self.rules = tuple(rules)
        self._caches = self._caches_to_follow = tuple(caches)
        self._fence = fence
        self._heard = heard
        self._resync_seconds = resync_seconds
        self._size = workers
        self._log = structlog.get_logger()
        self._lock = threading.Lock()
        self._forbidden: set[str] = set()
        self._threads = threads
        self._workers: list[Joinable] = []
        self.queue: WorkQueue[str] = WorkQueue(api.clock, condition=threads.condition())
        """Uids of pods to reconcile, and `RESYNC`."""

    def subscribe(self) -> None:
        """Enqueue every pod that changes from now on. Does nothing when called again."""
        caches, self._caches_to_follow = self._caches_to_follow, ()
        for cache in caches:
            cache.subscribe(self._changed)

    def start(self, on_crash: Callable[[BaseException], None]) -> None:
        """Reconcile all pods now, every `resync_seconds`, and each one that changes. `on_crash` gets the bug that ended a
        worker."""
        self.subscribe()
        self.queue.add(RESYNC)
        self._workers = [self._threads.loop(f"gate-{n}", self.process_next, on_crash) for n in range(self._size)]

    def stop(self) -> None:
        """Begin nothing more, and wait for the writes on their way."""
        self.queue.shut_down()
        for worker in self._workers:
            worker.join(STOP_SECONDS)

    def resync(self) -> None:
        for cache in self._caches:
            for uid in cache.snapshot():
                self.queue.add(uid)

    def process_next(self) -> bool:
        """Wait for the next pod that is due, and reconcile it. False: the queue is shut down."""
        uid = self.queue.get()
        if uid is None:
            return False
        self._handle(uid)
        return True

    def gated(self) -> int:
        """How many pods have one of our gates."""
        pods = (pod for cache in self._caches for pod in cache.snapshot().values())
        return sum(any(pod.spec.has_gate(rule.condition) for rule in self.rules) for pod in pods)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is not None:
            self.queue.add(pod.uid)

    def _handle(self, uid: str) -> None:
        try:
            if uid == RESYNC:
                self.resync()
                self.queue.add_after(RESYNC, self._resync_seconds)
            else:
                self._reconcile(uid)
        finally:
            self.queue.done(uid)

    def _reconcile(self, uid: str) -> None:
        """One write at a time: the next rule is judged on what the one before it has left."""
        for rule in self.rules:
            cache = next((cache for cache in self._caches if cache.get(uid) is not None), None)
            pod = cache.get(uid) if cache is not None else None
            wanted = desired_update(pod, rule) if pod is not None else None
            if cache is not None and pod is not None and wanted is not None and not self._set(cache, pod, wanted):
                return
        self.queue.forget(uid)

    def _set(self, cache: Cache[Pod], pod: Pod, wanted: GateUpdate) -> bool:
        """False: looked at again later."""
        if self._fence is not None and not self._fence.is_safe:
            self.queue.add_after(pod.uid, UNSAFE_SECONDS)
            return False
        ref, body = wanted.pod, patch_body(wanted, self._api.clock.utcnow())
        try:
            answer = self._api.patch(PODS, ref.namespace, ref.name, body, STRATEGIC_MERGE, subresource="status", retries=False)
        except ApiError as error:
            self._refused(wanted, error)
            return False
        with self._lock:
            self._forbidden.discard(ref.namespace)
        cache.upsert(answer)
        self._report(pod, wanted)
        return True

    def _report(self, before: Pod, wanted: GateUpdate) -> None:
        condition = before.condition(wanted.gate)
        was = condition.status if condition is not None else "missing"
        match wanted.status:
            case True:
                event, now = "gate opened", "True"
            case False:
                event, now = "gate closed", "False"
            case None:
                event, now = "holds changed", was
        facts = {"pod": _name(wanted), "condition": wanted.gate, "from": was, "to": now, "why": wanted.why}
        self._log.info(event, **facts)
        if self._heard is not None:
            self._heard.gate_changed(before, wanted)

    def _refused(self, wanted: GateUpdate, error: ApiError) -> None:
        """Every refusal is looked at again; only those that a person can do something about are told."""
        match error:
            case Forbidden():
                self._say_forbidden(wanted.pod.namespace, error)
            case Conflict() | NotFound():
                pass
            case Invalid() if "metadata.uid" in str(error):  # another pod under the same name (design, section 4)
                pass
            case _:
                self._log.warning("failed, trying again", pod=_name(wanted), condition=wanted.gate, why=str(error))
        if self._heard is not None:
            self._heard.gate_refused(wanted, error)
        self.queue.add_rate_limited(wanted.pod.uid, error.retry_after_seconds or 0.0)

    def _say_forbidden(self, namespace: str, error: Forbidden) -> None:
        """Once, until a write succeeds there again."""
        with self._lock:
            is_known = namespace in self._forbidden
            self._forbidden.add(namespace)
        if not is_known:
            self._log.error("refused", why=str(error))


class GateController:
    """One rule, with a watch of its own: `run` until `stop`.

    `leader`: by its Lease others see that it lives and what it opens, and of several with the same rule one works. None: it
    works at once, unseen.
    """

    def __init__(
        self,
        api: ApiClient,
        rule: GateRule,
        scope: ListOptions,
        *,
        resync_seconds: float = 30.0,
        workers: int = 4,
        leader: LeaderElector | None = None,
        listen: str = "",
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """Raises OSError where it cannot listen."""
        self._api = api
        self._rule = rule
        self.resync_seconds = resync_seconds
        self._log = structlog.get_logger()
        self._threads = threads
        self._exits = threads.exit_queue()
        self.pods: Cache[Pod] = Cache()
        self.reflector = Reflector(
            PODS, self.pods, api.clock, scope=scope, on_state=self._watch_changed, on_unreadable=self._say_unreadable
        )
        self.leader = leader
        self.gates = GateReconciler(
            api, (rule,), (self.pods,), fence=leader, resync_seconds=resync_seconds, workers=workers, threads=threads
        )
        self._server = HealthServer(self._health(), listen) if listen else None
        self._has_led = False
        self.gates.subscribe()

    def run(self) -> None:
        """Raises what a thread of ours died of: a bug."""
        watching = self._threads.watching(self.reflector, self._api.transport, self._exits.put)
        if self._server is not None:
            self._server.start()
        watching.start()
        if self.leader is None:
            self.gates.start(self._exits.put)
        else:
            self.leader.start(self._leads, self._exits.put)
        why = self._exits.get()
        watching.stop(0.5)
        self.gates.stop()
        if self.leader is not None:
            self.leader.stop()
        if self._server is not None:
            self._server.stop()
        if why is not None:
            raise why

    def _leads(self) -> None:
        """Also again, after another has."""
        if self._has_led:
            self.gates.queue.add(RESYNC)
        else:
            self._has_led = True
            self.gates.start(self._exits.put)

    def _health(self) -> Health:
        def election() -> str | None:
            silent = self._api.clock.monotonic() - self.leader.stepped_at if self.leader is not None else 0.0
            return f"has done nothing for {silent:.0f} s" if silent > LIVENESS_SECONDS else None

        def cache() -> str | None:
            if all_synced((self.reflector,)):
                return None
            return str(self.reflector.error) if self.reflector.error is not None else "not everything was listed yet"

        return Health({"leader-election": election}, {"caches": cache}, lambda: (b"", TEXT))

    def stop(self) -> None:
        """From any thread or a signal handler: begins no more, waits for the writes on their way."""
        self._exits.put(None)

    def _say_unreadable(self, lost: Unreadable) -> None:
        meta = lost.metadata
        self._log.warning("cannot be read", pod=f"{meta.namespace}/{meta.name}", why=lost.why)

    def _watch_changed(self) -> None:
        if self.reflector.error is not None:
            self._log.warning("cannot watch pods, trying again", why=str(self.reflector.error))
            return
        pods, condition = len(self.pods.snapshot()), self._rule.condition
        self._log.info("watching pods", condition=condition, pods=pods, with_gate=self.gates.gated())


def patch_body(wanted: GateUpdate, at: datetime) -> dict[str, Any]:
    """For a strategic merge on `pods/status`: the kubelet's conditions are left alone."""
    metadata: dict[str, Any] = {"uid": wanted.pod.uid, "resourceVersion": wanted.pod.resource_version}
    if wanted.holds is not None:
        metadata["annotations"] = {HOLDS_ANNOTATION: encode_holds(wanted.holds)}
    if wanted.status is None:
        return {"metadata": metadata}
    conditions = conditions_body(wanted.gate, wanted.status, wanted.reason, wanted.why, at)
    return {"metadata": metadata, "status": {"conditions": conditions}}


def _name(wanted: GateUpdate) -> str:
    return f"{wanted.pod.namespace}/{wanted.pod.name}"
