"""Records Events: what happened to an object, for people who run `kubectl describe` on it.

Always holds: `emit` never waits and never raises, whatever the API server does. What happens again is counted in the existing
Event (a series), not recorded anew. Nothing piles up: beyond a bound Events are dropped, and counted. Where Events may not be
written that is tried seldom, and logged once. Reasons are stable words that programs may match on; whatever varies is in the
note.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.clock import format_micro_time
from inplace.kube.errors import ApiError, ConnectionFailed, Forbidden, NotFound, ServerError, TooManyRequests
from inplace.kube.limiter import RateLimiter
from inplace.kube.protocols import MERGE
from inplace.kube.resources import EVENTS
from inplace.kube.retry import NO_RETRY
from inplace.kube.workqueue import WorkQueue
from inplace.model.constants import GROUP

CONTROLLER = f"{GROUP}/controller"
CLI = f"{GROUP}/cli"
SERIES_SECONDS = 30.0
"""How long repetitions are gathered before they are written."""
MEMORY_SECONDS = 360.0
"""After this long without a repetition the next one is a new Event."""
REFUSED_SECONDS = 300.0
"""How long a namespace is skipped that refused an Event."""
MAX_EVENTS = 2000
"""The most Events that are remembered at once."""
MAX_TRIES = 3
MAX_NOTE_LENGTH = 1000
TIMEOUT_SECONDS = 5.0
STOP_SECONDS = 2.0

EventType = Literal["Normal", "Warning"]
Result = Literal["sent", "counted", "dropped", "failed"]


class ObjectReference(msgspec.Struct, frozen=True):
    """The object that an Event is regarding."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class _Key(msgspec.Struct, frozen=True):
    """What is emitted again under one key is a repetition; the same reason with another note is another Event, of another run
    say."""

    regarding: ObjectReference
    type: EventType
    reason: str
    note: str


class _Entry(msgspec.Struct):
    action: str
    happened_at: str
    count: int = 1
    written: int = 0
    name: str = ""
    """The name of the Event in the cluster, once there is one."""
    tries: int = 0
    used_at: float = 0.0


class EventRecorder:
    """`emit` may be called on any thread. Threads: `start` and `stop`; a simulation calls `step` while `queue.due_in()` is 0.

    `on_result`: called with the result of each Event. `by`: the reporting controller that the Events name.
    """

    def __init__(
        self, api: ApiClient, instance: str, on_result: Callable[[Result], None] = lambda _result: None, by: str = CONTROLLER
    ) -> None:
        self._api = api.replace(
            limiter=RateLimiter(api.clock, qps=10.0, burst=50), policy=NO_RETRY, timeout_seconds=TIMEOUT_SECONDS
        )
        self._instance = instance[:128]
        self._on_result = on_result
        self._by = by
        self.refusal = ""
        """Why some may not be written; empty: all may."""
        self._refused_until: dict[str, float] = {}
        self._is_ending = False
        self._lock = threading.Lock()
        self._written = threading.Condition(self._lock)
        self._entries: dict[_Key, _Entry] = {}
        self.queue: WorkQueue[_Key] = WorkQueue(api.clock)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def emit(self, regarding: ObjectReference, event_type: EventType, reason: str, action: str, note: str) -> None:
        """`action`: what we were doing; `reason`: why there is an Event. Both in UpperCamelCase."""
        key, at = _Key(regarding, event_type, reason, note[:MAX_NOTE_LENGTH]), format_micro_time(self._api.clock.utcnow())
        with self._lock:
            entry = self._entries.get(key)
            is_dropped = entry is None and len(self._entries) >= MAX_EVENTS
            if entry is not None:
                entry.count += 1
                entry.happened_at = at
            elif not is_dropped:
                self._entries[key] = _Entry(action, at)
        if is_dropped:
            self._on_result("dropped")
        elif entry is None:
            self.queue.add(key)
        else:
            self.queue.add_after(key, SERIES_SECONDS)
            self._on_result("counted")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits a moment for what is not written yet; the rest is lost."""
        ends_at = time.monotonic() + STOP_SECONDS
        self.finish()
        with self._written:
            self._written.wait_for(lambda: not self._unwritten(), STOP_SECONDS)
        self.queue.shut_down()
        self._thread.join(max(0.0, ends_at - time.monotonic()))

    def finish(self) -> None:
        """Makes everything due that is not written yet; it is tried once."""
        with self._lock:
            self._is_ending = True
            keys = self._unwritten()
        for key in keys:
            self.queue.add(key)

    def _unwritten(self) -> list[_Key]:
        return [key for key, entry in self._entries.items() if entry.written < entry.count]

    def step(self) -> bool:
        """Writes one Event that is due. False: none was."""
        key = self.queue.try_get()
        if key is not None:
            self._handle(key)
        return key is not None

    def _run(self) -> None:
        while (key := self.queue.get()) is not None:
            self._handle(key)

    def _handle(self, key: _Key) -> None:
        now = self._api.clock.monotonic()
        with self._lock:
            entry = self._entries[key]
            count = entry.count
            is_old = entry.written == count and now - entry.used_at >= MEMORY_SECONDS
            if is_old:
                del self._entries[key]
        try:
            if not is_old and count > entry.written:
                self._require_allowed(key.regarding.namespace, now)
                self._write(key, entry, count)
                entry.written, entry.tries, entry.used_at = count, 0, now
                self._on_result("sent")
        except ApiError as error:
            self._on_error(key, entry, count, error)
        finally:
            self.queue.done(key)
            with self._written:
                self._written.notify_all()
        if not is_old:
            self.queue.add_after(key, MEMORY_SECONDS)

    def _require_allowed(self, namespace: str, now: float) -> None:
        """Raises `Forbidden`."""
        if self._refused_until.get(namespace, now) > now:
            raise Forbidden(self.refusal)
        self._refused_until.pop(namespace, None)

    def _write(self, key: _Key, entry: _Entry, count: int) -> None:
        """Raises `ApiError`."""
        namespace = key.regarding.namespace
        if not entry.name:
            name = f"{key.regarding.name[:236]}.{uuid.uuid4().hex[:16]}"
            self._api.create(EVENTS, namespace, self._event(key, entry, name))
            entry.name = name
        if count > 1:
            series = {"count": count, "lastObservedTime": entry.happened_at}
            self._api.patch(EVENTS, namespace, entry.name, {"series": series}, MERGE)

    def _on_error(self, key: _Key, entry: _Entry, count: int, error: ApiError) -> None:
        """Retries seldom: an Event is not worth much trouble."""
        if isinstance(error, NotFound):
            entry.name = ""  # the Event has expired, or its namespace is gone
        entry.tries += 1
        is_passing = isinstance(error, ConnectionFailed | NotFound | ServerError | TooManyRequests)
        if isinstance(error, Forbidden):
            self.refusal = self.refusal or str(error)
            self._refused_until.setdefault(key.regarding.namespace, self._api.clock.monotonic() + REFUSED_SECONDS)
        if is_passing and entry.tries < MAX_TRIES and not self._is_ending:
            self.queue.add_after(key, max(2.0**entry.tries, error.retry_after_seconds or 0.0))
            return
        entry.written, entry.tries, entry.used_at = count, 0, self._api.clock.monotonic()
        self._on_result("failed")

    def _event(self, key: _Key, entry: _Entry, name: str) -> dict[str, Any]:
        regarding = key.regarding
        return {
            "metadata": {"name": name, "namespace": regarding.namespace},
            "eventTime": entry.happened_at,
            "reportingController": self._by,
            "reportingInstance": self._instance,
            "type": key.type,
            "reason": key.reason,
            "action": entry.action,
            "note": key.note,
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        }
