"""Carries out one `InPlaceRollout`, a pass at a time, on whichever thread has its turn.

It is the controller's counterpart of `Session`: the same assessment, lock, observer and driver, but nothing here waits: what
cannot be done now is said, with when to come again. The target's Lease is held, in the name of the leader, from the beginning
of the run to its end, through pauses too, so that every verb finds somebody to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import msgspec
import structlog

from inplace.engine.kinds import workload
from inplace.engine.planning.plan import Plan, RunResult
from inplace.engine.planning.steps import is_paused_by_steps
from inplace.engine.runs import lifecycle as resuming
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
    RELEASE_FIRST,
    is_allowed_while_paused,
    is_paused_by_spec,
    is_paused_by_user,
)
from inplace.engine.status.estimate import assess_idle_run
from inplace.kube.clock import format_time
from inplace.kube.errors import ApiError
from inplace.kube.retry import QUICK
from inplace.model.objects.coordination import Lease
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.model.run import TERMINAL_OUTCOMES, Run, RunCommand, StopRequest, lease_name
from inplace.runtime import lookup as finding
from inplace.runtime.controller.admission import HoldPaused, NoRun, RolloutAdmission, StartRun, target_busy
from inplace.runtime.controller.context import ReconcilerContext, RolloutView
from inplace.runtime.controller.states import Moving, Opening, Over, Place, ReconcileResult, Standing
from inplace.runtime.errors import RefusedError
from inplace.runtime.lease.disruption_claims import DisruptionClaims
from inplace.runtime.lease.lock import LockHeldError, LockLostError, TargetLock
from inplace.runtime.observability.frames import Frame
from inplace.runtime.requests import read_request, request_problem, requested_by
from inplace.runtime.run.driver import Driver, RunAbandoned
from inplace.runtime.run.executor import Executor

REQUEUE_SECONDS = 5.0
"""Until a target that somebody else holds, or that does not exist yet, is looked at again."""
PAUSED_DEBOUNCE_SECONDS = 0.5
"""What comes while it stands is taken in together: only counts depend on it."""
DELETION = "the deletion of its InPlaceRollout"


class RolloutReconciler:
    """One rollout, from first sight to its end. Not thread-safe: one pass at a time; `poke` is called from anywhere.

    `poke`: something has happened, with the seconds that may pass until the next pass.
    """

    def __init__(self, ground: ReconcilerContext, rollout: InPlaceRollout, poke: Callable[[float], None]) -> None:
        self._ground = ground
        self._poke = poke
        self._drove: Callable[[Frame], None] = lambda frame: ground.drove(rollout, frame)
        self._log = structlog.get_logger().bind(rollout=f"{rollout.metadata.namespace}/{rollout.metadata.name}")
        self._opener = RolloutAdmission(ground)
        self._at: Place = Opening()
        self.rollout = rollout
        """As it was seen last."""
        self._generation = rollout.metadata.generation
        self._was_paused = False
        """What the spec said when it was last looked at."""
        self._asked: RunCommand | None = None
        """By a person, and not taken in yet."""
        self._asked_by = ""
        clock = ground.api.clock
        self._epoch = clock.utcnow() - timedelta(seconds=clock.monotonic())
        """Turns monotonic instants into text for people, the same one each time."""

    @property
    def run_id(self) -> str:
        """Of the run that it holds; empty: none."""
        match self._at:
            case Moving(driver=driver):
                return driver.run.id
            case Standing(run=run):
                return run.id
            case _:
                return ""

    @property
    def has_to_free(self) -> bool:
        """Whether something is to be done before its rollout may go."""
        match self._at:
            case Moving(driver=driver):
                return self.rollout.spec.on_delete == "Abort" or not driver.is_idle_at_pause
            case Standing():
                return self.rollout.spec.on_delete == "Abort"
            case _:
                return False

    @property
    def is_over(self) -> bool:
        return isinstance(self._at, Over)

    def step(self, rollout: InPlaceRollout, asked: RunCommand | None) -> ReconcileResult:
        """`asked`: by the rollout's own annotation, once. Raises `ApiError`: try again."""
        if asked is not None:
            self._asked_by = requested_by(rollout)
        self.rollout = rollout
        asked, self._asked = asked or self._asked, None
        try:
            match self._at:
                case Opening():
                    return self._open(rollout, asked)
                case Over() if asked is not None:
                    return self._open(rollout, asked)
                case Over(state=state):
                    return ReconcileResult(state)
                case Moving() as moving:
                    return self._move(moving, rollout, asked)
                case Standing() as standing:
                    return self._stand(standing, rollout, asked)
        except LockLostError as lost:
            self._log.warning("lost the lock, checking again", why=str(lost))
            self.forget()
            return ReconcileResult(WaitingState("LostLock", str(lost)), REQUEUE_SECONDS)
        except ApiError:
            if not isinstance(self._at, Moving):
                self._asked = asked
            raise

    def give_up(self, rollout: InPlaceRollout) -> ReconcileResult | None:
        """The rollout is being deleted: ends as its `onDelete` says. None: nothing of it goes on. Raises `ApiError`."""
        try:
            return self._give_up(rollout)
        except LockLostError as lost:
            # Its pods may still be closed: the next pass takes the Lease again, unless somebody else works there now.
            self._log.warning("lost the lock, checking again", why=str(lost))
            self.forget()
            return ReconcileResult(None, REQUEUE_SECONDS)

    def _give_up(self, rollout: InPlaceRollout) -> ReconcileResult | None:
        is_abort = rollout.spec.on_delete == "Abort"
        match self._at:
            case Moving(driver=driver) as moving:
                if not is_abort:
                    driver.stop(StopRequest("Interrupted", "its InPlaceRollout was deleted"))
                elif not driver.run.rolling_back:
                    driver.apply_command("abort", DELETION)
                came = self._move(moving, rollout, None)
                return came if isinstance(self._at, Moving) else None
            case Standing() as standing if is_abort:
                self._asked_by = DELETION
                return self._stand(standing, rollout, "abort")
            case Standing(lock=lock, run=run):
                lock.release(run)
                self.forget()
                return None
            case _:
                return None

    def forget(self) -> None:
        """Lets everything go without a word to the cluster."""
        match self._at:
            case Moving(outlook=outlook, workers=workers):
                workers.stop()
                outlook.close()
            case Standing(outlook=outlook):
                outlook.close()
            case _:
                pass
        self._at = Opening()

    def _open(self, rollout: InPlaceRollout, asked: RunCommand | None) -> ReconcileResult:
        try:
            run = run_from_rollout(rollout)
        except ValueError as error:
            return self._over(RejectedState("Invalid", str(error)))
        shared, target = self._ground.shared(run.target.namespace), run.target
        if target.kind != "Pods" and shared.workloads[target.kind].get_by_name(target.namespace, target.name) is None:
            if rollout.status.run_id:
                return self._deleted(
                    msgspec.structs.replace(run, id=rollout.status.run_id, started_at=rollout.status.started_at)
                )
            return ReconcileResult(
                WaitingState("TargetNotFound", f"{target} does not exist in namespace {target.namespace}"), REQUEUE_SECONDS
            )
        lease = shared.leases.get_by_name(target.namespace, lease_name(target))
        try:
            why_not = self._opener.why_not_yet(rollout, run, lease)
            if why_not is not None and rollout.status.phase in TERMINAL_PHASES and rollout.status.phase != "Refused":
                # Such as a person who goes on with it in a terminal: until that is over, it stands as it ended before.
                if asked is not None:
                    self._ground.warned(rollout, f"asked to {asked}, but {why_not.message}")
                return ReconcileResult(None, REQUEUE_SECONDS)
            return self._begin(rollout, run, lease, asked) if why_not is None else self._stay(why_not)
        except RefusedError as refused:
            return self._over(RejectedState("Refused", str(refused)))
        except LockHeldError as held:
            return self._stay(target_busy(rollout, str(held)))

    def _begin(self, rollout: InPlaceRollout, run: Run, lease: Lease | None, asked: RunCommand | None) -> ReconcileResult:
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation
        api, shared = self._ground.api, self._ground.shared(run.target.namespace)
        outlook = RolloutView(api, shared, run, finding.resolve_target(api, run.target), self._poke)
        try:
            if outlook.part.leases.get_by_name(run.target.namespace, lease_name(run.target)) != lease:
                self._asked = asked
                return ReconcileResult(None, 0.0)  # it has changed while we looked: whether it may begin is judged again
            match self._opener.judge(rollout, run, outlook, lease, asked, self._asked_by):
                case NoRun(state=state):
                    return self._stay(state)
                case HoldPaused(run=paused):
                    # What a person asked of the leader before us is asked of us: taking the Lease removes the request.
                    if (request := read_request(lease)) is not None:
                        asked, self._asked_by = request, requested_by(lease)
                    self._at = standing = Standing(outlook, self._take(outlook, lease, paused), paused)
                    return (
                        ReconcileResult(FinishedState(paused), 0.0) if asked is None else self._stand(standing, rollout, asked)
                    )
                case StartRun(run=begun, is_first=is_first, only_frees=only_frees, stop=stop):
                    request = read_request(lease) if begun.id == rollout.status.run_id else None
                    self._asked_by = requested_by(lease)
                    begun = resuming.refresh_owner_settings(begun, outlook.look(begun))
                    lock = self._take(outlook, lease, begun)
                    self._log.info("run begins", run=begun.id, target=str(begun.target), images=begun.images)
                    return self._go(outlook, lock, begun, stop, is_first=is_first, only_frees=only_frees, asked=request)
        finally:
            if not isinstance(self._at, (Moving, Standing)):
                outlook.close()

    def _deleted(self, run: Run) -> ReconcileResult:
        """The target is gone, and its Lease with it or soon."""
        ended_at = format_time(self._ground.api.clock.utcnow())
        message = f"{run.target} was deleted"
        return self._over(FinishedState(msgspec.structs.replace(run, outcome="Failed", message=message, ended_at=ended_at)))

    def _stay(self, state: RolloutState) -> ReconcileResult:
        return ReconcileResult(state, REQUEUE_SECONDS) if isinstance(state, WaitingState) else self._over(state)

    def _over(self, state: RolloutState) -> ReconcileResult:
        self._at = Over(state)
        return ReconcileResult(state)

    def _take(self, outlook: RolloutView, lease: Lease | None, run: Run) -> TargetLock:
        """Raises `Held`."""
        ground = self._ground
        flow = ground.api.replace(limiter=None, policy=QUICK, timeout_seconds=4.0)
        lock = TargetLock(flow, run.target, outlook.found.owner, ground.leader.holder, ground.fence)
        if not lock.is_safe:
            raise LockHeldError("the leader's own Lease was not renewed in time")
        lock.acquire(lease, run)
        outlook.show(lock)
        if problem := request_problem(lease):
            ground.warned(self.rollout, problem)
        return lock

    def _go(
        self,
        outlook: RolloutView,
        lock: TargetLock,
        run: Run,
        stop: StopRequest | None = None,
        *,
        is_first: bool = False,
        only_frees: bool = False,
        asked: RunCommand | None = None,
    ) -> ReconcileResult:
        ground, drove = self._ground, self._drove
        writes = ground.api.replace(policy=QUICK, timeout_seconds=5.0)
        executor = Executor(writes, run.target.namespace, outlook.part, DisruptionClaims(ground.api, lock))
        workers = ground.workers(executor, lock)
        clock = ground.api.clock
        seen, sight, inbox = outlook.observer, outlook.part, outlook.inbox
        driver = Driver(seen, sight, workers, lock, inbox, clock, run, drove, stop, is_patient=True, only_frees=only_frees)
        self._at = Moving(outlook, lock, workers, driver, is_first)
        self._asked = asked
        return ReconcileResult(None, 0.0)

    def _move(self, moving: Moving, rollout: InPlaceRollout, asked: RunCommand | None) -> ReconcileResult:
        driver, clock = moving.driver, self._ground.api.clock
        driver.spec_pause = PAUSED_BY_SPEC if is_paused_by_spec(rollout, driver.run) else None
        driver.may_act = lambda: self._ground.keep(rollout)
        driver.on_request_rejected = lambda why: self._ground.warned(rollout, why)
        self._take_in_edits(driver, rollout)
        if asked is not None and not driver.apply_command(asked, self._asked_by):
            self._asked = asked
        began_at = clock.monotonic()
        moving.outlook.inbox.rest_until = began_at + driver.min_interval_seconds
        try:
            finished, wait_seconds = driver.step()
        except RunAbandoned as why:
            finished, wait_seconds = RunResult("Failed", str(why)), None
        if finished is not None:
            return self._finish(moving, finished, rollout)
        frame = driver.frame
        if frame is None:
            return ReconcileResult(None, wait_seconds)
        since = {uid: self._text(at) for uid, at in frame.since.items()}
        until = {uid: self._text(at) for uid, at in frame.until.items()}
        return ReconcileResult(RunningState(driver.run, frame.plan, since, frame.trouble, until), wait_seconds)

    def _take_in_edits(self, driver: Driver, rollout: InPlaceRollout) -> None:
        if rollout.metadata.generation == self._generation:
            return
        try:
            if not driver.update_run(apply_edits(driver.run, rollout)):
                return
        except ValueError as error:
            self._ground.warned(rollout, f"the edit is left out of account: {error}")
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation

    def _finish(self, moving: Moving, finished: RunResult, rollout: InPlaceRollout) -> ReconcileResult:
        outlook, lock, run = moving.outlook, moving.lock, moving.driver.run
        plan = moving.driver.frame.plan if moving.driver.frame is not None else None
        finished = outlook.assessor.with_last_writer(finished)
        ended, made = outlook.assessor.finalize_run(run, finished, outlook.now())
        if finished.outcome == "Paused" and rollout.metadata.deletion_timestamp is None:
            lock.save(ended)
            outlook.show(lock)
            moving.workers.stop()
            self._at = Standing(outlook, lock, ended)
            # What came meanwhile is looked at in the next pass.
            return ReconcileResult(FinishedState(ended, plan), 0.0)
        # Until the API server has taken it the run is not over, and the next pass comes to the same end: nobody else could free
        # a Lease that a living leader holds.
        with suppress(LockLostError):
            lock.release(ended, made, delete=outlook.assessor.can_delete_lease(run, finished))
            outlook.show(lock)  # a request that comes at once is judged on the run as it has ended
        self._log.info("run ends", run=run.id, outcome=finished.outcome, why=finished.message)
        self.forget()
        if moving.is_first and finished.outcome in TERMINAL_OUTCOMES:
            return ReconcileResult(None, 0.0)
        return self._over(FinishedState(ended, plan))

    def _stand(self, standing: Standing, rollout: InPlaceRollout, asked: RunCommand | None) -> ReconcileResult:
        """Waits for a word: a verb, or an edit of the rollout."""
        outlook = standing.outlook
        outlook.inbox.rest_until = self._ground.api.clock.monotonic() + PAUSED_DEBOUNCE_SECONDS
        outlook.absorb()
        if workload.is_gone(outlook.now()):
            self.forget()
            return self._deleted(standing.run)
        came = self._answer(standing, rollout, asked)
        # Only now: what could not be stored is taken in again by the next pass.
        self._was_paused, self._generation = rollout.spec.paused, rollout.metadata.generation
        return came

    def _answer(self, standing: Standing, rollout: InPlaceRollout, asked: RunCommand | None) -> ReconcileResult:
        outlook, lock, run = standing.outlook, standing.lock, standing.run
        lease = outlook.part.leases.get_by_name(run.target.namespace, lock.name)
        request, problem = read_request(lease), request_problem(lease)
        verb, by = request or asked, requested_by(lease) if request else self._asked_by
        if rollout.metadata.generation != self._generation:
            with suppress(ValueError):
                run = apply_edits(run, rollout)
            is_unpaused = self._was_paused and not rollout.spec.paused and not is_paused_by_user(run)
            has_other_steps = run.options.steps != standing.run.options.steps and is_paused_by_steps(run.message)
            if verb is None and (is_unpaused or has_other_steps) and not is_paused_by_spec(rollout, run):
                # The pause that it stands at, if any is left, is met again.
                return self._go_on(standing, resuming.BeginRun(resuming.reopen(run), resuming=True), "an edit")
        if verb is not None and not is_allowed_while_paused(verb) and is_paused_by_spec(rollout, run):
            self._ground.warned(rollout, f"asked to {verb}, but {RELEASE_FIRST}")
            verb = None
        elif verb == "pause" and not is_paused_by_user(run) and is_paused_by_spec(rollout, run):
            run = msgspec.structs.replace(run, message=f"paused {resuming.format_requester(by)}")
        match verb:
            case "abort":
                return self._go_on(standing, resuming.abort_orphaned(run, outlook.now(), by), verb)
            case "resume" | "promote":
                return self._go_on(standing, resuming.resume(run, outlook.now()), verb)
            case "pause" | None:
                has_asked = request is not None or bool(problem)
                if run != standing.run or has_asked:
                    lock.save(run, clear_request=has_asked)
                    outlook.show(lock)
                if problem:
                    self._ground.warned(rollout, problem)
                self._at = Standing(outlook, lock, run)
                return ReconcileResult(FinishedState(run, self._as_it_stands(self._at)))

    def _as_it_stands(self, standing: Standing) -> Plan:
        return assess_idle_run(standing.outlook.now(), standing.run, standing.lock.name, self._ground.api.clock.monotonic())

    def _go_on(
        self, standing: Standing, decision: resuming.BeginRun | resuming.FinishCommitFirst | resuming.Overtaken, why: str
    ) -> ReconcileResult:
        run = resuming.refresh_owner_settings(decision.run, standing.outlook.now())
        standing.lock.save(run, clear_request=True)
        standing.outlook.show(standing.lock)
        self._log.info("run goes on", run=run.id, by=why)
        return self._go(standing.outlook, standing.lock, run)

    def _text(self, at: float) -> str:
        return format_time(self._epoch + timedelta(seconds=at))
