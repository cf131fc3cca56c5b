"""What a command means for a target that may have a run already.

The same images resume it; a pause made by hand is passed only by `resume`; other images: a half-done commit is finished
first, and then a new run adopts the old one's pods, whose records keep the first from-images and gate-before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from inplace.model.run import Options, Pause, Run

Verb = Literal["upgrade", "resume", "pause"]


class Begin(msgspec.Struct, frozen=True):
    """Drive this run. `resuming`: it was begun before."""

    run: Run
    resuming: bool


class FinishFirst(msgspec.Struct, frozen=True):
    """Finish this run's commit; then ask again."""

    run: Run


class StillPaused(msgspec.Struct, frozen=True):
    run: Run


class NothingToDo(msgspec.Struct, frozen=True):
    """A verb that needs an open run met none."""

    run: Run | None


Decision = Begin | FinishFirst | StillPaused | NothingToDo


def decide(stored: Run | None, asked: Run, given: Mapping[str, Any]) -> Decision:
    """For `upgrade`: `asked` is the run as a new one would be; `given` are the options that the person named now."""
    if stored is None or not stored.is_open or stored.target_uid != asked.target_uid:
        return Begin(asked, resuming=False)
    if stored.asked_images != asked.images:
        if stored.commit is not None:
            return FinishFirst(_again(stored, {}))
        first = {**asked.from_images, **{k: v for k, v in stored.from_images.items() if k in asked.images}}
        return Begin(msgspec.structs.replace(asked, from_images=first), resuming=True)
    if stored.outcome == "Paused":
        return StillPaused(stored)
    return Begin(_again(stored, given), resuming=True)


def resume(stored: Run | None) -> Decision:
    """For `resume` without a live holder: passes the pause that the run stands at."""
    if stored is None or not stored.is_open:
        return NothingToDo(stored)
    return Begin(_again(pass_pause(stored), {}), resuming=True)


def pass_pause(run: Run) -> Run:
    here = run.steps_passed
    at_pause = here < len(run.options.steps) and isinstance(run.options.steps[here], Pause)
    return msgspec.structs.replace(run, steps_passed=here + 1) if at_pause else run


def _again(run: Run, given: Mapping[str, Any]) -> Run:
    options: Options = msgspec.structs.replace(run.options, **given)
    # Other steps than before: those passed are found again from the pods, pauses made by hand are met again.
    steps_passed = run.steps_passed if options.steps == run.options.steps else 0
    return msgspec.structs.replace(
        run,
        options=options,
        steps_passed=steps_passed,
        failures=(),
        outcome=None,
        message="" if not run.rolling_back else run.message,
    )
