"""The user's steps: the only barriers. Between them a slot is refilled the moment it frees."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inplace.engine.pods.stages import PodAssessment
from inplace.engine.timers import Timers
from inplace.model.durations import format_duration
from inplace.model.int_or_percent import scaled_ceil
from inplace.model.run import PauseStep, PodsStep, Run, Step

_WAITS = "waiting at step "
_WAITED = "paused by its steps"
"""What an earlier version stored instead."""


class UpTo(msgspec.Struct, frozen=True):
    """Work until this many pods are updated."""

    pods: int


class Barrier(msgspec.Struct, frozen=True):
    """Start nothing. `steps_passed` beyond the run's: a step is over, and the run changes."""

    steps_passed: int
    reason: str = ""
    is_manual: bool = False
    until: float | None = None
    """Monotonic instant at which it is over by itself; None: not by itself."""


def current_step(
    run: Run, assessments: Iterable[PodAssessment], failed: frozenset[str], desired: int, timers: Timers
) -> UpTo | Barrier:
    if run.rolling_back or steps_behind(run) >= len(run.options.steps):
        return UpTo(desired)
    here, step = run.steps_passed, run.options.steps[run.steps_passed]
    match step:
        case PodsStep(amount=amount):
            target = pods_for_step(amount, desired)
            updated = sum(a.stage == "Updated" and a.uid not in failed for a in assessments)
            last = here == len(run.options.steps) - 1
            return Barrier(here + 1) if updated >= target and not last else UpTo(target)
        case PauseStep(seconds=None):
            return Barrier(here, _waiting_for_promote(run), is_manual=True)
        case PauseStep(seconds=float() as seconds):
            timer = f"pause/{here}"
            if timers.expired(timer, seconds):
                return Barrier(here + 1)
            return Barrier(here, f"pausing for {format_duration(seconds)}", until=timers.started_at(timer) + seconds)
        case _:
            return UpTo(desired)


def _waiting_for_promote(run: Run) -> str:
    return f"{_WAITS}{run.steps_passed + 1} of {len(run.options.steps)} for `inplace promote`"


def waits_at(run: Run) -> str:
    """Says at which pause of its steps the run stands."""
    step = run.options.steps[run.steps_passed]
    if isinstance(step, PauseStep) and step.seconds is not None:
        return f"{step_label(step)} at step {run.steps_passed + 1} of {len(run.options.steps)} goes on meanwhile"
    return _waiting_for_promote(run)


def is_paused_by_steps(message: str) -> bool:
    """Whether the run waits at a pause of its steps; else a person paused it."""
    return message.startswith((_WAITS, _WAITED))


def pods_for_step(amount: int | str, desired: int) -> int:
    return min(desired, amount) if isinstance(amount, int) else scaled_ceil(int(amount[:-1]), desired)


def steps_behind(run: Run) -> int:
    """How many steps are over. The last one ends with the pods; the commit after them belongs to no step."""
    return len(run.options.steps) if run.commit is not None or run.outcome == "Succeeded" else run.steps_passed


def describe(run: Run) -> str:
    """`step 2 of 4: up to 50%`; empty for a run of one step, and for one that is between or after its steps."""
    steps, here = run.options.steps, steps_behind(run)
    if len(steps) == 1 or run.rolling_back or here >= len(steps):
        return ""
    return f"step {here + 1} of {len(steps)}: {step_label(steps[here])}"


def step_label(step: Step) -> str:
    match step:
        case PodsStep(amount=amount):
            return f"up to {amount}"
        case PauseStep(seconds=None):
            return "pause"
        case PauseStep(seconds=seconds):
            return f"pause {format_duration(seconds or 0.0)}"
