"""`spec.paused` of an InPlaceRollout is a brake: while it is true no more pods are started, whoever asks; the spec releases it.

One verb passes it: `abort`, which takes no pod further. Whoever wants to go back need not let the run go on for that first, and
a run that a person takes back is not stopped by it. A rollback that a failure brought about is.
A run may stand for several reasons at once; each is released by itself, and all are named.
"""

from __future__ import annotations

from inplace.engine.planning.steps import is_paused_by_steps, waits_at
from inplace.engine.runs.lifecycle import is_at_pause_step
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, RunCommand, StopRequest

_BRAKED = "paused by spec.paused"
PAUSED_BY_SPEC = StopRequest("Paused", _BRAKED)
RELEASE_FIRST = "spec.paused is true: set it to false first, or `inplace abort`"


def is_paused_by_spec(rollout: InPlaceRollout, run: Run) -> bool:
    return rollout.spec.paused and run.rollback_reason != "Abort"


def is_allowed_while_paused(verb: RunCommand) -> bool:
    """`pause` asks for no more than the brake does."""
    return verb in ("abort", "pause")


def is_paused_by_user(run: Run) -> bool:
    by_itself = is_paused_by_steps(run.message) or run.message.startswith(_BRAKED)
    return run.outcome == "Paused" and bool(run.message) and not by_itself


def paused_reasons(rollout: InPlaceRollout, run: Run) -> str:
    """Every reason that holds a run which stands."""
    reasons = ["spec.paused is true"] if is_paused_by_spec(rollout, run) else []
    if is_at_pause_step(run) and not run.rolling_back:
        reasons.append(waits_at(run))
    if is_paused_by_user(run) or not reasons:
        reasons.append(run.message)
    return "; ".join(reasons)
