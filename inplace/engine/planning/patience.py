"""One notion of patience for every act and every wait of a sequence: a deadline, and an ear for a refusal that is final.

A deadline counts from when its step was met first, for as long as the sequence goes on: who undoes our act again and again, so
that it has to be done again and again, is not borne with for longer than who does nothing.
"""

from __future__ import annotations

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.plan_builder import View
from inplace.engine.planning.steps import describe
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.engine.workloads.sequence import Perform, WaitFor


def carry_on(view: View, sequence: str, step: Perform | WaitFor) -> Plan | str:
    """The plan that takes the step; or, in words, why it is given up."""
    begun = f"{sequence}/wait/"
    view.clocks.keep(begun)
    denial = view.observed.denials.get(step.action.intent) if isinstance(step, Perform) else None
    if denial is not None and denial.is_final:
        return f"the API server refuses: {denial.message} ({step.reason})"
    if view.clocks.expired(f"{begun}{step.reason}", DEFAULT_WAIT_SECONDS):
        said = f" (the API server refuses: {denial.message})" if denial is not None else ""
        return f"gave up after {DEFAULT_WAIT_SECONDS / 60:g} minutes: {step.reason}{said}"
    # A commit belongs to no step, nor does the end of one that nothing had to be stored for.
    at = describe(view.run) if sequence != "commit" else ""
    return view.plan([step.action] if isinstance(step, Perform) else (), step.reason, at)
