"""Ends a run: once nothing is under way, with its pods freed as far as possible and the workload back in its owner's hands."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import ListSlices
from inplace.engine.kinds.external_changes import yield_to_owner
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.patience import take_step
from inplace.engine.planning.plan import Plan, RunResult, RunUpdate
from inplace.engine.planning.plan_builder import PlanBuilder
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.engine.workloads.sequence import Perform
from inplace.model.run import TERMINAL_OUTCOMES, Run

FINISHING = "finish/"
"""The prefix of the timers of an end."""


def finish_if_quiet(builder: PlanBuilder, finished: RunResult) -> Plan | RunUpdate:
    """Ends the run after reopening the pods that can be reopened and taking back a commit that will not be finished.

    Waits at most `DEFAULT_WAIT_SECONDS` without progress; what is not done by then is left, and the message names it.
    """
    last = builder.plan(())
    rest = sum(not isinstance(action, ListSlices) for action in last.actions) + len(builder.snapshot.keys_in_progress)
    if (rest or builder.snapshot.closing) and not builder.timers.expired(f"{FINISHING}{rest}", DEFAULT_WAIT_SECONDS):
        return builder.plan(())
    is_early = finished.outcome not in TERMINAL_OUTCOMES and not finished.external_change
    if is_early and strategy_for(builder.snapshot).may_uncommit(builder.run):
        return give_commit_up(builder.run, finished.message)
    withdrawal = _withdraw(builder, finished)
    if withdrawal is None:
        return end(builder, finished)
    taken = take_step(builder, "finish", withdrawal)
    if isinstance(taken, Plan):
        return taken
    return end(builder, msgspec.structs.replace(finished, message=f"{finished.message}; {taken}"))


def give_commit_up(run: Run, why: str) -> RunUpdate:
    """The run whose commit is to be taken back."""
    assert run.commit is not None
    return RunUpdate(msgspec.structs.replace(run, commit=msgspec.structs.replace(run.commit, undo_reason=why)))


def end(builder: PlanBuilder, finished: RunResult) -> Plan:
    """Ends the run at once."""
    last = builder.plan(())
    if strategy_for(builder.snapshot).is_left_paused(builder.run):
        message = f"{finished.message}; {builder.run.target} is left paused, so that nothing can be rolled out"
        finished = msgspec.structs.replace(finished, message=message)
    return msgspec.structs.replace(finish(builder.run, finished), pods=last.pods, progress=last.progress)


def finish(run: Run, finished: RunResult) -> Plan:
    """The plan of a run that is over. A commit that somebody else interfered with is dropped, since it must not be finished."""
    commit = None if finished.external_change else run.commit
    ended = msgspec.structs.replace(run, commit=commit, outcome=finished.outcome, message=finished.message)
    return Plan(run=ended, finished=finished)


def _withdraw(builder: PlanBuilder, finished: RunResult) -> Perform | None:
    if finished.external_change:
        return yield_to_owner(builder.snapshot, builder.run)
    if finished.outcome in TERMINAL_OUTCOMES or builder.snapshot.unreadable:
        return None
    return strategy_for(builder.snapshot).withdraw(builder.run)
