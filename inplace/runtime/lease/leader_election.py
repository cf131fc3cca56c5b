"""Leader election: of several controllers, the one that holds the leader Lease works.

`ElectionState` is a state machine without I/O, threads or sleeping: it returns the next command and is fed the result;
`LeaderElector` runs it on a thread, a simulation on virtual time. Always holds, as for a target's Lease (`lock`): no two
leaders are safe at the same instant, however long one of them is suspended or cut off. A leader is safe for 10 s from before
its last successful renewal was sent; a newcomer takes a Lease over only after it has seen it unchanged for 15 s from the first
answer that showed it so; every write carries the Lease's resourceVersion. The clocks that decide go on while a machine sleeps,
and each is compared with itself only. A leader stops being safe before it releases the Lease; one that slept renews first, and
then lists everything again.
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
"""How often a candidate on standby reads the Lease."""
RETRY_SECONDS = 1.0
TIMEOUT_SECONDS = 3.0
"""For one request: a renewal that hangs does not cost the Lease."""
_NEVER = float("-inf")


class LeadershipLost(Exception):
    """Another may lead now: write nothing, end. `str()` is one line for a person."""


class ReadLease(msgspec.Struct, frozen=True):
    """Read the Lease; then call `on_read` or `on_error`."""


class WriteLease(msgspec.Struct, frozen=True):
    """Merge `spec` into the Lease at exactly this version, or create it where `version` is empty; then call `on_written` or
    `on_error`."""

    version: str
    spec: dict[str, Any]


class Wait(msgspec.Struct, frozen=True):
    """Ask for the next command after this long."""

    seconds: float


class Lost(msgspec.Struct, frozen=True):
    """The Lease was ours and is lost: end. `why` is one line for a person."""

    why: str


Command = ReadLease | WriteLease | Wait | Lost


class ElectionState:
    """One candidate. No other process may have its `identity`. Driven by one thread; `is_leading`, `is_safe` and `holder` may
    be read on any."""

    def __init__(self, identity: str, clock: Clock) -> None:
        self.identity = identity
        self.is_leading = False
        self._clock = clock
        self._sent_at = _NEVER
        self._renewed_at = _NEVER
        self._must_read = True
        self._wait_seconds = 0.0
        self._seen: Lease | None = None
        """The Lease as last read, or as our last write left it."""
        self._seen_at = _NEVER
        """When it was first seen in this state."""
        self._read_at = _NEVER
        self._has_vanished = False
        self._lost: Lost | None = None
        self.on_gap: Callable[[], None] = lambda: None
        """As `TargetLock.on_gap`."""

    @property
    def is_safe(self) -> bool:
        """Whether writes are allowed now."""
        return self.is_leading and self._clock.monotonic() - self._renewed_at < RENEW_DEADLINE_SECONDS

    @property
    def holder(self) -> str:
        """Who led when the Lease was last read; empty: nobody."""
        return (self._seen.spec.holder_identity or "") if self._seen is not None else ""

    def next_command(self) -> Command:
        """What to do now. A `Wait` is returned once."""
        now = self._sent_at = self._clock.monotonic()
        if self._lost is not None:
            return self._lost
        if self._wait_seconds > 0:
            seconds, self._wait_seconds = self._wait_seconds, 0.0
            return Wait(seconds)
        if self._must_read or not (self.is_leading or self._may_take(now)):
            return ReadLease()
        return WriteLease(self._version, self._spec())

    def on_read(self, lease: Lease | None) -> None:
        """Call it with the result of a `ReadLease`, as soon as it is here; None: there is no Lease."""
        now = self._clock.monotonic()
        holder = lease.spec.holder_identity if lease is not None else None
        if self.is_leading and holder != self.identity:
            self._lose("was deleted" if lease is None else f"was taken over by {holder or 'somebody'}")
            return
        before, self._seen = self._version, lease
        self._has_vanished = lease is None and (before != "" or self._has_vanished)
        # The leader may have been cut off from the API server just as we were: give it the time to come back.
        was_away = now - self._read_at > RENEW_DEADLINE_SECONDS
        if was_away or self._version != before:
            self._seen_at = now
        self._read_at = now
        self._must_read = False
        if not self.is_leading and not self._may_take(now):
            self._wait_seconds = max(0.001, min(RETRY_PERIOD_SECONDS, self._seen_at + LEASE_DURATION_SECONDS - now))

    def on_written(self, lease: Lease) -> None:
        """Call it with the result of a `WriteLease`, however late: we are safe from the instant at which the command was
        returned."""
        if self._lost is not None:
            return
        self._seen = lease
        if self.is_leading and self._sent_at - self._renewed_at >= RENEW_DEADLINE_SECONDS:
            self.on_gap()
        self._renewed_at = self._sent_at
        self.is_leading = True
        self._wait_seconds = RENEW_SECONDS

    def on_error(self, error: ApiError) -> None:
        """Call it when a `ReadLease` or a `WriteLease` was refused, or its result is unknown."""
        match error:
            case NotFound() if self.is_leading:
                self._lose("was deleted")
            case Conflict() | AlreadyExists() | NotFound():
                self._must_read = True  # another was faster, or the Lease is ours by a write whose answer was lost
            case _:
                self._must_read = self._must_read or not self.is_leading
                self._wait_seconds = RETRY_SECONDS

    def release(self) -> WriteLease | None:
        """Ends, unsafe from now on. Returns the write that frees the Lease for the next leader; None: it is not ours."""
        was_leading = self.is_leading
        self._lose("was let go")
        return WriteLease(self._version, {"holderIdentity": None}) if was_leading else None

    @property
    def _version(self) -> str:
        return self._seen.metadata.resource_version if self._seen is not None else ""

    def _may_take(self, now: float) -> bool:
        if now - self._read_at > RENEW_DEADLINE_SECONDS:
            return False
        is_free = self.holder in ("", self.identity) and not self._has_vanished
        return is_free or now - self._seen_at >= LEASE_DURATION_SECONDS

    def _lose(self, what: str) -> None:
        self.is_leading = False
        self._lost = self._lost or Lost(f"the leader Lease {what}")

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
    """Runs an `ElectionState` for the Lease `lease_ref` (namespace, name) on a thread."""

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        gates: str = "",
        component: str = "controller",
        rejoins: bool = False,
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """`gates`: what the Lease says that its holder opens. `rejoins`: a candidate that lost the Lease stands by again
        instead of ending."""
        self.lease_ref = (namespace, name)
        self.identity = identity
        self.election = ElectionState(identity, api.clock)
        self._gates = gates
        self._component = component
        self._rejoins = rejoins
        self._api = api.replace(limiter=None, policy=NO_RETRY, timeout_seconds=TIMEOUT_SECONDS)
        self._log = structlog.get_logger()
        self._threads = threads
        self._stopped = threads.event()
        self._thread: Joinable | None = None
        self._logged_holder = ""
        self.stepped_at = api.clock.monotonic()
        """When the thread last did something: it does every few seconds."""

    @property
    def is_safe(self) -> bool:
        """Whether writes are allowed now; checked right before each."""
        return self.election.is_safe

    def start(self, on_started_leading: Callable[[], None], on_lost: Callable[[BaseException], None]) -> None:
        """Calls `on_started_leading` and `on_lost` on the thread, each at most once; `on_lost` with `LeadershipLost`, or with a
        bug. An elector that rejoins calls `on_started_leading` each time that it leads after another."""
        was_leading = False

        def iterate() -> bool:
            nonlocal was_leading
            if self._stopped.is_set():
                return False
            seconds = self.step()
            if self.election.is_leading and not was_leading:
                on_started_leading()
            was_leading = self.election.is_leading
            self._log_holder()
            self._stopped.wait(seconds)
            return True

        self._thread = self._threads.loop("leader-election", iterate, on_lost)

    def stop(self) -> None:
        """Releases the Lease: everything that writes under it must have ended before."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_SECONDS + 1.0)
        last = self.election.release()
        if last is not None:
            with suppress(ApiError):  # then the next leader has to wait 15 s
                self._write(last)

    def step(self) -> float:
        """Does what is next. Returns the seconds until there is more to do. Raises `LeadershipLost`."""
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
                case Lost(why) if self._rejoins and not self._stopped.is_set():
                    self._log.warning("standing by again", lease="/".join(self.lease_ref), why=why)
                    self.election = ElectionState(self.identity, self._api.clock)
                    return RETRY_SECONDS
                case Lost(why):
                    raise LeadershipLost(why)
        except ApiError as error:
            self.election.on_error(error)
            self._log_error(error)
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

    def _log_holder(self) -> None:
        holder = self.election.holder
        if holder not in (self._logged_holder, self.identity, ""):
            self._log.info("standing by", lease="/".join(self.lease_ref), leader=holder)
        self._logged_holder = holder

    def _log_error(self, error: ApiError) -> None:
        """Logs no conflict: those are normal."""
        if not isinstance(error, Conflict | AlreadyExists):
            self._log.warning("leader election: trying again", lease="/".join(self.lease_ref), why=str(error))
