"""Keeps the conditions of many pods in line with their labels, one rule for each gate.

A `GateReconciler` works on caches that others fill, as part of a controller that leads or of a `GateController`. It is
level-based: a watch only says which pod to reconcile, and what to do is decided from the cache when a worker gets its uid;
every resync reconciles all pods, so a lost event costs at most that long. A change is one strategic-merge PATCH of
`pods/status`, with condition, holds and preconditions together (design, section 4); its answer enters the cache before the pod
is judged again. A refused write enqueues the pod again, after a few milliseconds at first, then later and later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from inplace.engine.gate_rules import GateRule, GateUpdate, desired_update
from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from inplace.kube.informers.cache import Cache
from inplace.kube.protocols import STRATEGIC_MERGE
from inplace.kube.resources import PODS
from inplace.kube.workqueue import WorkQueue
from inplace.model.constants import HOLDS_ANNOTATION
from inplace.model.objects.pods import Pod
from inplace.model.record import encode_holds
from inplace.runtime.conditions import conditions_body
from inplace.runtime.lease.lock import Fence
from inplace.runtime.threads import SYSTEM_THREADS, Joinable, Threads

STOP_SECONDS = 5.0
"""How long `stop` waits for each worker; a write is whole, whether or not its answer is seen."""
UNSAFE_SECONDS = 1.0
RESYNC = "resync"
"""The key that enqueues all pods: no pod has such a uid."""


class GateListener(Protocol):
    """Hears of writes to gates, for events and metrics. It must be quick and must not raise."""

    def gate_changed(self, before: Pod, update: GateUpdate) -> None: ...

    def gate_refused(self, update: GateUpdate, error: ApiError) -> None: ...


class GateReconciler:
    """Keeps the gates of the pods in `caches` to `rules`, one for each gate. Writes nothing while `fence` is unsafe."""

    def __init__(
        self,
        api: ApiClient,
        rules: Sequence[GateRule],
        caches: Sequence[Cache[Pod]],
        *,
        fence: Fence | None = None,
        listener: GateListener | None = None,
        resync_seconds: float = 30.0,
        workers: int = 4,
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        self._api = api
        self.rules = tuple(rules)
        self._caches = self._unsubscribed = tuple(caches)
        self._fence = fence
        self._listener = listener
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
        caches, self._unsubscribed = self._unsubscribed, ()
        for cache in caches:
            cache.subscribe(self._pod_changed)

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

    def enqueue_all(self) -> None:
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

    def count_gated(self) -> int:
        """Count the pods that have one of these gates."""
        pods = (pod for cache in self._caches for pod in cache.snapshot().values())
        return sum(any(pod.spec.has_gate(rule.condition) for rule in self.rules) for pod in pods)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is not None:
            self.queue.add(pod.uid)

    def _handle(self, uid: str) -> None:
        try:
            if uid == RESYNC:
                self.enqueue_all()
                self.queue.add_after(RESYNC, self._resync_seconds)
            else:
                self._reconcile(uid)
        finally:
            self.queue.done(uid)

    def _reconcile(self, uid: str) -> None:
        """Apply one rule after the other: each is judged on what the write before it has left."""
        for rule in self.rules:
            cache = next((cache for cache in self._caches if cache.get(uid) is not None), None)
            pod = cache.get(uid) if cache is not None else None
            update = desired_update(pod, rule) if pod is not None else None
            if cache is not None and pod is not None and update is not None and not self._apply(cache, pod, update):
                return
        self.queue.forget(uid)

    def _apply(self, cache: Cache[Pod], pod: Pod, update: GateUpdate) -> bool:
        """Write the update. False: nothing was written, and the pod is enqueued again."""
        if self._fence is not None and not self._fence.is_safe:
            self.queue.add_after(pod.uid, UNSAFE_SECONDS)
            return False
        ref, body = update.pod, patch_body(update, self._api.clock.utcnow())
        try:
            answer = self._api.patch(PODS, ref.namespace, ref.name, body, STRATEGIC_MERGE, subresource="status", retries=False)
        except ApiError as error:
            self._refused(update, error)
            return False
        with self._lock:
            self._forbidden.discard(ref.namespace)
        cache.upsert(answer)
        self._report(pod, update)
        return True

    def _report(self, before: Pod, update: GateUpdate) -> None:
        condition = before.condition(update.gate)
        was = condition.status if condition is not None else "missing"
        match update.status:
            case True:
                event, now = "gate opened", "True"
            case False:
                event, now = "gate closed", "False"
            case None:
                event, now = "holds changed", was
        facts = {"pod": _name(update), "condition": update.gate, "from": was, "to": now, "why": update.why}
        self._log.info(event, **facts)
        if self._listener is not None:
            self._listener.gate_changed(before, update)

    def _refused(self, update: GateUpdate, error: ApiError) -> None:
        """Enqueue the pod again, whatever the error; log only what a person can do something about."""
        match error:
            case Forbidden():
                self._log_forbidden(update.pod.namespace, error)
            case Conflict() | NotFound():
                pass
            case Invalid() if "metadata.uid" in str(error):  # another pod under the same name (design, section 4)
                pass
            case _:
                self._log.warning("failed, trying again", pod=_name(update), condition=update.gate, why=str(error))
        if self._listener is not None:
            self._listener.gate_refused(update, error)
        self.queue.add_rate_limited(update.pod.uid, error.retry_after_seconds or 0.0)

    def _log_forbidden(self, namespace: str, error: Forbidden) -> None:
        """Log it once, until a write succeeds in that namespace again."""
        with self._lock:
            was_logged = namespace in self._forbidden
            self._forbidden.add(namespace)
        if not was_logged:
            self._log.error("refused", why=str(error))


def patch_body(update: GateUpdate, at: datetime) -> dict[str, Any]:
    """Return the strategic merge patch of `pods/status`, which leaves the kubelet's conditions alone."""
    metadata: dict[str, Any] = {"uid": update.pod.uid, "resourceVersion": update.pod.resource_version}
    if update.holds is not None:
        metadata["annotations"] = {HOLDS_ANNOTATION: encode_holds(update.holds)}
    if update.status is None:
        return {"metadata": metadata}
    conditions = conditions_body(update.gate, update.status, update.reason, update.why, at)
    return {"metadata": metadata, "status": {"conditions": conditions}}


def _name(update: GateUpdate) -> str:
    return f"{update.pod.namespace}/{update.pod.name}"
