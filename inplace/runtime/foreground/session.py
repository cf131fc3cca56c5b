"""From a command to a driven run: view the target, decide whether the run may begin, acquire the lock, drive, release.

Everything up to the lock only reads: a refusal there has changed nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from inplace.engine.planning.plan import RunResult
from inplace.engine.preflight import checks
from inplace.engine.runs import lifecycle
from inplace.kube.api import ApiClient
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import TERMINAL_OUTCOMES, Run, StopRequest
from inplace.runtime.caller import Caller
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.locked_run import LockedRun
from inplace.runtime.foreground.run_events import RunEventReporter, target_reference
from inplace.runtime.foreground.spec_paused import require_not_paused
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.informers.inbox import StopRequested
from inplace.runtime.lease.lock import TargetLock, read_run_id
from inplace.runtime.observability.event_recorder import CLI, EventRecorder
from inplace.runtime.observability.frames import FrameHandler
from inplace.runtime.observability.statistics import RunStatistics, Summary
from inplace.runtime.permissions import Purpose
from inplace.runtime.run.assembly import new_lock
from inplace.runtime.run.backend import RunBackend
from inplace.runtime.run.driver import DriverOptions
from inplace.runtime.run.resolver import AlreadyDone, ClearedRun, format_images, load_stored_run


class StillPaused(msgspec.Struct, frozen=True):
    run: Run


Result = Summary | AlreadyDone | StillPaused


class Session:
    """One command on one target. Use as a context manager; opening only reads and raises `RefusedError` or `ApiError`.

    `notify`: gets lines for a person, apart from the progress, such as that a lock is being watched. `caller`: who gives the
    command, called when the lock is acquired. It has a method per verb, and what the verbs share.
    """

    def __init__(
        self,
        api: ApiClient,
        target: TargetRef,
        identity: str,
        purpose: Purpose,
        notify: Callable[[str], None],
        backend: RunBackend | None = None,
        caller: Callable[[], Caller] = Caller,
    ) -> None:
        self._identity = identity
        self._caller = caller
        self.notify = notify
        self._stop: StopRequest | None = None
        self.has_started = False
        """From the first write on a run is ended by `request_stop`; before, an interrupt may simply end the process."""
        self.view = TargetView(api, target, purpose, backend)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.view.__exit__(*exc)

    def request_stop(self, stop: StopRequest) -> None:
        """Called on another thread: a signal handler must not wait for a lock. The second time means: leave at once."""
        self._stop = stop
        self.view.inbox.put(StopRequested(stop))

    def upgrade(self, requested: Run, overrides: Mapping[str, Any], on_frame: FrameHandler) -> Result:
        """Drives the run to its end. `overrides`: the options that the person named. Raises `RefusedError`, `LockHeldError` and
        `ApiError` before the first write; `LockLostError`, `ForcedExit` and `RunAbandoned` after it."""
        return self._run_to_end(lambda _stored: requested, overrides, on_frame)

    def undo(self, requested: Run, to_revision: int | None, overrides: Mapping[str, Any], on_frame: FrameHandler) -> Result:
        """As `upgrade`, to the previous images, or to those of a revision."""

        def resolve(stored: Run | None) -> Run | AlreadyDone:
            return self.view.resolver.resolve_undo(requested, to_revision, overrides, stored)

        return self._run_to_end(resolve, overrides, on_frame)

    def abort(self, requested: Run, on_frame: FrameHandler) -> Result:
        """Rolls back a run that nobody holds; one that was committed meanwhile is undone instead."""
        view, lock = self.view, self._new_lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None:
            return AlreadyDone(f"{view.target} has no run to abort")
        if stored.is_unfinished:
            match lifecycle.abort_orphaned(stored, view.look(stored), requested.signature):
                case lifecycle.BeginRun(run=run):
                    view.resolver.require_known_images(run.images, view.look(run), f"what run {run.id} would go back to")
                    self.notify(f"going back to {format_images(run)}")
                    return self._drive(lock, lease, run, on_frame)
                case lifecycle.Overtaken() as overtaken:
                    return self._yield_to_owner(lock, lease, overtaken, on_frame)
                case lifecycle.FinishCommitFirst():
                    pass
        elif stored.outcome != "Succeeded":
            return AlreadyDone(f"{view.target} is back at its previous images already")
        return self.undo(requested, None, {}, on_frame)

    def resume(self, on_frame: FrameHandler) -> Result:
        """Goes on with the stored run, past the pause at which it stands, when nobody holds the lock."""
        view, lock = self.view, self._new_lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None or not stored.is_unfinished:
            return AlreadyDone(f"{view.target} has no run to resume")
        require_not_paused(view.api, view.target, stored)
        match lifecycle.resume(stored, view.look(stored)):
            case lifecycle.BeginRun(run=run):
                self.notify(f"going on with run {run.id} to {format_images(run)}")
                return self._drive(lock, lease, run, on_frame)
            case lifecycle.Overtaken() as overtaken:
                return self._yield_to_owner(lock, lease, overtaken, on_frame)

    def pause(self, on_frame: FrameHandler) -> Result:
        """Finishes the pods in flight of a run whose holder died, and leaves it paused."""
        view, lock = self.view, self._new_lock()
        lease = lock.wait_until_free(self.notify)
        stored = load_stored_run(lease)
        if stored is None or not stored.is_unfinished:
            return AlreadyDone(f"{view.target} has no run to pause")
        overtaken = lifecycle.check_overtaken(stored, view.look(stored))
        if overtaken is not None:
            return self._yield_to_owner(lock, lease, overtaken, on_frame)
        if stored.outcome == "Paused":
            return StillPaused(stored)
        paused = StopRequest("Paused", f"paused {lifecycle.format_requester(self._caller().text)}")
        if stored.outcome is not None:
            # It ended by itself: nothing is in flight.
            lock.acquire(lease, stored)
            return StillPaused(self._locked(lock).release(stored, RunResult(paused.outcome, paused.message)))
        self.request_stop(paused)
        return self._drive(lock, lease, lifecycle.for_next_start(stored), on_frame)

    def settle_run(self, lease: Lease | None, run: Run, dead_leases: frozenset[str], on_frame: FrameHandler) -> Summary:
        """Finishes or frees the pods in flight of an unfinished run, and leaves it; a commit that is half done is finished.
        `lease`: that of the run, whose holder is known to be dead."""
        why = run.message or "made safe by `inplace repair`"
        self.request_stop(StopRequest(run.outcome or "Interrupted", why))
        options = DriverOptions(only_frees=True, dead_leases=dead_leases)
        return self._drive(self._new_lock(), lease, lifecycle.for_next_start(run), on_frame, options)

    def _run_to_end(
        self, resolve: Callable[[Run | None], Run | AlreadyDone], overrides: Mapping[str, Any], on_frame: FrameHandler
    ) -> Result:
        """`resolve`: gets the stored run; returns what to do, as a new run would be."""
        view, lock = self.view, self._new_lock()
        while True:
            lease = lock.wait_until_free(self.notify)
            stored = load_stored_run(lease)
            require_not_paused(view.api, view.target, stored)
            requested = resolve(stored)
            if isinstance(requested, AlreadyDone):
                return requested
            match view.resolver.decide(requested, overrides, stored):
                case lifecycle.StillPaused(run=run):
                    return StillPaused(run)
                case lifecycle.FinishCommitFirst(run=run):
                    self.notify(f"finishing the commit of {format_images(run)} first")
                    ended = self._drive(lock, lease, run, on_frame, DriverOptions(only_frees=True))
                    if requested.operation == "Undo" and ended.outcome == "RolledBack":
                        return msgspec.structs.replace(ended, outcome="Succeeded", images=run.from_images)
                    if ended.outcome not in TERMINAL_OUTCOMES:
                        return ended
                    if self._stop is not None:
                        return msgspec.structs.replace(ended, outcome=self._stop.outcome)
                case lifecycle.BeginRun(run=run, resuming=is_resumed):
                    return self._begin(lock, lease, view.resolver.clear_to_start(run, is_resumed, stored), run, on_frame)

    def _begin(
        self,
        lock: TargetLock,
        lease: Lease | None,
        cleared: ClearedRun | AlreadyDone | checks.Rejected,
        run: Run,
        on_frame: FrameHandler,
    ) -> Result:
        match cleared:
            case AlreadyDone() as already_done:
                for warning in self.view.new_pod_warnings(run):
                    self.notify(f"warning: {warning}")
                return already_done
            case checks.Rejected(message=message):
                raise RefusedError(message)
            case ClearedRun(run=run, warnings=warnings):
                for warning in warnings:
                    self.notify(f"warning: {warning}")
                if run.operation == "Undo":
                    self.notify(f"going back to {format_images(run)}")
                return msgspec.structs.replace(self._drive(lock, lease, run, on_frame), cautions=warnings)

    def _yield_to_owner(
        self, lock: TargetLock, lease: Lease | None, overtaken: lifecycle.Overtaken, on_frame: FrameHandler
    ) -> Summary:
        """Frees what a run left on a workload that others have changed since, and ends it. Raises `RefusedError` where it left
        nothing but its lock."""
        if not lifecycle.has_leftovers(overtaken, self.view.look(overtaken.run)):
            lock.acquire(lease, overtaken.run)
            self._locked(lock).release(overtaken.run, RunResult("Failed", overtaken.why, external_change=True))
            again = shlex.join(("inplace", "upgrade", *self.view.target.cli_args))
            raise RefusedError(f"{overtaken.why}: `{again}` with the images that you want starts over, on what is there now")
        return self._drive(lock, lease, overtaken.run, on_frame, DriverOptions(only_frees=True))

    def _drive(
        self,
        lock: TargetLock,
        lease: Lease | None,
        run: Run,
        on_frame: FrameHandler,
        options: DriverOptions | None = None,
    ) -> Summary:
        view = self.view
        run = lifecycle.refresh_owner_settings(run, view.look(run))
        statistics = RunStatistics(view.api.clock.monotonic())
        events = self._event_reporter(is_resumed=lease is not None and read_run_id(lease) == run.id)
        self.has_started = True
        locked = self._locked(lock)
        locked.acquire(lease, run, self._caller().text)
        return locked.drive(run, statistics, events, on_frame, options or DriverOptions(), self._stop)

    def _locked(self, lock: TargetLock) -> LockedRun:
        return LockedRun(self.view, lock, self.notify)

    def _new_lock(self) -> TargetLock:
        return new_lock(self.view.api, self.view.target, self.view.resolved.owner, self._identity)

    def _event_reporter(self, *, is_resumed: bool) -> RunEventReporter:
        view, by = self.view, self._caller().text
        recorder = EventRecorder(view.api, self._identity, by=CLI)
        running, target = view.backend.event_recorder(recorder), target_reference(view.target, view.resolved.uid)
        return RunEventReporter(recorder, running, target, self.notify, by=by, is_resumed=is_resumed)
