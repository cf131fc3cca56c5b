"""The Lease of a target: who holds it, and the run.

Always holds: nothing is written once the last successful renewal is more than 10 s old by our own clock, which goes on while
the machine sleeps. A newcomer watches an unrenewed Lease for 15 s before it takes over, so the two never overlap; the wall
clock decides nothing. After such a gap the lock is renewed before anything else, and everything is listed again. A controller
holds all its Leases by one Lease of its own, which they name as their holder: that one is renewed, and watched. Only the holder
writes the run, each time with the Lease's resourceVersion; commands put a request beside it.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.clock import format_micro_time, whole_seconds
from inplace.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import LEASES
from inplace.model.constants import HELD_BY_ANNOTATION, HISTORY_ANNOTATION, RUN_ANNOTATION
from inplace.model.history import PastRun, append_history, decode_history, to_past_run
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import Run, decode_run, encode_run, lease_name
from inplace.model.trust import lease_mismatch, run_problem
from inplace.runtime.requests import NO_REQUEST

LEASE_DURATION_SECONDS = 15
RENEW_SECONDS = 5.0
RENEW_DEADLINE_SECONDS = 10.0
SAVE_TRIES = 5


class LockHeldError(Exception):
    """Another run holds the target. `str()` is one line for a person."""


class LockLostError(Exception):
    """Another holds the Lease now: stop at once, write nothing."""


class Fence(Protocol):
    """A lock that is renewed elsewhere, on which another lock depends."""

    @property
    def is_safe(self) -> bool: ...


class TargetLock:
    """One target's Lease, from acquiring to releasing. Thread-safe: the renewer and the driver share it.

    `owner`: the ownerReference of the Lease. `fence`: the leader Lease of a controller, whose `LeaderRef.holder` is then the
    identity here. The class has many methods because they share one state, the Lease as last seen: each verb on
    the Lease is one of them.
    """

    def __init__(
        self, api: ApiClient, target: TargetRef, owner: dict[str, Any] | None, identity: str, fence: Fence | None = None
    ) -> None:
        self._api = api
        self._fence = fence
        self._target = target
        self._owner = owner
        self.identity = identity
        self.held_by = ""
        """Names the holder to people; empty: a controller."""
        self.namespace = target.namespace
        self.name = lease_name(target)
        self._mutex = threading.RLock()
        """Reentrant: a simulation drives everything on one thread, and may renew while a save waits to be retried."""
        self._renewed_at = float("-inf")
        self._version = ""
        self._run_id = ""
        self.lease: Lease | None = None
        """The Lease as our last write left it."""
        self.error: ApiError | None = None
        """Why the last write of the Lease failed; None: it succeeded."""
        self.on_error_changed: Callable[[], None] = lambda: None
        """Called when `error` has changed."""
        self.on_gap: Callable[[], None] = lambda: None
        """Called when a renewal came too late, before it counts: others may have written meanwhile."""

    def read(self) -> Lease | None:
        """The Lease as it is in the cluster. Raises `ApiError`."""
        try:
            return self._api.get(LEASES, self._target.namespace, self.name)
        except NotFound:
            return None

    def wait_until_free(self, notify: Callable[[str], None]) -> Lease | None:
        """Returns the Lease once nobody holds it, or its holder has not renewed it for 15 s. Raises `LockHeldError`.

        `notify` gets a line when there is a holder to watch. A newcomer never compares renewTime with its own clock: it checks
        whether the Lease changes.
        """
        first = self.read()
        if first is None or not first.spec.holder_identity:
            return first
        notify(
            f"{self._target} is locked by {describe_holder(first)}; watching for {LEASE_DURATION_SECONDS}s whether it is alive"
        )
        heartbeat = read_heartbeat(self._api, first)
        ends_at = self._api.clock.monotonic() + LEASE_DURATION_SECONDS
        while self._api.clock.monotonic() < ends_at:
            self._api.clock.sleep(0.5)
            now = self.read()
            if now is None or not now.spec.holder_identity:
                return now
            if read_heartbeat(self._api, now) != heartbeat:
                raise LockHeldError(f"{self._target} is being upgraded by {describe_holder(now)}: {_advice(self._target, now)}")
        return first

    def acquire(self, seen: Lease | None, run: Run) -> None:
        """Takes the Lease `seen` (None: there was none), and stores the run in the same write. Raises `LockHeldError` if
        another was faster."""
        body = self._body(run)
        sent_at = self._api.clock.monotonic()
        try:
            if seen is None:
                lease = self._api.create(LEASES, self._target.namespace, body)
            else:
                body["metadata"]["resourceVersion"] = seen.metadata.resource_version
                body["metadata"]["annotations"] = {HELD_BY_ANNOTATION: None, **body["metadata"]["annotations"], **NO_REQUEST}
                body["spec"]["leaseTransitions"] = (seen.spec.lease_transitions or 0) + 1
                lease = self._api.patch(LEASES, self._target.namespace, self.name, body, MERGE)
        except (AlreadyExists, Conflict):
            taken = self.read()
            if taken is None or not self._is_ours(taken, run.id):
                raise LockHeldError(f"{self._target} was just taken by another run: try again") from None
            lease = taken
        self._run_id = run.id
        self._accept(lease, sent_at)

    @property
    def is_safe(self) -> bool:
        """Whether writes are allowed now."""
        if self._fence is not None:
            return self._fence.is_safe
        return self._api.clock.monotonic() - self._renewed_at < RENEW_DEADLINE_SECONDS

    def renew(self) -> None:
        """Raises `LockLostError`, or `ApiError` where the API server gave no answer: then try again."""
        self._write(lambda: {"spec": {"renewTime": self._now()}})

    def save(self, run: Run, *, clear_request: bool = False) -> None:
        """Stores the run. `clear_request`: removes the request in the same write. Raises `LockLostError` or `ApiError`."""
        annotations: dict[str, Any] = {RUN_ANNOTATION: encode_run(run), **(NO_REQUEST if clear_request else {})}
        self._write(lambda: {"metadata": {"annotations": annotations}, "spec": {"renewTime": self._now()}})

    def release(self, run: Run, revisions: tuple[int, ...] = (), *, delete: bool = False) -> None:
        """Ends cleanly: stores the run as it ended, also in the history, and names no holder; or deletes the Lease.
        `revisions`: those that the run created. Raises `LockLostError` or `ApiError`."""
        if delete:
            with suppress(NotFound):
                self._with_conflict_retry(
                    lambda: self._api.delete(LEASES, self._target.namespace, self.name, resource_version=self._version)
                )
            return
        history = self.lease.metadata.annotation(HISTORY_ANNOTATION) if self.lease is not None else None
        annotations = {
            RUN_ANNOTATION: encode_run(run),
            HISTORY_ANNOTATION: append_history(history, to_past_run(run, revisions)),
            HELD_BY_ANNOTATION: None,
        }
        self._write(lambda: {"metadata": {"annotations": annotations}, "spec": {"holderIdentity": None}})

    def _write(self, body: Callable[[], dict[str, Any]]) -> None:
        def patch() -> None:
            whole = body()
            whole["metadata"] = {**whole.get("metadata", {}), "resourceVersion": self._version}
            sent_at = self._api.clock.monotonic()
            self._accept(self._api.patch(LEASES, self._target.namespace, self.name, whole, MERGE), sent_at)

        try:
            self._with_conflict_retry(patch)
        except NotFound:
            raise LockLostError(f"the Lease {self.name} was deleted") from None
        except ApiError as error:
            self._set_error(error)
            raise

    def _set_error(self, error: ApiError | None) -> None:
        is_news = str(error) != str(self.error)
        self.error = error
        if is_news:
            self.on_error_changed()

    def _with_conflict_retry(self, send: Callable[[], object]) -> None:
        """Sends with the version that we know, and again if a command's request has changed it."""
        with self._mutex:
            for _ in range(SAVE_TRIES):
                try:
                    send()
                    return
                except Conflict:
                    self._refresh()
            raise ApiError(f"the Lease {self.name} keeps changing")

    def _refresh(self) -> None:
        """Reads the version again: a command's request changes the Lease too, which is no loss. Raises `LockLostError`."""
        lease = self.read()
        if lease is None or not self._is_ours(lease, self._run_id):
            holder = lease.spec.holder_identity if lease is not None else None
            raise LockLostError(f"the Lease {self.name} was taken over by {holder or 'somebody'}")
        self._version = lease.metadata.resource_version

    def _is_ours(self, lease: Lease, run_id: str) -> bool:
        """The run counts, too: a controller holds all its Leases under the same name."""
        return lease.spec.holder_identity == self.identity and read_run_id(lease) == run_id

    def _accept(self, lease: Lease, sent_at: float) -> None:
        """-"""
        self.lease = lease
        self._version = lease.metadata.resource_version
        if self._renewed_at > float("-inf") and sent_at - self._renewed_at >= RENEW_DEADLINE_SECONDS:
            self.on_gap()
        self._renewed_at = sent_at
        self._set_error(None)

    def _body(self, run: Run) -> dict[str, Any]:
        owners = {"ownerReferences": [self._owner]} if self._owner else {}
        labels = {"labels": {"app.kubernetes.io/managed-by": "inplace"}}
        annotations = {RUN_ANNOTATION: encode_run(run), **({HELD_BY_ANNOTATION: self.held_by} if self.held_by else {})}
        return {
            "metadata": {"name": self.name, "annotations": annotations, **labels, **owners},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": LEASE_DURATION_SECONDS,
                "acquireTime": self._now(),
                "renewTime": self._now(),
            },
        }

    def _now(self) -> str:
        return format_micro_time(self._api.clock.utcnow())


def describe_holder(lease: Lease) -> str:
    """Says who holds it and since when, for people: `jane (root@laptop) since 2026-11-28T02:11:03Z, as laptop-812-ab12cd`."""
    holder, by, since = lease.spec.holder_identity or "", lease.metadata.annotation(HELD_BY_ANNOTATION), lease.spec.acquire_time
    began = f" since {whole_seconds(since)}" if since else ""
    return f"{by}{began}, as {holder}" if by else f"{holder}{began}"


class LeaderRef(msgspec.Struct, frozen=True):
    """The Lease by which a controller leads, and the controller's identity."""

    namespace: str
    name: str
    identity: str

    @property
    def holder(self) -> str:
        """What the Leases of its targets name as their holder."""
        return f"controller/{self.namespace}/{self.name}/{self.identity}"


def parse_leader(holder: str | None) -> LeaderRef | None:
    """The controller that a holder names; None: the holder is a command."""
    word, _, rest = (holder or "").partition("/")
    parts = rest.split("/", 2)
    return LeaderRef(*parts) if word == "controller" and len(parts) == 3 else None


def _advice(target: TargetRef, lease: Lease) -> str:
    """About a living holder. A controller holds on to what it has paused, so that no pause lets anybody in."""
    where = shlex.join([*target.cli_args, "-n", target.namespace])
    if parse_leader(lease.spec.holder_identity) is not None:
        return f"wait for its end, or go back first: `inplace abort {where}`"
    return f"wait for it, or `inplace pause {where}`"


Heartbeat = tuple[str | None, ...]


def read_heartbeat(api: ApiClient, lease: Lease) -> Heartbeat:
    """What changes as long as the holder of this Lease lives: read twice, 15 s apart, it tells a dead holder from a living one.

    Raises `LockHeldError` where a controller's own Lease may not be read: then nobody can tell, and the run is the
    controller's.
    """
    holder = lease.spec.holder_identity
    return holder, lease.spec.renew_time, _leader_heartbeat(api, holder)


def _leader_heartbeat(api: ApiClient, holder: str | None) -> str | None:
    """Empty: the controller leads no more, and the same for ever. None: it is no controller."""
    ref = parse_leader(holder)
    if ref is None:
        return None
    try:
        lease = api.get(LEASES, ref.namespace, ref.name)
    except NotFound:
        return ""
    except Forbidden:
        where = f"Lease {ref.name} in namespace {ref.namespace}"
        raise LockHeldError(f"the run is a controller's, and you may not get {where} to see whether it lives") from None
    return lease.spec.renew_time or "" if lease.spec.holder_identity == ref.identity else ""


class LeaseRenewer:
    """Renews a lock every 5 s on a thread of its own, so that a slow plan or a busy pool never loses it. `on_lost` gets the
    error that ended it."""

    def __init__(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> None:
        self._lock = lock
        self._on_lost = on_lost
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-renewer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        wait = RENEW_SECONDS
        while not self._stopped.wait(wait):
            try:
                self._lock.renew()
                wait = RENEW_SECONDS
            except ApiError:
                wait = 1.0
            except BaseException as lost:
                self._on_lost(lost)
                return


def run_from_lease(lease: Lease | None) -> Run | None:
    """The run stored in a Lease; None: there is none. Raises ValueError with a line for a person."""
    text = lease.metadata.annotation(RUN_ANNOTATION) if lease is not None else None
    if lease is None or not text:
        return None
    run = decode_run(text)
    problem = lease_mismatch(run, lease.metadata) or run_problem(run)
    if problem:
        raise ValueError(f"the stored run is none of ours: {problem}")
    return run


def read_run_id(lease: Lease) -> str:
    """The id of the stored run; empty where there is none, or none that can be read."""
    try:
        run = run_from_lease(lease)
    except ValueError:
        return ""
    return run.id if run is not None else ""


def read_history(lease: Lease | None) -> tuple[PastRun, ...]:
    """The last runs, the newest last."""
    return decode_history(lease.metadata.annotation(HISTORY_ANNOTATION)) if lease is not None else ()
