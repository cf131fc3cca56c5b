"""Reconciles one `InPlaceRollout` on whichever worker has its key: admits it, drives its run, holds it while it is paused.

It is the controller's counterpart of `Session`, with the same resolver, lock, snapshot builder and driver. Nothing here waits:
each reconcile returns its result, and when to come again. The target's Lease is held in the leader's name from the start
of the run to its end, through pauses too, so that every command finds a holder to obey it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import msgspec
import structlog

from inplace.engine.kinds import workload
from inplace.engine.planning.plan import Plan, RunResult
from inplace.engine.runs import lifecycle
from inplace.engine.runs.rollouts import (
    FinishedState,
    RejectedState,
    RolloutState,
    RunningState,
    WaitingState,
    apply_edits,
    run_from_rollout,
)
from inplace.engine.runs.spec_paused import (
    PAUSED_BY_SPEC,
    is_paused_by_spec,
)
from inplace.engine.status.estimate import assess_idle_run
from inplace.kube.clock import format_time
from inplace.kube.errors import ApiError
from inplace.model.objects.coordination import Lease
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.model.run import TERMINAL_OUTCOMES, Run, RunCommand, StopRequest, lease_name
from inplace.runtime import lookup
from inplace.runtime.controller.admission import HoldPaused, NoRun, RolloutAdmission, StartRun, target_busy
from inplace.runtime.controller.context import ReconcilerContext, RolloutView
from inplace.runtime.controller.paused import ContinueRun, StayPaused, decide_paused
from inplace.runtime.controller.states import Finished, Paused, ReconcileResult, ReconcilerState, Running, Unstarted
from inplace.runtime.errors import RefusedError, RunAbandoned
from inplace.runtime.lease.lock import LockHeldError, LockLostError, TargetLock
from inplace.runtime.observability.frames import Frame
from inplace.runtime.requests import read_request, request_problem, requested_by
from inplace.runtime.run.assembly import build_driver, new_lock
from inplace.runtime.run.driver import Driver, DriverOptions, RunInputs

REQUEUE_SECONDS = 5.0
"""How soon to check again a target that another run holds, or that does not exist yet."""
PAUSED_DEBOUNCE_SECONDS = 0.5
"""Events that come during a pause are handled together: only counts depend on them."""
DELETION = "the deletion of its InPlaceRollout"


class RolloutReconciler:
    """One rollout, from its first reconcile to its end. Not thread-safe: one reconcile at a time.

    `enqueue_after` is called on any thread, with the seconds that may pass until the next reconcile. The class is long because
    it is one state machine: its methods are the transitions between the states of `states.py`.
    """

    def __init__(self, context: ReconcilerContext, rollout: InPlaceRollout, enqueue_after: Callable[[float], None]) -> None:
        self._context = context
        self._enqueue_after = enqueue_after
        self._on_frame: Callable[[Frame], None] = lambda frame: context.listener.on_frame(rollout, frame)
        self._log = structlog.get_logger().bind(rollout=f"{rollout.metadata.namespace}/{rollout.metadata.name}")
        self._admission = RolloutAdmission(context)
        self._state: ReconcilerState = Unstarted()
        self.rollout = rollout
        """As it was read last."""
        self._generation = rollout.metadata.generation
        self._was_paused = False
        """`spec.paused` at `_generation`, the last one that was taken into account."""
        self._command: RunCommand | None = None
        """A person's command that could not be applied yet."""
        self._command_by = ""
        self._acquiring = ""
        clock = context.api.clock
        self._epoch = clock.utcnow() - timedelta(seconds=clock.monotonic())
        """The same for every call, so that an instant always becomes the same text."""

    @property
    def run_id(self) -> str:
        """The run that it holds, or is about to acquire; empty if there is none."""
        match self._state:
            case Running(driver=driver):
                return driver.run.id
            case Paused(run=run):
                return run.id
            case _:
                return self._acquiring

    @property
    def has_to_free(self) -> bool:
        """True if pods must be freed, or taken back, before the rollout may be deleted."""
        match self._state:
            case Running(driver=driver):
                return self.rollout.spec.on_delete == "Abort" or not driver.is_idle_at_pause
            case Paused():
                return self.rollout.spec.on_delete == "Abort"
            case _:
                return False

    @property
    def has_finished(self) -> bool:
        return isinstance(self._state, Finished)

    def reconcile(self, rollout: InPlaceRollout, command: RunCommand | None) -> ReconcileResult:
        """Do what is next. `command` comes from the rollout's annotation, once. Raises `ApiError`: try again."""
        if command is not None:
            self._command_by = requested_by(rollout)
        self.rollout = rollout
        command, self._command = command or self._command, None
        try:
            match self._state:
                case Unstarted():
                    return self._admit(rollout, command)
                case Finished() if command is not None:
                    return self._admit(rollout, command)
                case Finished(state=state):
                    return ReconcileResult(state)
                case Running() as running:
                    return self._reconcile_running(running, rollout, command)
                case Paused() as paused:
                    return self._reconcile_paused(paused, rollout, command)
        except LockLostError as lost:
            self._log.warning("lost the lock, checking again", why=str(lost))
            self.close()
            return ReconcileResult(WaitingState("LostLock", str(lost)), REQUEUE_SECONDS)
        except ApiError:
            if not isinstance(self._state, Running):
                self._command = command
            raise

    def reconcile_delete(self, rollout: InPlaceRollout) -> ReconcileResult | None:
        """End the run of a rollout that is being deleted, as `onDelete` says. None: it has ended. Raises `ApiError`."""
        try:
            return self._reconcile_delete(rollout)
        except LockLostError as lost:
            # Its pods may still be closed: the next reconcile acquires the Lease again, unless another run holds it by then.
            self._log.warning("lost the lock, checking again", why=str(lost))
            self.close()
            return ReconcileResult(None, REQUEUE_SECONDS)

    def _reconcile_delete(self, rollout: InPlaceRollout) -> ReconcileResult | None:
        is_abort = rollout.spec.on_delete == "Abort"
        match self._state:
            case Running(driver=driver) as running:
                if not is_abort:
                    driver.stop(StopRequest("Interrupted", "its InPlaceRollout was deleted"))
                elif not driver.run.rolling_back:
                    driver.apply_command("abort", DELETION)
                result = self._reconcile_running(running, rollout, None)
                return result if isinstance(self._state, Running) else None
            case Paused() as paused if is_abort:
                self._command_by = DELETION
                return self._reconcile_paused(paused, rollout, "abort")
            case Paused(lock=lock, run=run):
                lock.release(run)
                self.close()
                return None
            case _:
                return None

    def close(self) -> None:
        """Drop everything that is held in this process. The cluster is left as it is."""
        match self._state:
            case Running(view=view, workers=workers):
                workers.stop()
                view.close()
            case Paused(view=view):
                view.close()
            case _:
                pass
        self._state = Unstarted()

    def _admit(self, rollout: InPlaceRollout, command: RunCommand | None) -> ReconcileResult:
        try:
            run = run_from_rollout(rollout)
        except ValueError as error:
            return self._finished(RejectedState("Invalid", str(error)))
        informers, target = self._context.informers.in_namespace(run.target.namespace), run.target
        if target.kind != "Pods" and informers.workloads[target.kind].get_by_name(target.namespace, target.name) is None:
            if rollout.status.run_id:
                return self._target_deleted(
                    msgspec.structs.replace(run, id=rollout.status.run_id, started_at=rollout.status.started_at)
                )
            return ReconcileResult(
                WaitingState("TargetNotFound", f"{target} does not exist in namespace {target.namespace}"), REQUEUE_SECONDS
            )
        lease = informers.leases.get_by_name(target.namespace, lease_name(target))
        try:
            blocked = self._admission.blocked_by(rollout, run, lease)
            if blocked is not None and rollout.status.phase in TERMINAL_PHASES and rollout.status.phase != "Refused":
                # A person continues it in a terminal, say: until that has ended, its status stays as it was.
                if command is not None:
                    self._context.listener.warned(rollout, f"asked to {command}, but {blocked.message}")
                return ReconcileResult(None, REQUEUE_SECONDS)
            if blocked is not None:
                return self._finish_or_requeue(blocked)
            return self._acquire_and_start(rollout, run, lease, command)
        except RefusedError as refused:
            return self._finished(RejectedState("Refused", str(refused)))
        except LockHeldError as held:
            return self._finish_or_requeue(target_busy(rollout, str(held)))

    def _acquire_and_start(
        self, rollout: InPlaceRollout, run: Run, lease: Lease | None, command: RunCommand | None
    ) -> ReconcileResult:
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation
        api, informers = self._context.api, self._context.informers.in_namespace(run.target.namespace)
        view = RolloutView(api, informers, run, lookup.resolve_target(api, run.target), self._enqueue_after)
        try:
            if view.caches.leases.get_by_name(run.target.namespace, lease_name(run.target)) != lease:
                self._command = command
                return ReconcileResult(None, 0.0)  # the Lease has changed since admission began
            match self._admission.decide(rollout, run, view, lease, command, self._command_by):
                case NoRun(state=state):
                    return self._finish_or_requeue(state)
                case HoldPaused(run=run):
                    # A request to the leader before us is for us now: acquiring the Lease removes it.
                    if (request := read_request(lease)) is not None:
                        command, self._command_by = request, requested_by(lease)
                    self._acquiring = run.id
                    self._state = paused = Paused(view, self._acquire_lock(view, lease, run), run)
                    if command is None:
                        return ReconcileResult(FinishedState(run), 0.0)
                    return self._reconcile_paused(paused, rollout, command)
                case StartRun(run=begun, is_first=is_first, only_frees=only_frees, stop=stop):
                    request = read_request(lease) if begun.id == rollout.status.run_id else None
                    self._command_by = requested_by(lease)
                    begun = lifecycle.refresh_owner_settings(begun, view.snapshot_for(begun))
                    # Claimed before the Lease says so: another rollout may have had this run, and is reconciled at that moment.
                    self._acquiring = begun.id
                    lock = self._acquire_lock(view, lease, begun)
                    self._log.info("run begins", run=begun.id, target=str(begun.target), images=begun.images)
                    return self._start_driver(
                        view, lock, begun, stop, is_first=is_first, only_frees=only_frees, command=request
                    )
        finally:
            self._acquiring = ""
            if not isinstance(self._state, (Running, Paused)):
                view.close()

    def _target_deleted(self, run: Run) -> ReconcileResult:
        """Finish as failed. The target's Lease has gone with it, or will soon."""
        ended_at = format_time(self._context.api.clock.utcnow())
        message = f"{run.target} was deleted"
        return self._finished(FinishedState(msgspec.structs.replace(run, outcome="Failed", message=message, ended_at=ended_at)))

    def _finish_or_requeue(self, state: RolloutState) -> ReconcileResult:
        return ReconcileResult(state, REQUEUE_SECONDS) if isinstance(state, WaitingState) else self._finished(state)

    def _finished(self, state: RolloutState) -> ReconcileResult:
        self._state = Finished(state)
        return ReconcileResult(state)

    def _acquire_lock(self, view: RolloutView, lease: Lease | None, run: Run) -> TargetLock:
        """Raises `LockHeldError`."""
        context = self._context
        lock = new_lock(context.api, run.target, view.target.owner, context.leader.holder, context.fence)
        if not lock.is_safe:
            raise LockHeldError("the leader's own Lease was not renewed in time")
        lock.acquire(lease, run)
        view.store_lease(lock)
        if problem := request_problem(lease):
            context.listener.warned(self.rollout, problem)
        return lock

    def _start_driver(
        self,
        view: RolloutView,
        lock: TargetLock,
        run: Run,
        stop: StopRequest | None = None,
        *,
        is_first: bool = False,
        only_frees: bool = False,
        command: RunCommand | None = None,
    ) -> ReconcileResult:
        context, inputs = self._context, RunInputs(view.builder, view.caches, view.inbox)
        options = DriverOptions(retry_forever=True, only_frees=only_frees)
        driver, workers = build_driver(context.api, lock, inputs, context.backend.workers, run, self._on_frame, options, stop)
        self._state = Running(view, lock, workers, driver, is_first)
        self._command = command
        return ReconcileResult(None, 0.0)

    def _reconcile_running(self, running: Running, rollout: InPlaceRollout, command: RunCommand | None) -> ReconcileResult:
        driver, clock = running.driver, self._context.api.clock
        driver.spec_pause = PAUSED_BY_SPEC if is_paused_by_spec(rollout, driver.run) else None
        driver.may_act = lambda: self._context.add_finalizer(rollout)
        driver.on_request_rejected = lambda why: self._context.listener.warned(rollout, why)
        self._apply_edits(driver, rollout)
        if command is not None and not driver.apply_command(command, self._command_by):
            self._command = command
        began_at = clock.monotonic()
        running.view.inbox.debounce_until = began_at + driver.min_interval_seconds
        try:
            finished, wait_seconds = driver.step()
        except RunAbandoned as why:
            finished, wait_seconds = RunResult("Failed", str(why)), None
        if finished is not None:
            return self._end_run(running, finished, rollout)
        frame = driver.frame
        if frame is None:
            return ReconcileResult(None, wait_seconds)
        since = {uid: self._to_text(at) for uid, at in frame.since.items()}
        until = {uid: self._to_text(at) for uid, at in frame.until.items()}
        return ReconcileResult(RunningState(driver.run, frame.plan, since, frame.trouble, until), wait_seconds)

    def _apply_edits(self, driver: Driver, rollout: InPlaceRollout) -> None:
        if rollout.metadata.generation == self._generation:
            return
        try:
            if not driver.update_run(apply_edits(driver.run, rollout)):
                return
        except ValueError as error:
            self._context.listener.warned(rollout, f"the edit is left out of account: {error}")
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation

    def _end_run(self, running: Running, finished: RunResult, rollout: InPlaceRollout) -> ReconcileResult:
        view, lock, run = running.view, running.lock, running.driver.run
        plan = running.driver.frame.plan if running.driver.frame is not None else None
        finished = view.resolver.with_last_writer(finished)
        ended, made = view.resolver.finalize_run(run, finished, view.snapshot())
        if finished.outcome == "Paused" and rollout.metadata.deletion_timestamp is None:
            lock.save(ended)
            view.store_lease(lock)
            running.workers.stop()
            self._state = Paused(view, lock, ended)
            # The next reconcile handles what has come meanwhile.
            return ReconcileResult(FinishedState(ended, plan), 0.0)
        # If the API server refuses this write, the run has not ended, and the next reconcile comes to the same end: nobody else
        # could free a Lease that a living leader holds.
        with suppress(LockLostError):
            lock.release(ended, made, delete=view.resolver.can_delete_lease(run, finished))
            view.store_lease(lock)  # so that a request that comes at once finds the run ended
        self._log.info("run ends", run=run.id, outcome=finished.outcome, why=finished.message)
        self.close()
        if running.is_first and finished.outcome in TERMINAL_OUTCOMES:
            return ReconcileResult(None, 0.0)
        return self._finished(FinishedState(ended, plan))

    def _reconcile_paused(self, paused: Paused, rollout: InPlaceRollout, command: RunCommand | None) -> ReconcileResult:
        """Hold the pause until a command or an edit of the rollout ends it."""
        view = paused.view
        view.inbox.debounce_until = self._context.api.clock.monotonic() + PAUSED_DEBOUNCE_SECONDS
        view.drain_inbox()
        if workload.is_gone(view.snapshot()):
            self.close()
            return self._target_deleted(paused.run)
        result = self._handle_command(paused, rollout, command)
        # Only now: the next reconcile repeats what could not be stored.
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation
        return result

    def _handle_command(self, paused: Paused, rollout: InPlaceRollout, command: RunCommand | None) -> ReconcileResult:
        view, lock = paused.view, paused.lock
        lease = view.caches.leases.get_by_name(paused.run.target.namespace, lock.name)
        request, problem = read_request(lease), request_problem(lease)
        is_edited = rollout.metadata.generation != self._generation
        match decide_paused(
            paused,
            rollout,
            request or command,
            requested_by(lease) if request else self._command_by,
            was_spec_paused=self._was_paused if is_edited else None,
            warn=lambda why: self._context.listener.warned(rollout, why),
        ):
            case ContinueRun(run=run, why=why):
                return self._continue_run(paused, run, why)
            case StayPaused(run=run):
                has_request = request is not None or bool(problem)
                if run != paused.run or has_request:
                    lock.save(run, clear_request=has_request)
                    view.store_lease(lock)
                if problem:
                    self._context.listener.warned(rollout, problem)
                self._state = Paused(view, lock, run)
                return ReconcileResult(FinishedState(run, self._plan_while_paused(self._state)))

    def _plan_while_paused(self, paused: Paused) -> Plan:
        return assess_idle_run(paused.view.snapshot(), paused.run, paused.lock.name, self._context.api.clock.monotonic())

    def _continue_run(self, paused: Paused, run: Run, why: str) -> ReconcileResult:
        run = lifecycle.refresh_owner_settings(run, paused.view.snapshot())
        paused.lock.save(run, clear_request=True)
        paused.view.store_lease(paused.lock)
        self._log.info("run goes on", run=run.id, by=why)
        return self._start_driver(paused.view, paused.lock, run)

    def _to_text(self, at: float) -> str:
        return format_time(self._epoch + timedelta(seconds=at))
