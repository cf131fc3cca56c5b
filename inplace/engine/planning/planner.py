"""The heart: a pure function from a snapshot to the actions to take, used by the command, the controller and every simulation.

The order of a plan: assess every pod; record failures; decide whether the run must stop; finish what is in flight; prepare the
workload; start more pods within step and budgets; once every pod is updated, commit the workload. The same snapshot leads to
the same plan, and at the goal the plan is empty. Where the run itself changes on the way, as by a failure, a pass ends with a
`RunUpdate`, and the next pass plans the changed run.
"""

from __future__ import annotations

import msgspec

from inplace.engine.kinds import workload
from inplace.engine.kinds.image_provenance import believed_commit, unfinished, unvouched
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning import sequences
from inplace.engine.planning.endings import FINISHING, finish, finish_if_quiet
from inplace.engine.planning.failures import new_failures, rewritten, roll_back, should_roll_back, stop_reason
from inplace.engine.planning.plan import Plan, PlanContext, RunResult, RunUpdate
from inplace.engine.planning.plan_builder import PlanBuilder
from inplace.engine.planning.projection import is_ours
from inplace.engine.planning.scheduling import StartDecision, select_pods
from inplace.engine.planning.steps import Barrier, current_step, describe
from inplace.engine.planning.waits import remembered
from inplace.engine.pods.drain import services_not_awaited
from inplace.engine.pods.goals import goal_of
from inplace.engine.pods.stages import PodAssessment, PodPolicy, assess_pod, release_failed
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import DEFAULT_WAIT_SECONDS, Timers
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run, StopRequest


def plan(snapshot: Snapshot, context: PlanContext, run: Run, now: float) -> Plan:
    """Plans until the run itself no longer changes: `Plan.run` has every change, to be stored before the first action."""
    outcome: Plan | RunUpdate = RunUpdate(run)
    while isinstance(outcome, RunUpdate):
        outcome = _plan_pass(snapshot, context, outcome.run, now)
    return remembered(outcome, snapshot.timers, now, context.timestamp)


def _plan_pass(snapshot: Snapshot, context: PlanContext, run: Run, now: float) -> Plan | RunUpdate:
    timers = Timers(snapshot.timers, now)
    if workload.is_gone(snapshot):
        return finish(run, RunResult("Failed", f"{run.target} was deleted"))
    stop = stop_reason(snapshot, context, run, timers)
    policy = pod_policy(snapshot, context, run, stop)
    assessments = [assess_pod(facts, policy, snapshot.evidence.get(facts.pod.uid), now) for facts in snapshot.pods]
    failures = new_failures(assessments, run, timers)
    if failures:
        made = rewritten(run, assessments, failures)
        failing = msgspec.structs.replace(run, failures=run.failures + failures, rewritten=made)
        return RunUpdate(roll_back(failing) if should_roll_back(failing, context) else failing)
    failed = frozenset(failure.uid for failure in run.failures)
    in_flight = [a for a in assessments if a.uid not in failed and is_ours(a)]
    return _plan_next(PlanBuilder(snapshot, context, run, policy, assessments, timers, stop, failed, in_flight))


def pod_policy(snapshot: Snapshot, context: PlanContext, run: Run, stop: StopRequest | None) -> PodPolicy:
    options, strategy = run.options, strategy_for(snapshot)
    return PodPolicy(
        run_id=run.id,
        lease_name=context.lease_name,
        gate=options.gate,
        goal=goal_of(run),
        settle_seconds=options.settle_seconds,
        drain_timeout_seconds=options.drain_timeout_seconds,
        restart_timeout_seconds=options.restart_timeout_seconds,
        min_ready_seconds=workload.min_ready_seconds(snapshot, options),
        ignored_services=services_not_awaited(snapshot.services, options.accept_undrainable),
        stopping=stop is not None,
        is_bare_pods=not strategy.has_controller,
        dead_leases=context.dead_leases,
        timestamp=context.timestamp,
        revision=strategy.pod_revision(run),
        excluded=strategy.pods_kept_back(run),
        without_gate=options.without_gate,
        unreadable_reason=snapshot.unreadable[0] if snapshot.unreadable else "",
        patches_images=not _only_frees(snapshot, context, run),
    )


def _only_frees(snapshot: Snapshot, context: PlanContext, run: Run) -> bool:
    """Whether no pod is brought to an image. One that goes back from a refused commit is, to images that the templates, for
    one, vouch for again."""
    is_way_back = run.rolling_back and run.commit is None and context.stop is None and not unvouched(run.images, snapshot)
    return context.frees_only and not is_way_back


def _plan_next(builder: PlanBuilder) -> Plan | RunUpdate:
    run, snapshot = builder.run, builder.snapshot
    is_overtaken = builder.stop is not None and builder.stop.external_change
    if run.commit is not None and run.commit.undo_reason and not is_overtaken:
        return sequences.take_back(builder, run.commit)
    is_flying = any(a.stage != "Released" for a in builder.in_flight) or bool(snapshot.closing)
    if not is_flying:
        builder.timers.keep(FINISHING)  # also while an answer is awaited, or a refused action rests
    if builder.stop is not None:
        if is_flying:
            return builder.plan((), f"{builder.stop.message}; finishing the pods in flight")
        waiting = sequences.follow(builder)
        if waiting is not None:
            return waiting
        message = _stop_message(builder.stop, builder)
        return finish_if_quiet(builder, RunResult(builder.stop.outcome, message, builder.stop.external_change))
    if snapshot.unreadable:
        return _wait_until_readable(builder, snapshot.unreadable[0])
    if _only_frees(snapshot, builder.context, run):
        return _finish_commit_alone(builder)
    unprepared = sequences.prepare(builder)
    if unprepared is not None:
        return unprepared
    step = current_step(run, builder.assessments, builder.failed, workload.pods_to_update(snapshot, run), builder.timers)
    if isinstance(step, Barrier):
        return _wait_at_barrier(builder, step)
    if builder.all_updated:
        return sequences.commit(builder)
    starts = _starts(builder, step.pods)
    claiming = [starts.claim] if starts.claim is not None else []
    is_idle = snapshot.keys_in_progress <= {claim.key for claim in claiming}
    if is_idle and not builder.in_flight and not starts.actions and not snapshot.closing:
        ending = _end_if_stuck(builder, starts.waiting_for)
        if ending is not None:
            return ending
    return builder.plan((*starts.actions, *claiming), starts.waiting_for, describe(run), starts.uids)


def _wait_at_barrier(builder: PlanBuilder, barrier: Barrier) -> Plan | RunUpdate:
    """Between two of the user's steps: starts nothing but opens the gates of new pods; ends a run that waits for a person."""
    run = builder.run
    if barrier.steps_passed != run.steps_passed:
        return RunUpdate(msgspec.structs.replace(run, steps_passed=barrier.steps_passed))
    if barrier.is_manual and not builder.in_flight:
        waiting = sequences.follow(builder)
        return waiting if waiting is not None else finish_if_quiet(builder, RunResult("Paused", barrier.reason))
    gates = _starts(builder, 0)
    return builder.plan(gates.actions, barrier.reason, describe(run), until=barrier.until)


def _stop_message(stop: StopRequest, builder: PlanBuilder) -> str:
    """Why it stops; and for a run that is going back and can be resumed, why it was going back."""
    why = builder.run.message
    keeps_reason = builder.run.rolling_back and stop is builder.context.stop and why and stop.message not in why
    return f"{stop.message}; {why}" if keeps_reason else stop.message


def _finish_commit_alone(builder: PlanBuilder) -> Plan | RunUpdate:
    """For a run that nobody asks for: what it stored brings no image to any pod, and only its commit may be finished."""
    if builder.in_flight or builder.snapshot.keys_in_progress or builder.snapshot.closing:
        return builder.plan((), "finishing the pods in flight")
    run = believed_commit(builder.snapshot, builder.run)
    if run.commit is None or not builder.all_updated:
        return finish_if_quiet(builder, RunResult("Failed", unfinished(builder.snapshot, builder.run)))
    return sequences.commit(builder) if run == builder.run else RunUpdate(run)


def _wait_until_readable(builder: PlanBuilder, what: str) -> Plan | RunUpdate:
    """An object that cannot be read may be a pod of the run, or a slice that sends to one: nothing is started. Pods in flight
    are finished."""
    if builder.timers.expired("run/unreadable", DEFAULT_WAIT_SECONDS) and not builder.in_flight:
        return finish_if_quiet(builder, RunResult("Failed", f"gave up after 5 minutes: {what}"))
    return builder.plan((), f"waiting: {what}", describe(builder.run))


def _starts(builder: PlanBuilder, target: int) -> StartDecision:
    starts = select_pods(
        builder.snapshot,
        builder.run,
        builder.assessments,
        builder.policy,
        builder.failed,
        target,
        builder.timers,
        builder.context,
    )
    if starts.actions or starts.waiting_for:
        return starts
    if builder.missing:
        leaving = [f"; pod/{a.facts.pod.name} is being deleted" for a in builder.assessments if a.stage == "Gone"]
        live, desired = len(builder.assessments) - len(leaving), strategy_for(builder.snapshot).desired_replicas()
        return StartDecision((), frozenset(), f"waiting for {desired} pods to exist ({live} do{''.join(leaving[:1])})")
    return starts


def _end_if_stuck(builder: PlanBuilder, waiting: str) -> Plan | RunUpdate | None:
    """Nothing moves and nothing may be started: ends the run where waiting is no use, or has lasted long enough."""
    rest = [a for a in builder.assessments if a.uid not in builder.failed and a.stage not in ("Updated", "Gone", "Kept")]
    if not rest and builder.failed:
        return finish_if_quiet(builder, RunResult("Failed", "some pods could not be upgraded"))
    limit = workload.max_unavailable(builder.snapshot, builder.run)
    if waiting and sum(_is_permanently_down(a, builder) for a in builder.assessments) >= limit:
        return finish_if_quiet(builder, RunResult("Failed", f"failed pods use up all that may be unavailable ({limit})"))
    if waiting and builder.timers.expired("run/blocked", builder.patience_seconds):
        patience = f"{builder.patience_seconds / 60:g} minutes"
        return finish_if_quiet(builder, RunResult("Failed", f"gave up after {patience}: {waiting}"))
    return None


def _is_permanently_down(a: PodAssessment, builder: PlanBuilder) -> bool:
    """Whether a failed pod will not come back by itself: it stays closed, or the kubelet reports that it cannot run."""
    if a.uid not in builder.failed or a.facts.is_ready:
        return False
    return a.problem is not None or (isinstance(a.facts.record, UpgradeRecord) and release_failed(a, builder.policy) is None)
