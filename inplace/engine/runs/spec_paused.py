"""Applies `spec.paused` of an InPlaceRollout: while it is true no more pods are started, by any command; only the spec ends it.

`abort` is still allowed, so that a user need not let the run continue before going back, and an aborted run is not stopped by
it. A rollback caused by a failure is. A run may be paused for several reasons at once: each ends separately, and all are named.
"""

from __future__ import annotations

from inplace.engine.planning.steps import is_paused_by_steps, waits_at
from inplace.engine.runs.lifecycle import is_at_pause_step
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, RunCommand, StopRequest

_PAUSED_MESSAGE = "paused by spec.paused"
PAUSED_BY_SPEC = StopRequest("Paused", _PAUSED_MESSAGE)
RELEASE_FIRST = "spec.paused is true: set it to false first, or `inplace abort`"


def is_paused_by_spec(rollout: InPlaceRollout, run: Run) -> bool:
    return rollout.spec.paused and run.rollback_reason != "Abort"


def is_allowed_while_paused(verb: RunCommand) -> bool:
    """Whether the command is accepted while `spec.paused` is true. `pause` is, since it requests nothing new."""
    return verb in ("abort", "pause")


def is_paused_by_user(run: Run) -> bool:
    by_itself = is_paused_by_steps(run.message) or run.message.startswith(_PAUSED_MESSAGE)
    return run.outcome == "Paused" and bool(run.message) and not by_itself


def paused_reasons(rollout: InPlaceRollout, run: Run) -> str:
    """Returns all reasons for which a run is paused."""
    reasons = ["spec.paused is true"] if is_paused_by_spec(rollout, run) else []
    if is_at_pause_step(run) and not run.rolling_back:
        reasons.append(waits_at(run))
    if is_paused_by_user(run) or not reasons:
        reasons.append(run.message)
    return "; ".join(reasons)
