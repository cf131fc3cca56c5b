"""Takes a workload through its sequence, one act or wait at a time: prepare, follow, commit, and the way back from a commit.

From each step there is a way on or back: what a run can end well without is forgone; a commit that cannot be finished is taken
back, and the pods with it; a preparation that fails stops the run in order. A Run as an answer: look again with that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from inplace.engine.actions import ListPods
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.endings import end, finish_if_quiet, give_commit_up
from inplace.engine.planning.failures import reverse_run
from inplace.engine.planning.patience import carry_on
from inplace.engine.planning.plan import Plan, RunResult
from inplace.engine.planning.plan_builder import View
from inplace.engine.pods.stages import PodAssessment
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, Prepared, RelistPods, WaitFor
from inplace.model.run import CommitState, Forgoable, Run

LOST: Mapping[Forgoable, str] = {
    "history": "the images before are not in its history",
    "fields": "image fields could not be given back to who had applied them, whose next apply will conflict",
}


def prepare(view: View) -> Plan | Run | None:
    """Until pods may be patched. None: they may."""
    run = view.run
    match strategy_for(view.observed).prepare(run):
        case Prepared(revision=revision):
            return None if revision == run.revision else msgspec.structs.replace(run, revision=revision)
        case (Perform() | WaitFor()) as step:
            taken = carry_on(view, "prepare", step)
            return taken if isinstance(taken, Plan) else msgspec.structs.replace(run, gave_up=taken)
        case Blocked(reason=reason):
            return msgspec.structs.replace(run, gave_up=reason)
        case RelistPods() | Done() as other:
            raise AssertionError(f"no step of a preparation: {other}")


def follow(view: View) -> Plan | None:
    """Before a run stops halfway its StatefulSet's partition is where its pods are, if that can be had."""
    step = view.following()
    taken = carry_on(view, "follow", step) if step is not None else ""
    return taken if isinstance(taken, Plan) else None


def commit(view: View) -> Plan | Run:
    """Every pod is updated: until the workload is consistent."""
    run, observed = view.run, view.observed
    strategy = strategy_for(observed)
    if run.commit is None:
        begun = strategy.begin_commit(run)
        if begun is not None:
            return msgspec.structs.replace(run, commit=begun)
    fresh = {moment: _listed_since(view, moment) for moment in _MOMENTS if f"commit/{moment}" in observed.timers}
    match strategy.commit(run, fresh):
        case Done() | Prepared():
            return finish_if_quiet(view, _final_outcome(view)) if fresh.get("end") else _commit_step(view, RelistPods("end"))
        case step:
            return _commit_step(view, step)


def take_back(view: View, begun: CommitState) -> Plan | Run:
    """The commit that was given up. Then its pods go back, too; if some have failed, that decides what becomes of them."""
    run = view.run
    match strategy_for(view.observed).uncommit(run, begun):
        case (Perform() | WaitFor()) as step:
            taken = carry_on(view, "uncommit", step)
            if not isinstance(taken, str):
                return taken
            if step.forgoing is not None:
                return _forgo(run, step.forgoing, taken)
            return end(view, RunResult("Failed", f"{begun.undo_reason}; its templates cannot be put back: {taken}"))
        case Blocked(reason=reason):
            return end(view, RunResult("Failed", f"{begun.undo_reason}; {reason}"))
        case _:
            back = msgspec.structs.replace(run, commit=None)
            return back if run.failures else reverse_run(back, "Failure", f"rolled back, because {begun.undo_reason}")


_MOMENTS = ("replicaset", "end")


def _commit_step(view: View, step: NextStep) -> Plan | Run:
    match step:
        case RelistPods(moment=moment):
            view.clocks.started_at(f"commit/{moment}")
            return _commit_step(view, Perform(ListPods(), "listing the pods again"))
        case Perform() | WaitFor():
            taken = carry_on(view, "commit", step)
            if isinstance(taken, str):
                return _fail_after_timeout(view, taken) if step.forgoing is None else _forgo(view.run, step.forgoing, taken)
            return taken
        case Blocked(reason=reason):
            return _fail_after_timeout(view, reason)
        case Done() | Prepared():
            raise AssertionError("a commit that is done has no step")


def _listed_since(view: View, moment: str) -> bool:
    listed_at = view.observed.pods_listed_at
    return listed_at is not None and listed_at >= view.clocks.started_at(f"commit/{moment}")


def _fail_after_timeout(view: View, why: str) -> Plan | Run:
    if strategy_for(view.observed).may_uncommit(view.run):
        return give_commit_up(view.run, why)
    return end(view, RunResult("Failed", why))


def _forgo(run: Run, what: Forgoable, why: str) -> Run:
    return msgspec.structs.replace(run, forgone={**run.forgone, what: f"{LOST[what]}: {why}"})


def _final_outcome(view: View) -> RunResult:
    run = view.run
    match run.rollback_reason:
        case "Abort":
            return RunResult("Aborted", run.message)
        case "Failure":
            return RunResult("RolledBack", run.message)
        case None:
            pass
    if run.failures:
        return RunResult("Failed", "some pods could not be upgraded in time")
    return RunResult("Succeeded", "; ".join([*run.forgone.values(), *_unscheduled(view.judged)]))


MOST_NAMES = 3


def _unscheduled(judged: Iterable[PodAssessment]) -> Iterator[str]:
    """What nobody could verify, since nothing of it runs."""
    names = [f"pod/{j.facts.pod.name}" for j in judged if j.stage == "Updated" and not j.facts.pod.is_scheduled]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        verbs = "is updated and waits" if len(names) == 1 else "are updated and wait"
        yield f"{', '.join(names[:MOST_NAMES])}{more} {verbs} for a node"
