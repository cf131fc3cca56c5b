"""Which of several controllers works: the one that holds the leader Lease.

`Election` is a machine without I/O, threads or sleeping: it says what to do next and is fed what came of it; `Leader` does that
on a thread, a simulation on virtual time. Always holds, as for a target's Lease (`lock`): no two are safe at the same instant,
whoever is paused or cut off for however long. Who leads is safe for 10 s from before its last successful renewal was sent; a
newcomer takes a Lease over only after it has seen it unchanged for 15 s from the first answer that showed it so; every write
carries the Lease's resourceVersion; clocks that go on while a machine sleeps decide, each compared with itself. Who lets go is
unsafe first; who slept renews first, and then looks at everything afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from inplace.kube.api import ApiClient
from inplace.kube.clock import format_micro_time
from inplace.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from inplace.kube.protocols import MERGE, Clock
from inplace.kube.resources import LEASES
from inplace.kube.retry import NO_RETRY
from inplace.model.constants import GATES_ANNOTATION
from inplace.model.objects.coordination import Lease
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, RENEW_DEADLINE_SECONDS, RENEW_SECONDS
from inplace.runtime.threads import SYSTEM_THREADS, Joinable, Threads

RETRY_PERIOD_SECONDS = 2.0
"""How often those who stand by look at the Lease."""
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 3.0
"""For one request: a renewal that hangs does not cost the Lease."""
_NEVER = float("-inf")


class LeadershipLost(Exception):
    """Another may lead now: write nothing, end. `str()` is one line for a person."""


class ReadLease(msgspec.Struct, frozen=True):
    """Read the Lease; then `looked` or `failed`."""


class WriteLease(msgspec.Struct, frozen=True):
    """Merge `spec` into the Lease at exactly this version, or create it where `version` is empty; then `wrote` or `failed`."""

    version: str
    spec: dict[str, Any]


class Wait(msgspec.Struct, frozen=True):
    """Ask again after this long."""

    seconds: float


class Lost(msgspec.Struct, frozen=True):
    """It was ours and is not any more: there is nothing to do but to end. `why` is one line for a person."""

    why: str


Command = ReadLease | WriteLease | Wait | Lost


class ElectionState:
    """One candidate. `identity` must be this process's alone. One driver; `is_leading`, `is_safe`, `holder` from any thread."""

    def __init__(self, identity: str, clock: Clock) -> None:
        self.identity = identity
        self.is_leading = False
        self._clock = clock
        self._said_at = _NEVER
        self._renewed_at = _NEVER
        self._must_look = True
        self._wait_seconds = 0.0
        self._seen: Lease | None = None
        """As last looked at, or as our own write left it."""
        self._seen_at = _NEVER
        """Since when it has looked like this, as far as we know."""
        self._looked_at = _NEVER
        self._has_vanished = False
        self._over: Lost | None = None
        self.on_gap: Callable[[], None] = lambda: None
        """As that of a `lock.Lock`."""

    @property
    def is_safe(self) -> bool:
        """Whether writes are allowed now."""
        return self.is_leading and self._clock.monotonic() - self._renewed_at < RENEW_DEADLINE_SECONDS

    @property
    def holder(self) -> str:
        """Who led when we looked last; empty: nobody."""
        return (self._seen.spec.holder_identity or "") if self._seen is not None else ""

    def next_command(self) -> Command:
        """What to do now. A `Wait` is said once."""
        now = self._said_at = self._clock.monotonic()
        if self._over is not None:
            return self._over
        if self._wait_seconds > 0:
            seconds, self._wait_seconds = self._wait_seconds, 0.0
            return Wait(seconds)
        if self._must_look or not (self.is_leading or self._may_take(now)):
            return ReadLease()
        return WriteLease(self._version, self._spec())

    def on_read(self, lease: Lease | None) -> None:
        """The answer to a `Look`, as soon as it is here; None: there is no Lease."""
        now = self._clock.monotonic()
        holder = lease.spec.holder_identity if lease is not None else None
        if self.is_leading and holder != self.identity:
            self._lose("was deleted" if lease is None else f"was taken over by {holder or 'somebody'}")
            return
        before, self._seen = self._version, lease
        self._has_vanished = lease is None and (before != "" or self._has_vanished)
        # Whoever leads may have been cut off from the API server just as we were: then it gets its time to come back.
        was_away = now - self._looked_at > RENEW_DEADLINE_SECONDS
        if was_away or self._version != before:
            self._seen_at = now
        self._looked_at = now
        self._must_look = False
        if not self.is_leading and not self._may_take(now):
            self._wait_seconds = max(0.001, min(RETRY_PERIOD_SECONDS, self._seen_at + LEASE_DURATION_SECONDS - now))

    def on_written(self, lease: Lease) -> None:
        """The answer to a `Write`, however late it comes: we are safe from when it was said."""
        if self._over is not None:
            return
        self._seen = lease
        if self.is_leading and self._said_at - self._renewed_at >= RENEW_DEADLINE_SECONDS:
            self.on_gap()
        self._renewed_at = self._said_at
        self.is_leading = True
        self._wait_seconds = RENEW_SECONDS

    def on_error(self, error: ApiError) -> None:
        """A `Look` or a `Write` was refused, or nothing is known of it."""
        match error:
            case NotFound() if self.is_leading:
                self._lose("was deleted")
            case Conflict() | AlreadyExists() | NotFound():
                self._must_look = True  # somebody was faster, or it is ours by a write whose answer was lost
            case _:
                self._must_look = self._must_look or not self.is_leading
                self._wait_seconds = RETRY_SECONDS

    def release(self) -> WriteLease | None:
        """The end, unsafe from now on: the write that frees the Lease for the next at once. None: it is not ours."""
        was_leading = self.is_leading
        self._lose("was let go")
        return WriteLease(self._version, {"holderIdentity": None}) if was_leading else None

    @property
    def _version(self) -> str:
        return self._seen.metadata.resource_version if self._seen is not None else ""

    def _may_take(self, now: float) -> bool:
        if now - self._looked_at > RENEW_DEADLINE_SECONDS:
            return False
        is_free = self.holder in ("", self.identity) and not self._has_vanished
        return is_free or now - self._seen_at >= LEASE_DURATION_SECONDS

    def _lose(self, what: str) -> None:
        self.is_leading = False
        self._over = self._over or Lost(f"the leader Lease {what}")

    def _spec(self) -> dict[str, Any]:
        at = format_micro_time(self._clock.utcnow())
        if self.is_leading:
            return {"renewTime": at}
        transitions = (self._seen.spec.lease_transitions or 0) + 1 if self._seen is not None else 0
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_DURATION_SECONDS,
            "acquireTime": at,
            "renewTime": at,
            "leaseTransitions": transitions,
        }


class LeaderElector:
    """An `Election` for the Lease `lease_ref` (namespace, name), on a thread: a `manager.Leadership`."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        gates: str = "",
        component: str = "controller",
        stands_again: bool = False,
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """`gates`: what the Lease says that its holder opens. `stands_again`: whoever has lost stands by, instead of ending."""
        self.lease_ref = (namespace, name)
        self.identity = identity
        self.election = ElectionState(identity, api.clock)
        self._gates = gates
        self._component = component
        self._stands_again = stands_again
        self._api = api.replace(limiter=None, policy=NO_RETRY, timeout_seconds=TIMEOUT_SECONDS)
        self._log = structlog.get_logger()
        self._threads = threads
        self._stopped = threads.event()
        self._thread: Joinable | None = None
        self._told_holder = ""
        self.stepped_at = api.clock.monotonic()
        """When the thread has last done something: it does every few seconds."""

    @property
    def is_safe(self) -> bool:
        """Whether writes are allowed now: looked at right before each."""
        return self.election.is_safe

    def start(self, led: Callable[[], None], lost: Callable[[BaseException], None]) -> None:
        """`led` and `lost` are called on the thread, each once at most; `lost` with `LeadershipLost`, or with a bug. Where it
        stands again, `led` is called each time that it leads after another."""
        was_leading = False

        def iterate() -> bool:
            nonlocal was_leading
            if self._stopped.is_set():
                return False
            seconds = self.step()
            if self.election.is_leading and not was_leading:
                led()
            was_leading = self.election.is_leading
            self._say_holder()
            self._stopped.wait(seconds)
            return True

        self._thread = self._threads.loop("leader-election", iterate, lost)

    def stop(self) -> None:
        """Lets go of the Lease: whatever writes for us must have ended before."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_SECONDS + 1.0)
        last = self.election.release()
        if last is not None:
            with suppress(ApiError):  # then the next waits for its 15 s
                self._write(last)

    def step(self) -> float:
        """Does what is next; the seconds until there is more to do. Raises `LeadershipLost`."""
        self.stepped_at = self._api.clock.monotonic()
        command = self.election.next_command()
        try:
            match command:
                case ReadLease():
                    self.election.on_read(self._read())
                case WriteLease():
                    self.election.on_written(self._write(command))
                case Wait(seconds):
                    return seconds
                case Lost(why) if self._stands_again and not self._stopped.is_set():
                    self._log.warning("standing by again", lease="/".join(self.lease_ref), why=why)
                    self.election = ElectionState(self.identity, self._api.clock)
                    return RETRY_SECONDS
                case Lost(why):
                    raise LeadershipLost(why)
        except ApiError as error:
            self.election.on_error(error)
            self._say_failed(error)
        return 0.0

    def _read(self) -> Lease | None:
        try:
            return self._api.get(LEASES, *self.lease_ref)
        except NotFound:
            return None

    def _write(self, command: WriteLease) -> Lease:
        namespace, name = self.lease_ref
        metadata: dict[str, Any] = (
            {"annotations": {GATES_ANNOTATION: self._gates}} if command.spec.get("holderIdentity") else {}
        )
        if command.version:
            body = {"metadata": {**metadata, "resourceVersion": command.version}, "spec": command.spec}
            return self._api.patch(LEASES, namespace, name, body, MERGE)
        labels = {"app.kubernetes.io/part-of": "inplace", "app.kubernetes.io/component": self._component}
        metadata |= {"name": name, "labels": labels}
        return self._api.create(LEASES, namespace, {"metadata": metadata, "spec": command.spec})

    def _say_holder(self) -> None:
        holder = self.election.holder
        if holder not in (self._told_holder, self.identity, ""):
            self._log.info("standing by", lease="/".join(self.lease_ref), leader=holder)
        self._told_holder = holder

    def _say_failed(self, error: ApiError) -> None:
        """A conflict is an everyday thing."""
        if not isinstance(error, Conflict | AlreadyExists):
            self._log.warning("leader election: trying again", lease="/".join(self.lease_ref), why=str(error))
