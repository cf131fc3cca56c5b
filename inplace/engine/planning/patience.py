"""Gives every step of a sequence the same patience: a deadline, and an end at once when a refusal is final.

The deadline of a step counts from when the step was first due, for as long as its sequence goes on: a step that somebody undoes
again and again has no more time than one that nobody carries out.
"""

from __future__ import annotations

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.plan_builder import PlanBuilder
from inplace.engine.planning.steps import describe
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.engine.workloads.sequence import Perform, WaitFor


def take_step(builder: PlanBuilder, sequence: str, step: Perform | WaitFor) -> Plan | str:
    """The plan that takes the step; or, in words, why it is given up."""
    prefix = f"{sequence}/wait/"
    builder.timers.keep(prefix)
    denial = builder.snapshot.denials.get(step.action.intent) if isinstance(step, Perform) else None
    if denial is not None and denial.is_final:
        return f"the API server refuses: {denial.message} ({step.reason})"
    if builder.timers.expired(f"{prefix}{step.reason}", DEFAULT_WAIT_SECONDS):
        refused = f" (the API server refuses: {denial.message})" if denial is not None else ""
        return f"gave up after {DEFAULT_WAIT_SECONDS / 60:g} minutes: {step.reason}{refused}"
    # A commit belongs to none of the user's steps.
    user_step = describe(builder.run) if sequence != "commit" else ""
    return builder.plan([step.action] if isinstance(step, Perform) else (), step.reason, user_step)
