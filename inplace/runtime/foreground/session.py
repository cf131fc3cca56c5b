"""From a command to a driven run: find the target, look, decide whether it may begin, take the lock, drive, let go.

Everything up to the lock only reads; a refusal there has changed nothing.
"""

from __future__ import annotations

import os
import shlex
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from inplace.engine.planning.plan import Caution, RunResult
from inplace.engine.preflight import checks as checking
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.rehearsal import Rehearsal
from inplace.engine.runs import lifecycle as resuming
from inplace.engine.snapshot import Snapshot
from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, Forbidden, Unauthorized
from inplace.kube.retry import QUICK
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import TERMINAL_OUTCOMES, Run, StopRequest, lease_name
from inplace.runtime.caller import Caller
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.run_events import RunEventReporter, about
from inplace.runtime.foreground.spec_paused import require_not_paused
from inplace.runtime.informers.inbox import CacheChanged, StopRequested, ThreadCrashed
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.disruption_claims import DisruptionClaims
from inplace.runtime.lease.lock import LockLostError, TargetLock, read_run_id
from inplace.runtime.lookup import resolve_target
from inplace.runtime.observability.event_recorder import CLI, EventRecorder
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import RunStatistics, Summary
from inplace.runtime.permissions import Purpose, missing_permissions, refusal, required_permissions, version_problem
from inplace.runtime.requests import request_problem
from inplace.runtime.run.backend import RunBackend, ThreadBackend, WorkerPool
from inplace.runtime.run.driver import Driver, ForcedExit, RunAbandoned
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.resolver import AlreadyDone, ClearedRun, RunResolver, format_images, load_stored_run

SYNC_SECONDS = 60.0
FrameHandler = Callable[[Frame], None]


class StillPaused(msgspec.Struct, frozen=True):
    run: Run


Result = Summary | AlreadyDone | StillPaused


class Preview(msgspec.Struct, frozen=True):
    """What an upgrade would be judged on now. `asked`: as a new run would be; `run`: as it would be driven; `stored`: as it
    stands in the Lease, whose holder need not be alive."""

    snapshot: Snapshot
    requested: Run
    run: Run
    is_resumed: bool
    verdict: checking.Verdict
    stored_run: Run | None = None
    holder: str = ""


class Session:
    """One target, watched. Use as a context manager; opening only reads and raises `Refused` or `ApiError`.

    `said`: gets lines for a person, apart from the progress, such as that a lock is being watched. `who`: gives this command,
    asked once it takes the lock.
    """

    def __init__(
        self,
        api: ApiClient,
        target: TargetRef,
        identity: str,
        purpose: Purpose,
        said: Callable[[str], None],
        host: RunBackend | None = None,
        who: Callable[[], Caller] = Caller,
    ) -> None:
        self.api = api
        self._host: RunBackend = host or ThreadBackend()
        self.target = target
        self._identity = identity
        self._who = who
        self.notify = said
        self._asked_to_stop: StopRequest | None = None
        self.has_started = False
        """From the first write on `request_stop` is how to end; before, an interrupt may simply end the process."""
        self.inbox = self._host.inbox(api.clock)
        old = version_problem(api.replace(policy=QUICK, timeout_seconds=5.0))
        if old is not None:
            raise RefusedError(old)
        self._require_rights(purpose)
        self.found = resolve_target(api, target)
        self.informers = TargetInformers(api, self.inbox, target, self.found.selector, lease_name(target))
        self.snapshots = SnapshotBuilder(self.informers, target, self.found.uid)
        self._assessor = RunResolver(api, target, self.found, self._look, self.informers, asks_for_openers=True)
        self._watching = self._host.informers(self.informers)
        self._watching.start()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.stop()

    def request_stop(self, stop: StopRequest) -> None:
        """From another thread (a signal handler must not wait for a lock); the second time means: leave now."""
        self._asked_to_stop = stop
        self.inbox.put(StopRequested(stop))

    def preview(self, asked: Run, given: Mapping[str, Any]) -> Preview:
        """Judges, and changes nothing. Raises `Refused` where a stored run cannot be read."""
        return self._previewed(asked, given, self._lock().read())

    def preview_undo(self, asked: Run, to_revision: int | None, given: Mapping[str, Any]) -> Preview | AlreadyDone:
        """As `preview`, of `undo`."""
        lease = self._lock().read()
        wanted = self._assessor.resolve_undo(asked, to_revision, given, load_stored_run(lease))
        return wanted if isinstance(wanted, AlreadyDone) else self._previewed(wanted, given, lease)

    def recheck(self, run: Run, before: Preview) -> Preview:
        """As the preview before, of the run as it is known now."""
        observed = self._assessor.with_gate_openers(self._look(run), run)
        verdict = checking.preflight(observed, run, lease_name(self.target), before.is_resumed)
        return msgspec.structs.replace(before, snapshot=observed, run=run, verdict=verdict)

    def _previewed(self, asked: Run, given: Mapping[str, Any], lease: Lease | None) -> Preview:
        stored, holder = load_stored_run(lease), (lease.spec.holder_identity or "") if lease is not None else ""
        match self._assessor.decide(asked, given, stored):
            case resuming.BeginRun(run=run, resuming=is_resumed):
                pass
            case resuming.FinishCommitFirst(run=run) | resuming.StillPaused(run=run):
                is_resumed = True
        observed = self._assessor.with_gate_openers(self._look(run), run)
        if not run.images:
            return Preview(observed, asked, run, is_resumed, checking.UpToDate(), stored, holder)
        verdict = self._assessor.preflight(observed, run, is_resumed)
        return Preview(observed, asked, run, is_resumed, verdict, stored, holder)

    def upgrade(self, asked: Run, given: Mapping[str, Any], on_frame: FrameHandler) -> Result:
        """To the end. Raises `Refused`, `Held`, `ApiError` before the first write; `LostLock`, `Left`, `Abandoned` after."""
        return self._to_the_end(lambda _stored: asked, given, on_frame)

    def undo(self, asked: Run, to_revision: int | None, given: Mapping[str, Any], on_frame: FrameHandler) -> Result:
        """As `upgrade`, to the images that were before, or to those of a revision."""

        def aimed(stored: Run | None) -> Run | AlreadyDone:
            return self._assessor.resolve_undo(asked, to_revision, given, stored)

        return self._to_the_end(aimed, given, on_frame)

    def abort(self, asked: Run, on_frame: FrameHandler) -> Result:
        """Goes back from a run that nobody holds; from one that was committed meanwhile, as `undo` would."""
        lock = self._lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None:
            return AlreadyDone(f"{self.target} has no run to abort")
        if stored.is_unfinished:
            match resuming.abort_orphaned(stored, self._look(stored), asked.signature):
                case resuming.BeginRun(run=run):
                    self._assessor.require_known_images(run.images, self._look(run), f"what run {run.id} would go back to")
                    self.notify(f"going back to {format_images(run)}")
                    return self._drive(lock, lease, run, on_frame)
                case resuming.Overtaken() as over:
                    return self._make_way(lock, lease, over, on_frame)
                case resuming.FinishCommitFirst():
                    pass
        elif stored.outcome != "Succeeded":
            return AlreadyDone(f"{self.target} is back at its previous images already")
        return self.undo(asked, None, {}, on_frame)

    def _to_the_end(
        self, ask: Callable[[Run | None], Run | AlreadyDone], given: Mapping[str, Any], on_frame: FrameHandler
    ) -> Result:
        """`ask`: what to do, as a new run would be, after a run that is stored."""
        lock = self._lock()
        while True:
            lease = lock.wait_until_free(self.notify)
            stored = load_stored_run(lease)
            require_not_paused(self.api, self.target, stored)
            wanted = ask(stored)
            if isinstance(wanted, AlreadyDone):
                return wanted
            match self._assessor.decide(wanted, given, stored):
                case resuming.StillPaused(run=run):
                    return StillPaused(run)
                case resuming.FinishCommitFirst(run=run):
                    self.notify(f"finishing the commit of {format_images(run)} first")
                    ended = self._drive(lock, lease, run, on_frame, only_frees=True)
                    if wanted.operation == "Undo" and ended.outcome == "RolledBack":
                        return msgspec.structs.replace(ended, outcome="Succeeded", images=run.from_images)
                    if ended.outcome not in TERMINAL_OUTCOMES:
                        return ended
                    if self._asked_to_stop is not None:
                        return msgspec.structs.replace(ended, outcome=self._asked_to_stop.outcome)
                case resuming.BeginRun(run=run, resuming=is_resumed):
                    match self._assessor.clear_to_start(run, is_resumed, stored):
                        case AlreadyDone() as nothing:
                            for warning in self.new_pods(run):
                                self.notify(f"warning: {warning}")
                            return nothing
                        case checking.Rejected(message=message):
                            raise RefusedError(message)
                        case ClearedRun(run=cleared, warnings=warnings):
                            for warning in warnings:
                                self.notify(f"warning: {warning}")
                            if cleared.operation == "Undo":
                                self.notify(f"going back to {format_images(cleared)}")
                            ended = self._drive(lock, lease, cleared, on_frame)
                            return msgspec.structs.replace(ended, cautions=warnings)

    def resume(self, on_frame: FrameHandler) -> Result:
        """Goes on with the stored run, past the pause that it stands at. For when nobody holds the lock."""
        lock = self._lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None or not stored.is_unfinished:
            return AlreadyDone(f"{self.target} has no run to resume")
        require_not_paused(self.api, self.target, stored)
        match resuming.resume(stored, self._look(stored)):
            case resuming.BeginRun(run=run):
                self.notify(f"going on with run {run.id} to {format_images(run)}")
                return self._drive(lock, lease, run, on_frame)
            case resuming.Overtaken() as over:
                return self._make_way(lock, lease, over, on_frame)

    def pause(self, on_frame: FrameHandler) -> Result:
        """Finishes the pods in flight of a run whose holder died, and leaves it paused."""
        lock = self._lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None or not stored.is_unfinished:
            return AlreadyDone(f"{self.target} has no run to pause")
        over = resuming.check_overtaken(stored, self._look(stored))
        if over is not None:
            return self._make_way(lock, lease, over, on_frame)
        if stored.outcome == "Paused":
            return StillPaused(stored)
        paused = StopRequest("Paused", f"paused {resuming.format_requester(self._who().text)}")
        if stored.outcome is not None:
            # It ended by itself: nothing is in flight.
            lock.acquire(lease, stored)
            return StillPaused(self._let_go(lock, stored, RunResult(paused.outcome, paused.message)))
        self.request_stop(paused)
        return self._drive(lock, lease, resuming.for_next_start(stored), on_frame)

    def _make_way(self, lock: TargetLock, lease: Lease | None, over: resuming.Overtaken, on_frame: FrameHandler) -> Summary:
        """Frees what a run has left on what others have changed since, and ends it. Raises `Refused` where only its lock is."""
        if not resuming.has_leftovers(over, self._look(over.run)):
            lock.acquire(lease, over.run)
            self._let_go(lock, over.run, RunResult("Failed", over.why, by_others=True))
            again = shlex.join(("inplace", "upgrade", *self.target.cli_args))
            raise RefusedError(f"{over.why}: `{again}` with the images that you want starts over, on what is there now")
        return self._drive(lock, lease, over.run, on_frame, only_frees=True)

    def rehearse(self, run: Run) -> Rehearsal:
        """What the API server makes of the writes of a run, by dry runs. Raises `ApiError`."""
        return self._assessor.rehearse(run)

    def look(self, run: Run) -> Snapshot:
        """The snapshot that the run would be judged on. Raises `Refused`."""
        return self._look(run)

    def new_pods(self, run: Run) -> tuple[Caution, ...]:
        """What a person is told of whoever opens the gates of new pods. Raises `Refused`."""
        return tuple(new_pods.cautions(self._assessor.with_gate_openers(self._look(run), run), self.target, run.options.gate))

    def settle_run(self, seen: Lease | None, run: Run, dead_leases: frozenset[str], on_frame: FrameHandler) -> Summary:
        """Finishes or reopens the pods in flight of an open run, and leaves it; a half-done commit is finished. `seen`: its
        Lease, whose holder is known to be dead."""
        lock, why = self._lock(), run.message or "made safe by `inplace repair`"
        self.request_stop(StopRequest(run.outcome or "Interrupted", why))
        return self._drive(lock, seen, resuming.for_next_start(run), on_frame, dead_leases, only_frees=True)

    def _lock(self) -> TargetLock:
        """Its own flow: not limited, and quick to say that the API server does not answer."""
        flow = self.api.replace(limiter=None, policy=QUICK, timeout_seconds=4.0)
        return TargetLock(flow, self.target, self.found.owner, self._identity)

    def _drive(
        self,
        lock: TargetLock,
        lease: Lease | None,
        run: Run,
        on_frame: FrameHandler,
        dead_leases: frozenset[str] = frozenset(),
        *,
        only_frees: bool = False,
    ) -> Summary:
        run = resuming.refresh_owner_settings(run, self._look(run))
        tracker = RunStatistics(self.api.clock.monotonic())
        teller = self._teller(is_resumed=lease is not None and read_run_id(lease) == run.id)

        def saw(frame: Frame) -> None:
            tracker.add_frame(frame, self.snapshots.facts)
            teller.add_frame(frame)
            on_frame(frame)

        self._take(lock, lease, run)
        writes = self.api.replace(policy=QUICK, timeout_seconds=5.0)
        executor = Executor(writes, self.target.namespace, self.informers, DisruptionClaims(self.api, lock))
        workers = self._host.workers(executor, lock, self.api.clock)
        stop, clock = self._asked_to_stop, self.api.clock
        driver = Driver(
            self.snapshots, self.informers, workers, lock, self.inbox, clock, run, saw, stop, dead_leases, only_frees=only_frees
        )
        driver.on_request_rejected = lambda why: self.notify(f"warning: {why}")
        with teller:
            with self._at_work(lock, workers):
                try:
                    finished = driver.drive()
                except ForcedExit:
                    left = RunResult("Interrupted", "left in the middle")
                    teller.ended(self._let_go(lock, driver.run, left), left)
                    raise
                except RunAbandoned as why:
                    finished = RunResult("Failed", str(why))
            finished = self._assessor.with_last_writer(finished)
            ended = self._let_go(lock, driver.run, finished)
            teller.ended(ended, finished)
        if driver.frame is None:
            raise RunAbandoned(finished.message)  # before anything was seen
        return tracker.summary(ended, finished, driver.frame, self.snapshots.facts)

    def _take(self, lock: TargetLock, lease: Lease | None, run: Run) -> None:
        """The lock, with the run; from here on an interrupt does not simply end the process."""
        self.has_started = True
        lock.held_by = self._who().text
        lock.on_gap = self.informers.relist
        lock.on_error_changed = lambda: self.inbox.put(CacheChanged())
        lock.acquire(lease, run)
        if lock.lease is not None:
            self.informers.leases.upsert(lock.lease)  # a request to the holder before us is not to us
        if problem := request_problem(lease):
            self.notify(f"warning: {problem}")

    @contextmanager
    def _at_work(self, lock: TargetLock, workers: WorkerPool) -> Iterator[None]:
        """The lock is renewed, and at the end nothing of ours goes on beside it."""
        renewer = self._host.renewer(lock, lambda lost: self.inbox.put(ThreadCrashed(lost)))
        renewer.start()
        try:
            yield
        finally:
            renewer.stop()
            workers.stop()

    def _teller(self, *, is_resumed: bool) -> RunEventReporter:
        events = EventRecorder(self.api, self._identity, by=CLI)
        what = about(self.target, self.found.uid)
        return RunEventReporter(
            events, self._host.event_recorder(events), what, self.notify, by=self._who().text, is_resumed=is_resumed
        )

    def _let_go(self, lock: TargetLock, run: Run, finished: RunResult) -> Run:
        """A clean end. If the API server cannot be reached the Lease just expires."""
        observed = self.snapshots.build(self.api.clock.monotonic(), {})
        ended, made = self._assessor.finalize_run(run, finished, observed)
        with suppress(ApiError, LockLostError):
            lock.release(ended, made, delete=self._assessor.can_delete_lease(run, finished))
        return ended

    def _look(self, run: Run) -> Snapshot:
        """The snapshot, once every cache is complete. Raises `Refused`."""
        self.snapshots.accept_undrainable(run.options.accept_undrainable)
        ends_at = self.api.clock.monotonic() + SYNC_SECONDS
        while True:
            for at, event in self.inbox.take():
                self.snapshots.handle(event, at)
            if self.informers.is_synced:
                return self.snapshots.build(self.api.clock.monotonic(), {})
            if isinstance(error := self.informers.error, (Unauthorized, Forbidden)):
                raise error  # that does not pass by itself
            if self.api.clock.monotonic() > ends_at:
                raise RefusedError(
                    f"the API server did not list everything in {SYNC_SECONDS:.0f}s: {self.informers.error or 'no answer'}"
                )
            self.inbox.wait(1.0)

    def _require_rights(self, purpose: Purpose) -> None:
        missing = missing_permissions(
            self.api.replace(limiter=None), self.target.namespace, required_permissions(self.target.kind, purpose)
        )
        if missing:
            raise refusal(missing, self.target.namespace)


def identity() -> str:
    """Who holds a lock, for people and for itself: never the same twice."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
