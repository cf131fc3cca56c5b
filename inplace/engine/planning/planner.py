"""The heart: one pure function from what is seen to what is to be done, used by the command, the controller and every
simulation.

Order of a plan: judge every pod; record failures; say whether the run is to stop; finish what is in flight; where the template
goes first, prepare it; start more pods within step and budgets; when every pod is updated, commit the workload. Given the same
view it says the same, and at the goal it says nothing.
"""

from __future__ import annotations

import msgspec

from inplace.engine.kinds import workload
from inplace.engine.kinds.image_provenance import believed_commit, unfinished, unvouched
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning import sequences
from inplace.engine.planning.endings import FINISHING, finish, finish_if_quiet
from inplace.engine.planning.failures import new_failures, rewritten, roll_back, should_roll_back, stop_reason
from inplace.engine.planning.plan import Plan, PlanContext, RunResult
from inplace.engine.planning.plan_builder import View
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


def plan(observed: Snapshot, spec: PlanContext, run: Run, now: float) -> Plan:
    """See the module. `run` must be stored, if it differs, before the first action is done."""
    return remembered(_plan(observed, spec, run, now), observed.timers, now, spec.since)


def _plan(observed: Snapshot, spec: PlanContext, run: Run, now: float) -> Plan:
    clocks = Timers(observed.timers, now)
    if workload.is_gone(observed):
        return finish(run, RunResult("Failed", f"{run.target} was deleted"))
    stop = stop_reason(observed, spec, run, clocks)
    rules = pod_policy(observed, spec, run, stop)
    judged = [assess_pod(facts, rules, observed.evidence.get(facts.pod.uid), now) for facts in observed.pods]
    failures = new_failures(judged, run, clocks)
    if failures:
        made = rewritten(run, judged, failures)
        worse = msgspec.structs.replace(run, failures=run.failures + failures, rewritten=made)
        return _plan(observed, spec, roll_back(worse) if should_roll_back(worse, spec) else worse, now)
    failed = frozenset(failure.uid for failure in run.failures)
    in_flight = [j for j in judged if j.uid not in failed and is_ours(j)]
    planned = _plan_next(View(observed, spec, run, rules, judged, clocks, stop, failed, in_flight))
    return planned if isinstance(planned, Plan) else _plan(observed, spec, planned, now)


def pod_policy(observed: Snapshot, spec: PlanContext, run: Run, stop: StopRequest | None) -> PodPolicy:
    options, strategy = run.options, strategy_for(observed)
    return PodPolicy(
        run_id=run.id,
        lease_name=spec.lease,
        gate=options.gate,
        goal=goal_of(run),
        settle_seconds=options.settle_seconds,
        drain_timeout_seconds=options.drain_timeout_seconds,
        restart_timeout_seconds=options.restart_timeout_seconds,
        min_ready_seconds=workload.min_ready_seconds(observed, options),
        ignored_services=services_not_awaited(observed.services, options.accept_undrainable),
        stopping=stop is not None,
        is_bare_pods=not strategy.has_controller,
        dead_leases=spec.dead_leases,
        timestamp=spec.since,
        revision=strategy.pod_revision(run),
        excluded=strategy.pods_kept_back(run),
        without_gate=options.without_gate,
        unreadable_reason=observed.unreadable[0] if observed.unreadable else "",
        patches_images=not _only_frees(observed, spec, run),
    )


def _only_frees(observed: Snapshot, spec: PlanContext, run: Run) -> bool:
    """Somebody who asked for it goes back from a commit that was refused, to what the templates, for one, say again."""
    is_way_back = run.rolling_back and run.commit is None and spec.stop is None and not unvouched(run.images, observed)
    return spec.only_frees and not is_way_back


def _plan_next(view: View) -> Plan | Run:
    """A Run: look again with that."""
    run, observed = view.run, view.observed
    is_overtaken = view.stop is not None and view.stop.external_change
    if run.commit is not None and run.commit.undo_reason and not is_overtaken:
        return sequences.take_back(view, run.commit)
    is_flying = any(j.stage != "Released" for j in view.in_flight) or bool(observed.closing)
    if not is_flying:
        view.clocks.keep(FINISHING)  # also while an answer is awaited, or what was refused rests
    if view.stop is not None:
        if is_flying:
            return view.plan((), f"{view.stop.message}; finishing the pods in flight")
        waiting = sequences.follow(view)
        if waiting is not None:
            return waiting
        return finish_if_quiet(view, RunResult(view.stop.outcome, _told(view.stop, view), view.stop.external_change))
    if observed.unreadable:
        return _wait_for_sight(view, observed.unreadable[0])
    if _only_frees(observed, view.spec, run):
        return _finish_commit_alone(view)
    unprepared = sequences.prepare(view)
    if unprepared is not None:
        return unprepared
    where = current_step(run, view.judged, view.failed, workload.pods_to_update(observed, run), view.clocks)
    if isinstance(where, Barrier):
        if where.steps_passed != run.steps_passed:
            return msgspec.structs.replace(run, steps_passed=where.steps_passed)
        if where.manual and not view.in_flight:
            waiting = sequences.follow(view)
            if waiting is not None:
                return waiting
            return finish_if_quiet(view, RunResult("Paused", where.reason))
        gates = _starts(view, 0)
        return view.plan(gates.actions, where.reason, describe(run), until=where.until)
    if view.all_updated:
        return sequences.commit(view)
    starts = _starts(view, where.target)
    claiming = [starts.claim] if starts.claim is not None else []
    if (
        not view.in_flight
        and not starts.actions
        and not observed.closing
        and observed.keys_in_progress <= {c.key for c in claiming}
    ):
        ended = _stuck(view, starts.waiting)
        if ended is not None:
            return ended
    return view.plan((*starts.actions, *claiming), starts.waiting, describe(run), starts.uids)


def _told(stop: StopRequest, view: View) -> str:
    """Why it stops; and why it was on its way back, where that is to be gone on with."""
    why = view.run.message
    is_on_its_way = view.run.rolling_back and stop is view.spec.stop and why and stop.message not in why
    return f"{stop.message}; {why}" if is_on_its_way else stop.message


def _finish_commit_alone(view: View) -> Plan | Run:
    """Of a run that is only stored: its word is enough for no pod."""
    if view.in_flight or view.observed.keys_in_progress or view.observed.closing:
        return view.plan((), "finishing the pods in flight")
    run = believed_commit(view.observed, view.run)
    if run.commit is None or not view.all_updated:
        return finish_if_quiet(view, RunResult("Failed", unfinished(view.observed, view.run)))
    return sequences.commit(view) if run == view.run else run


def _wait_for_sight(view: View, what: str) -> Plan | Run:
    """What cannot be read is not touched, and neither gone nor done: it may be a pod of the run, or a slice that sends to one.
    Pods in flight go on."""
    if view.clocks.expired("run/unreadable", DEFAULT_WAIT_SECONDS) and not view.in_flight:
        return finish_if_quiet(view, RunResult("Failed", f"gave up after 5 minutes: {what}"))
    return view.plan((), f"waiting: {what}", describe(view.run))


def _starts(view: View, target: int) -> StartDecision:
    starts = select_pods(view.observed, view.run, view.judged, view.rules, view.failed, target, view.clocks, view.spec)
    if starts.actions or starts.waiting:
        return starts
    if view.missing:
        leaving = [f"; pod/{j.facts.pod.name} is being deleted" for j in view.judged if j.stage == "Gone"]
        live, desired = len(view.judged) - len(leaving), strategy_for(view.observed).desired_replicas()
        return StartDecision((), frozenset(), f"waiting for {desired} pods to exist ({live} do{''.join(leaving[:1])})")
    return starts


def _stuck(view: View, waiting: str) -> Plan | Run | None:
    """Nothing moves and nothing may be started."""
    rest = [j for j in view.judged if j.uid not in view.failed and j.stage not in ("Updated", "Gone", "Kept")]
    if not rest and view.failed:
        return finish_if_quiet(view, RunResult("Failed", "some pods could not be upgraded"))
    limit = workload.max_unavailable(view.observed, view.run)
    if waiting and sum(_is_permanently_down(j, view) for j in view.judged) >= limit:
        return finish_if_quiet(view, RunResult("Failed", f"failed pods use up all that may be unavailable ({limit})"))
    if waiting and view.clocks.expired("run/blocked", view.patience_seconds):
        patience = f"{view.patience_seconds / 60:g} minutes"
        return finish_if_quiet(view, RunResult("Failed", f"gave up after {patience}: {waiting}"))
    return None


def _is_permanently_down(j: PodAssessment, view: View) -> bool:
    """A failed pod that will not come back by itself: it stays closed, or the kubelet says that it cannot run."""
    if j.uid not in view.failed or j.facts.is_ready:
        return False
    return j.problem is not None or (isinstance(j.facts.record, UpgradeRecord) and release_failed(j, view.rules) is None)
