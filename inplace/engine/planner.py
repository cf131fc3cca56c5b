"""The heart: one pure function from what is seen to what is to be done, used by the command, the controller and every
simulation.

Order of a plan: judge every pod; record failures; say whether the run is to stop; finish what is in flight; where the template
goes first, prepare it; start more pods within step and budgets; when every pod is updated, commit the workload. Given the same
view it says the same, and at the goal it says nothing.
"""

from __future__ import annotations

import msgspec

from inplace.engine import acts, templatefirst
from inplace.engine import commit as committing
from inplace.engine import target as workload
from inplace.engine.actions import ListPods, ListSlices
from inplace.engine.clocks import PATIENCE_SECONDS, Clocks
from inplace.engine.disturbances import give_way
from inplace.engine.drain import ignored_services
from inplace.engine.failures import new_failures, roll_back, should_roll_back, stop_of
from inplace.engine.observed import Observed, PodsTarget, RevisionedTarget
from inplace.engine.plan import Finished, Plan, Spec
from inplace.engine.stages import Judged, Rules, judge, reopen
from inplace.engine.starts import Starts, choose
from inplace.engine.steps import PAUSED_BY_STEPS, Barrier, describe, position
from inplace.engine.view import View, is_ours
from inplace.model.record import Record
from inplace.model.run import ENDS, Run, Stop


def plan(observed: Observed, spec: Spec, run: Run, now: float) -> Plan:
    """See the module. `run` must be stored, if it differs, before the first action is done."""
    clocks = Clocks(observed.timers, now)
    if workload.is_gone(observed):
        return _finish(run, Finished("Failed", f"{run.target} was deleted"))
    stop = stop_of(observed, spec, run, clocks)
    rules = rules_of(observed, spec, run, stop)
    judged = [judge(facts, rules, observed.evidence.get(facts.pod.uid), now) for facts in observed.pods]
    failures = new_failures(judged, run, clocks)
    if failures:
        worse = msgspec.structs.replace(run, failures=run.failures + failures)
        return plan(observed, spec, roll_back(worse) if should_roll_back(worse, spec) else worse, now)
    failed = frozenset(failure.uid for failure in run.failures)
    in_flight = [j for j in judged if j.uid not in failed and is_ours(j)]
    return _go_on(View(observed, spec, run, rules, judged, clocks, stop, failed, in_flight))


def rules_of(observed: Observed, spec: Spec, run: Run, stop: Stop | None) -> Rules:
    options = run.options
    return Rules(
        run=run.id,
        lease=spec.lease,
        gate=options.gate,
        images=run.images,
        settle_seconds=options.settle_seconds,
        drain_timeout_seconds=options.drain_timeout_seconds,
        restart_timeout_seconds=options.restart_timeout_seconds,
        min_ready_seconds=workload.min_ready_seconds(observed, options),
        ignored=ignored_services(observed.services, options.accept_undrainable),
        stopping=stop is not None,
        bare=isinstance(observed.target, PodsTarget),
        dead_leases=spec.dead_leases,
        revision=run.revision if isinstance(observed.target, RevisionedTarget) else None,
        kept=workload.kept(observed, run),
        without_gate=options.without_gate,
        unreadable=observed.unreadable[0] if observed.unreadable else "",
    )


def _go_on(view: View) -> Plan:
    run, observed = view.run, view.observed
    if view.stop is not None:
        if view.in_flight or observed.busy or observed.closing:
            return view.plan((), f"{view.stop.message}; finishing the pods in flight")
        waiting = _following_behind(view)
        if waiting is not None:
            return waiting
        return _finish_if_quiet(view, Finished(view.stop.outcome, view.stop.message, view.stop.by_others))
    if observed.unreadable:
        return _wait_for_sight(view, observed.unreadable[0])
    unprepared = _prepare(view)
    if unprepared is not None:
        return unprepared
    where = position(run, view.judged, view.failed, workload.goal(observed, run), view.clocks)
    if isinstance(where, Barrier):
        if where.steps_passed != run.steps_passed:
            return plan(observed, view.spec, msgspec.structs.replace(run, steps_passed=where.steps_passed), view.clocks.now)
        if where.manual and not view.in_flight:
            waiting = _following_behind(view)
            if waiting is not None:
                return waiting
            return _finish_if_quiet(view, Finished("Paused", PAUSED_BY_STEPS))
        gates = _starts(view, 0)
        return view.plan(gates.actions, where.reason, describe(run))
    if view.all_updated:
        return _commit(view)
    starts = _starts(view, where.target)
    if not view.in_flight and not starts.actions and not observed.busy and not observed.closing:
        ended = _stuck(view, starts.waiting)
        if ended is not None:
            return ended
    return view.plan(starts.actions, starts.waiting, describe(run), starts.uids)


def _wait_for_sight(view: View, what: str) -> Plan:
    """What cannot be read is not touched, and neither gone nor done: it may be a pod of the run, or a slice that sends to one.
    Pods in flight go on."""
    if view.clocks.expired("run/unreadable", PATIENCE_SECONDS) and not view.in_flight:
        return _finish_if_quiet(view, Finished("Failed", f"gave up after 5 minutes: {what}"))
    return view.plan((), f"waiting: {what}", describe(view.run))


def _prepare(view: View) -> Plan | None:
    """Where the template goes first: one act or wait at a time until pods may be patched. None: they may."""
    target, run = view.observed.target, view.run
    if not isinstance(target, RevisionedTarget):
        return None
    match templatefirst.prepare(view.observed, target, run):
        case acts.Prepared(revision=revision):
            if revision == run.revision:
                return None
            return plan(view.observed, view.spec, msgspec.structs.replace(run, revision=revision), view.clocks.now)
        case acts.Act(action=action, reason=reason):
            return view.plan([action], reason, describe(run))
        case acts.Await(reason=reason):
            if view.clocks.expired(f"prepare/wait/{reason}", PATIENCE_SECONDS):
                return _give_up(view, f"prepare/wait/{reason}", f"gave up after 5 minutes: {reason}")
            return view.plan((), reason, describe(run))
        case other:
            return _end(view, Finished("Failed", other.reason if isinstance(other, acts.Broken) else str(other)))


def _give_up(view: View, timer: str, why: str) -> Plan:
    """Ends as if told to stop: closed pods whose image waits for this are reopened first; `timer` goes on meanwhile."""
    told = msgspec.structs.replace(view.spec, stop=Stop("Failed", why))
    last = plan(view.observed, told, view.run, view.clocks.now)
    return msgspec.structs.replace(last, timers=last.timers | {timer})


def _following_behind(view: View) -> Plan | None:
    """Before a run stops halfway its StatefulSet's partition is where its pods are; a controller that never says so is not
    waited for without end."""
    match view.following():
        case acts.Act(reason=reason) | acts.Await(reason=reason):
            if not view.clocks.expired("follow", PATIENCE_SECONDS):
                return view.plan((), reason, describe(view.run))
    return None


def _starts(view: View, target: int) -> Starts:
    starts = choose(view.observed, view.run, view.judged, view.rules, view.failed, target, view.clocks, view.spec)
    if starts.actions or starts.waiting:
        return starts
    if view.missing:
        leaving = [f"; pod/{j.facts.pod.name} is being deleted" for j in view.judged if j.stage == "Gone"]
        live, desired = len(view.judged) - len(leaving), workload.desired(view.observed)
        return Starts((), frozenset(), f"waiting for {desired} pods to exist ({live} do{''.join(leaving[:1])})")
    return starts


def _stuck(view: View, waiting: str) -> Plan | None:
    """Nothing moves and nothing may be started."""
    rest = [j for j in view.judged if j.uid not in view.failed and j.stage not in ("Updated", "Gone", "Kept")]
    if not rest and view.failed:
        return _finish_if_quiet(view, Finished("Failed", "some pods could not be upgraded"))
    limit = workload.max_unavailable(view.observed, view.run)
    if waiting and sum(_is_lost(j, view) for j in view.judged) >= limit:
        return _finish_if_quiet(view, Finished("Failed", f"failed pods use up all that may be unavailable ({limit})"))
    if waiting and view.clocks.expired("run/blocked", view.patience_seconds):
        patience = f"{view.patience_seconds / 60:g} minutes"
        return _finish_if_quiet(view, Finished("Failed", f"gave up after {patience}: {waiting}"))
    return None


def _is_lost(j: Judged, view: View) -> bool:
    """A failed pod that will not come back by itself: it stays closed, or the kubelet says that it cannot run."""
    if j.uid not in view.failed or j.facts.is_ready:
        return False
    return j.trouble is not None or (isinstance(j.facts.record, Record) and reopen(j, view.rules) is None)


def _commit(view: View) -> Plan:
    """Every pod is updated: one act or wait at a time until the workload is consistent."""
    run, observed, clocks = view.run, view.observed, view.clocks
    if run.commit is None:
        begun = committing.begin(observed, run)
        if begun is not None:
            return plan(observed, view.spec, msgspec.structs.replace(run, commit=begun), clocks.now)
    fresh = {moment: _listed_since(view, moment) for moment in _MOMENTS if f"commit/{moment}" in observed.timers}
    after_pods = committing.after_pods(observed, run)
    step = after_pods if run.commit is None else committing.next_act(observed, run, run.commit, fresh)
    if isinstance(observed.target, RevisionedTarget):
        step = templatefirst.finish(observed, observed.target, run)
    match step:
        case acts.Act(action=action, reason=reason):
            return view.plan([action], reason, describe(run))
        case acts.Await(reason=reason):
            if clocks.expired(f"commit/wait/{reason}", PATIENCE_SECONDS):
                return _end(view, Finished("Failed", f"gave up after 5 minutes: {reason}"))
            return view.plan((), reason, describe(run))
        case acts.FreshList(moment=moment):
            return _list_pods(view, moment)
        case acts.Broken(reason=reason):
            return _end(view, Finished("Failed", reason))
        case acts.Done() | acts.Prepared():
            return _finish_if_quiet(view, _verdict(run)) if fresh.get("end") else _list_pods(view, "end")


_MOMENTS = ("replicaset", "end")


def _list_pods(view: View, moment: str) -> Plan:
    view.clocks.since(f"commit/{moment}")
    return view.plan([ListPods()], "listing the pods afresh", describe(view.run))


def _listed_since(view: View, moment: str) -> bool:
    listed_at = view.observed.pods_listed_at
    return listed_at is not None and listed_at >= view.clocks.since(f"commit/{moment}")


def _verdict(run: Run) -> Finished:
    match run.back:
        case "Abort":
            return Finished("Aborted", run.message)
        case "Failure":
            return Finished("RolledBack", run.message)
        case None:
            pass
    if run.failures:
        return Finished("Failed", "some pods could not be upgraded in time")
    return Finished("Succeeded")


def _finish_if_quiet(view: View, finished: Finished) -> Plan:
    """Reopens what can be reopened first."""
    by_others = view.stop is not None and view.stop.by_others
    withdraw = give_way if by_others else templatefirst.withdraw
    keeps = finished.outcome in ENDS or (bool(view.observed.unreadable) and not by_others)
    withdrawing = None if keeps else withdraw(view.observed, view.run)
    last = view.plan(() if withdrawing is None else [withdrawing.action])
    if view.observed.busy or view.observed.closing or any(not isinstance(action, ListSlices) for action in last.actions):
        return last
    return _end(view, finished)


def _end(view: View, finished: Finished) -> Plan:
    last = view.plan(())
    return msgspec.structs.replace(_finish(view.run, finished), pods=last.pods, progress=last.progress)


def _finish(run: Run, finished: Finished) -> Plan:
    # What somebody else has had a hand in is not to be finished as it was begun.
    commit = None if finished.by_others else run.commit
    ended = msgspec.structs.replace(run, commit=commit, outcome=finished.outcome, message=finished.message)
    return Plan(run=ended, finished=finished)
