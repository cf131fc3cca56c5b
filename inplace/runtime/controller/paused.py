"""Decides, without a write, what becomes of a paused run: a command or an edit of the rollout continues it, or it stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from inplace.engine.planning.steps import is_paused_by_steps
from inplace.engine.runs import lifecycle
from inplace.engine.runs.rollouts import apply_edits
from inplace.engine.runs.spec_paused import RELEASE_FIRST, is_allowed_while_paused, is_paused_by_spec, is_paused_by_user
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, RunCommand
from inplace.runtime.controller.states import Paused


class ContinueRun(msgspec.Struct, frozen=True):
    """Drive the run again. `why`: the command, or the edit, that continues it."""

    run: Run
    why: str


class StayPaused(msgspec.Struct, frozen=True):
    """The run stays paused, as an edit or a `pause` has left it."""

    run: Run


def decide_paused(
    paused: Paused,
    rollout: InPlaceRollout,
    command: RunCommand | None,
    by: str,
    *,
    was_spec_paused: bool | None,
    warn: Callable[[str], None],
) -> ContinueRun | StayPaused:
    """Decide on `command`, given by `by`. `was_spec_paused`: `spec.paused` before an edit; None if there was no edit.

    `warn` gets the reason why a command is not obeyed. A command goes before an edit; `spec.paused` goes before all but `abort`
    and `pause`.
    """
    run = paused.run
    if was_spec_paused is not None:
        with suppress(ValueError):
            run = apply_edits(run, rollout)
        is_unpaused = was_spec_paused and not rollout.spec.paused and not is_paused_by_user(run)
        has_other_steps = run.options.steps != paused.run.options.steps and is_paused_by_steps(run.message)
        if command is None and (is_unpaused or has_other_steps) and not is_paused_by_spec(rollout, run):
            # If the edited steps still have this pause, the run pauses there again.
            return ContinueRun(lifecycle.reopen(run), "an edit")
    if command is not None and not is_allowed_while_paused(command) and is_paused_by_spec(rollout, run):
        warn(f"asked to {command}, but {RELEASE_FIRST}")
        return StayPaused(run)
    if command == "pause" and not is_paused_by_user(run) and is_paused_by_spec(rollout, run):
        return StayPaused(msgspec.structs.replace(run, message=f"paused {lifecycle.format_requester(by)}"))
    match command:
        case "abort":
            return ContinueRun(lifecycle.abort_orphaned(run, paused.view.snapshot(), by).run, command)
        case "resume" | "promote":
            return ContinueRun(lifecycle.resume(run, paused.view.snapshot()).run, command)
        case "pause" | None:
            return StayPaused(run)
