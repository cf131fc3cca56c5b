"""How a run ends: when nothing is under way, with its pods freed as far as they can be and the workload given back."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import ListSlices
from inplace.engine.kinds.external_changes import yield_to_owner
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.patience import carry_on
from inplace.engine.planning.plan import Plan, RunResult
from inplace.engine.planning.plan_builder import View
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.engine.workloads.sequence import Perform
from inplace.model.run import TERMINAL_OUTCOMES, Run

FINISHING = "finish/"
"""What the timers of an end are called."""


def finish_if_quiet(view: View, finished: RunResult) -> Plan | Run:
    """Reopens what can be reopened first, and takes a commit back that is not to be finished. Of what cannot be done, nothing
    is waited for once `PATIENCE_SECONDS` have brought no progress: it is left, and named. A Run: look again with that."""
    last = view.plan(())
    rest = sum(not isinstance(action, ListSlices) for action in last.actions) + len(view.observed.keys_in_progress)
    if (rest or view.observed.closing) and not view.clocks.expired(f"{FINISHING}{rest}", DEFAULT_WAIT_SECONDS):
        return view.plan(())
    is_early = finished.outcome not in TERMINAL_OUTCOMES and not finished.by_others
    if is_early and strategy_for(view.observed).may_uncommit(view.run):
        return give_commit_up(view.run, finished.message)
    withdrawing = _withdraw(view, finished)
    if withdrawing is None:
        return end(view, finished)
    taken = carry_on(view, "finish", withdrawing)
    return (
        taken
        if isinstance(taken, Plan)
        else end(view, msgspec.structs.replace(finished, message=f"{finished.message}; {taken}"))
    )


def give_commit_up(run: Run, why: str) -> Run:
    assert run.commit is not None
    return msgspec.structs.replace(run, commit=msgspec.structs.replace(run.commit, undo_reason=why))


def end(view: View, finished: RunResult) -> Plan:
    """At once."""
    last = view.plan(())
    if strategy_for(view.observed).is_left_paused(view.run):
        message = f"{finished.message}; {view.run.target} is left paused, so that nothing can be rolled out"
        finished = msgspec.structs.replace(finished, message=message)
    return msgspec.structs.replace(finish(view.run, finished), pods=last.pods, progress=last.progress)


def finish(run: Run, finished: RunResult) -> Plan:
    # What somebody else has had a hand in is not to be finished as it was begun.
    commit = None if finished.by_others else run.commit
    ended = msgspec.structs.replace(run, commit=commit, outcome=finished.outcome, message=finished.message)
    return Plan(run=ended, finished=finished)


def _withdraw(view: View, finished: RunResult) -> Perform | None:
    if finished.by_others:
        return yield_to_owner(view.observed, view.run)
    if finished.outcome in TERMINAL_OUTCOMES or view.observed.unreadable:
        return None
    return strategy_for(view.observed).withdraw(view.run)
