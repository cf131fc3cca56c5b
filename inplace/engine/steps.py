"""The user's steps: the only barriers. Between them a slot is refilled the moment it frees."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inplace.engine.clocks import Clocks
from inplace.engine.stages import Judged
from inplace.model.quantity import format_duration, share_of
from inplace.model.run import Pause, Run, Share, Step

_WAITS = "waiting at step "
_WAITED = "paused by its steps"
"""What an earlier version of us has stored instead."""


class UpTo(msgspec.Struct, frozen=True):
    """Work until so many pods are updated."""

    target: int


class Barrier(msgspec.Struct, frozen=True):
    """Start nothing. `steps_passed` beyond the run's: a step is over, store that and look again."""

    steps_passed: int
    reason: str = ""
    manual: bool = False
    until: float | None = None
    """When it is over by itself."""


def position(run: Run, judged: Iterable[Judged], failed: frozenset[str], desired: int, clocks: Clocks) -> UpTo | Barrier:
    if run.rolling_back or steps_behind(run) >= len(run.options.steps):
        return UpTo(desired)
    here, step = run.steps_passed, run.options.steps[run.steps_passed]
    match step:
        case Share(amount=amount):
            target = target_of(amount, desired)
            updated = sum(j.stage == "Updated" and j.uid not in failed for j in judged)
            last = here == len(run.options.steps) - 1
            return Barrier(here + 1) if updated >= target and not last else UpTo(target)
        case Pause(seconds=None):
            return Barrier(here, _waiting_for_promote(run), manual=True)
        case Pause(seconds=float() as seconds):
            timer = f"pause/{here}"
            if clocks.expired(timer, seconds):
                return Barrier(here + 1)
            return Barrier(here, f"pausing for {format_duration(seconds)}", until=clocks.since(timer) + seconds)
        case _:
            return UpTo(desired)


def _waiting_for_promote(run: Run) -> str:
    return f"{_WAITS}{run.steps_passed + 1} of {len(run.options.steps)} for `inplace promote`"


def waits_at(run: Run) -> str:
    """The pause of its steps at which it stands, in words."""
    step = run.options.steps[run.steps_passed]
    if isinstance(step, Pause) and step.seconds is not None:
        return f"{name_of(step)} at step {run.steps_passed + 1} of {len(run.options.steps)} goes on meanwhile"
    return _waiting_for_promote(run)


def is_paused_by_steps(message: str) -> bool:
    """Tells a run that waits at a pause of its steps from one that was paused by a person."""
    return message.startswith((_WAITS, _WAITED))


def target_of(amount: int | str, desired: int) -> int:
    return min(desired, amount) if isinstance(amount, int) else share_of(int(amount[:-1]), desired)


def steps_behind(run: Run) -> int:
    """How many steps lie behind. The last one ends with the pods: what is committed then belongs to none."""
    return len(run.options.steps) if run.commit is not None or run.outcome == "Succeeded" else run.steps_passed


def describe(run: Run) -> str:
    """`step 2 of 4: up to 50%`; empty for a run of one step, and for one that is in none."""
    steps, here = run.options.steps, steps_behind(run)
    if len(steps) == 1 or run.rolling_back or here >= len(steps):
        return ""
    return f"step {here + 1} of {len(steps)}: {name_of(steps[here])}"


def name_of(step: Step) -> str:
    match step:
        case Share(amount=amount):
            return f"up to {amount}"
        case Pause(seconds=None):
            return "pause"
        case Pause(seconds=seconds):
            return f"pause {format_duration(seconds or 0.0)}"
