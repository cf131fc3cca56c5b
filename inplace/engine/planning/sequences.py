"""Takes a workload through the sequence of its kind, one step at a time: prepare, follow, commit, and back from a commit.

Each step leads on or back: the run forgoes what it can end well without; a commit that cannot be finished is taken back, and
the pods with it; a preparation that fails stops the run in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from inplace.engine.actions import ListPods
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.endings import end, finish_if_quiet, give_commit_up
from inplace.engine.planning.failures import reverse_run
from inplace.engine.planning.patience import take_step
from inplace.engine.planning.plan import Plan, RunResult, RunUpdate
from inplace.engine.planning.plan_builder import PlanBuilder
from inplace.engine.pods.stages import PodAssessment
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, Prepared, RelistPods, WaitFor
from inplace.model.run import CommitState, Forgoable, Run

LOST: Mapping[Forgoable, str] = {
    "history": "the images before are not in its history",
    "fields": "image fields could not be given back to who had applied them, whose next apply will conflict",
}


def prepare(builder: PlanBuilder) -> Plan | RunUpdate | None:
    """Prepares the workload until pods may be patched. None: they may."""
    run = builder.run
    match strategy_for(builder.snapshot).prepare(run):
        case Prepared(revision=revision):
            return None if revision == run.revision else RunUpdate(msgspec.structs.replace(run, revision=revision))
        case (Perform() | WaitFor()) as step:
            taken = take_step(builder, "prepare", step)
            return taken if isinstance(taken, Plan) else RunUpdate(msgspec.structs.replace(run, gave_up=taken))
        case Blocked(reason=reason):
            return RunUpdate(msgspec.structs.replace(run, gave_up=reason))
        case RelistPods() | Done() as other:
            raise AssertionError(f"no step of a preparation: {other}")


def follow(builder: PlanBuilder) -> Plan | None:
    """Before a run stops halfway, brings the workload to where its pods are, such as a partition, if that is possible."""
    step = builder.follow_step()
    taken = take_step(builder, "follow", step) if step is not None else ""
    return taken if isinstance(taken, Plan) else None


def commit(builder: PlanBuilder) -> Plan | RunUpdate:
    """Every pod is updated: makes the workload consistent, and then ends the run."""
    run, snapshot = builder.run, builder.snapshot
    strategy = strategy_for(snapshot)
    if run.commit is None:
        begun = strategy.begin_commit(run)
        if begun is not None:
            return RunUpdate(msgspec.structs.replace(run, commit=begun))
    fresh = {moment: _listed_since(builder, moment) for moment in _MOMENTS if f"commit/{moment}" in snapshot.timers}
    match strategy.commit(run, fresh):
        case Done() | Prepared():
            return (
                finish_if_quiet(builder, _final_outcome(builder))
                if fresh.get("end")
                else _commit_step(builder, RelistPods("end"))
            )
        case step:
            return _commit_step(builder, step)


def take_back(builder: PlanBuilder, begun: CommitState) -> Plan | RunUpdate:
    """Takes a given-up commit back, and then the pods. If pods have failed, `--on-failure` decides about the pods instead."""
    run = builder.run
    match strategy_for(builder.snapshot).uncommit(run, begun):
        case (Perform() | WaitFor()) as step:
            taken = take_step(builder, "uncommit", step)
            if not isinstance(taken, str):
                return taken
            if step.forgoing is not None:
                return _forgo(run, step.forgoing, taken)
            return end(builder, RunResult("Failed", f"{begun.undo_reason}; its templates cannot be put back: {taken}"))
        case Blocked(reason=reason):
            return end(builder, RunResult("Failed", f"{begun.undo_reason}; {reason}"))
        case _:
            back = msgspec.structs.replace(run, commit=None)
            reason = f"rolled back, because {begun.undo_reason}"
            return RunUpdate(back if run.failures else reverse_run(back, "Failure", reason))


_MOMENTS = ("replicaset", "end")


def _commit_step(builder: PlanBuilder, step: NextStep) -> Plan | RunUpdate:
    match step:
        case RelistPods(moment=moment):
            builder.timers.started_at(f"commit/{moment}")
            return _commit_step(builder, Perform(ListPods(), "listing the pods again"))
        case Perform() | WaitFor():
            taken = take_step(builder, "commit", step)
            if isinstance(taken, str):
                return (
                    _fail_after_timeout(builder, taken) if step.forgoing is None else _forgo(builder.run, step.forgoing, taken)
                )
            return taken
        case Blocked(reason=reason):
            return _fail_after_timeout(builder, reason)
        case Done() | Prepared():
            raise AssertionError("a commit that is done has no step")


def _listed_since(builder: PlanBuilder, moment: str) -> bool:
    listed_at = builder.snapshot.pods_listed_at
    return listed_at is not None and listed_at >= builder.timers.started_at(f"commit/{moment}")


def _fail_after_timeout(builder: PlanBuilder, why: str) -> Plan | RunUpdate:
    if strategy_for(builder.snapshot).may_uncommit(builder.run):
        return give_commit_up(builder.run, why)
    return end(builder, RunResult("Failed", why))


def _forgo(run: Run, what: Forgoable, why: str) -> RunUpdate:
    return RunUpdate(msgspec.structs.replace(run, forgone={**run.forgone, what: f"{LOST[what]}: {why}"}))


def _final_outcome(builder: PlanBuilder) -> RunResult:
    run = builder.run
    match run.rollback_reason:
        case "Abort":
            return RunResult("Aborted", run.message)
        case "Failure":
            return RunResult("RolledBack", run.message)
        case None:
            pass
    if run.failures:
        return RunResult("Failed", "some pods could not be upgraded in time")
    return RunResult("Succeeded", "; ".join([*run.forgone.values(), *_unscheduled(builder.assessments)]))


MOST_NAMES = 3


def _unscheduled(assessments: Iterable[PodAssessment]) -> Iterator[str]:
    """Names the pods that nobody could verify, since nothing of them runs."""
    names = [f"pod/{a.facts.pod.name}" for a in assessments if a.stage == "Updated" and not a.facts.pod.is_scheduled]
    if names:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        verbs = "is updated and waits" if len(names) == 1 else "are updated and wait"
        yield f"{', '.join(names[:MOST_NAMES])}{more} {verbs} for a node"
