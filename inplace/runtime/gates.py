"""The gate controller: keeps one condition of many pods true to a label.

Level-based: the watch only says which pod to look at, and what to do is decided from the cache when a worker comes to it; every
resync looks at all pods again, so a lost event costs at most that long. A change is one strategic-merge PATCH on `pods/status`
(condition by type, holds and preconditions together: design, section 4), whose answer enters the cache before the pod is
judged again. A refusal means *look again*: at once-ish for a pod that has changed or gone, later and later for anything else.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from inplace.engine.gatekeeping import Rule, SetGate, decide
from inplace.kube.api import Api
from inplace.kube.cache import Cache
from inplace.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from inplace.kube.lists import Scope
from inplace.kube.pump import Pump
from inplace.kube.reflector import Reflector
from inplace.kube.resources import PODS
from inplace.kube.seam import STRATEGIC_MERGE, Request
from inplace.model.names import HOLDS
from inplace.model.pods import Pod
from inplace.model.record import encode_holds
from inplace.runtime.rights import Right, missing_rights, told, too_old
from inplace.runtime.session import Refused
from inplace.runtime.workqueue import WorkQueue

RIGHTS = (Right("list", "", "pods"), Right("watch", "", "pods"), Right("patch", "", "pods", "status"))
STOP_SECONDS = 5.0
"""How long a stop waits for the writes that are on their way; each is whole, whether or not we hear of it."""


def check_access(api: Api, scope: Scope) -> None:
    """Whether the controller could do its work. Only reads. Raises `Refused` or `ApiError`."""
    old = too_old(api)
    if old is not None:
        raise Refused(old)
    missing = missing_rights(api.replace(limiter=None), scope.namespace or "", RIGHTS)
    if missing:
        where, role = (f"namespace {scope.namespace}", "Role") if scope.namespace else ("all namespaces", "ClusterRole")
        raise Refused(f"you may not {told(missing)} in {where}: ask for a {role} that allows it")
    api.raw(Request(method="GET", path=PODS.path(scope.namespace), query=(*scope.query(), ("limit", "1"))))


class GateController:
    """`run` until `stop`. A simulation feeds `pods` (or drives `reflector`) and calls `step` and `resync` itself."""

    def __init__(self, api: Api, rule: Rule, scope: Scope, *, resync_seconds: float = 30.0, workers: int = 4) -> None:
        self._api = api
        self._rule = rule
        self.resync_seconds = resync_seconds
        self._size = workers
        self._log = structlog.get_logger()
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._forbidden: set[str] = set()
        self.queue: WorkQueue[str] = WorkQueue(api.clock)
        """Uids of pods to look at."""
        self.pods: Cache[Pod] = Cache()
        self.pods.subscribe(self._changed)
        self.reflector = Reflector(PODS, self.pods, api.clock, scope=scope, on_state=self._watch_changed)

    def run(self) -> None:
        """Raises what a thread of ours died of: a bug."""
        pump = Pump(self.reflector, self._api.transport, self._ended.put)
        threads = [threading.Thread(target=self._work, name=f"gate-{n}", daemon=True) for n in range(self._size)]
        pump.start()
        for thread in threads:
            thread.start()
        try:
            self._resync_until_ended()
        finally:
            self.queue.shut_down()
            pump.stop(0.5)
            for thread in threads:
                thread.join(STOP_SECONDS)

    def stop(self) -> None:
        """From any thread or a signal handler: begins no more, waits for the writes on their way."""
        self._ended.put(None)

    def resync(self) -> None:
        for uid in self.pods.snapshot():
            self.queue.add(uid)

    def step(self) -> bool:
        """Looks at one pod that is due, if any is."""
        uid = self.queue.take()
        if uid is not None:
            self._handle(uid)
        return uid is not None

    def _resync_until_ended(self) -> None:
        while True:
            with suppress(Empty):
                ended = self._ended.get(timeout=self.resync_seconds)
                if ended is not None:
                    raise ended
                return
            self.resync()

    def _work(self) -> None:
        try:
            while (uid := self.queue.get()) is not None:
                self._handle(uid)
        except Exception as bug:
            self._ended.put(bug)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is not None:
            self.queue.add(pod.uid)

    def _watch_changed(self) -> None:
        if self.reflector.error is not None:
            self._log.warning("cannot watch pods, trying again", why=str(self.reflector.error))
            return
        pods = self.pods.snapshot().values()
        gated = sum(pod.spec.has_gate(self._rule.condition) for pod in pods)
        self._log.info("watching pods", condition=self._rule.condition, pods=len(pods), with_gate=gated)

    def _handle(self, uid: str) -> None:
        try:
            self._reconcile(uid)
        finally:
            self.queue.done(uid)

    def _reconcile(self, uid: str) -> None:
        pod = self.pods.get(uid)
        wanted = decide(pod, self._rule) if pod is not None else None
        if pod is None or wanted is None:
            self.queue.forget(uid)
            return
        ref, body = wanted.pod, patch_body(wanted, self._api.clock.utcnow())
        try:
            answer = self._api.patch(PODS, ref.namespace, ref.name, body, STRATEGIC_MERGE, subresource="status", retries=False)
        except ApiError as error:
            self._refused(wanted, error)
            return
        self.queue.forget(uid)
        with self._lock:
            self._forbidden.discard(ref.namespace)
        self.pods.upsert(answer)
        self._report(pod, wanted)

    def _report(self, before: Pod, wanted: SetGate) -> None:
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

    def _refused(self, wanted: SetGate, error: ApiError) -> None:
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
        self.queue.add_rate_limited(wanted.pod.uid, error.retry_after_seconds or 0.0)

    def _say_forbidden(self, namespace: str, error: Forbidden) -> None:
        """Once, until a write succeeds there again."""
        with self._lock:
            is_known = namespace in self._forbidden
            self._forbidden.add(namespace)
        if not is_known:
            advice = f"you may not patch pods/status in namespace {namespace}: ask for a Role that allows it"
            self._log.error("refused", why=advice, server=str(error))


def patch_body(wanted: SetGate, at: datetime) -> dict[str, Any]:
    """For a strategic merge on `pods/status`: the kubelet's conditions are left alone."""
    metadata: dict[str, Any] = {"uid": wanted.pod.uid, "resourceVersion": wanted.pod.resource_version}
    if wanted.holds is not None:
        metadata["annotations"] = {HOLDS: encode_holds(wanted.holds)}
    if wanted.status is None:
        return {"metadata": metadata}
    condition = {
        "type": wanted.gate,
        "status": str(wanted.status),
        "reason": wanted.reason,
        "message": wanted.why,
        "lastTransitionTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {"metadata": metadata, "status": {"conditions": [condition]}}


def _name(wanted: SetGate) -> str:
    return f"{wanted.pod.namespace}/{wanted.pod.name}"
