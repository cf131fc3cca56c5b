"""Describes the state of a run in a word and in a line, the same for every command that shows it.

The state of an unfinished run depends on whether its holder is alive; that of a finished one, on whether a later rollout has
changed its workload.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from inplace.engine.planning.steps import step_label, steps_behind
from inplace.engine.status.estimate import CurrentTime
from inplace.engine.workloads.identity import edited_since
from inplace.engine.workloads.templates import images_of
from inplace.model.images import accepts
from inplace.model.run import TERMINAL_OUTCOMES, Outcome, PauseStep, Run

RunState = Literal[Outcome, "Running", "BrokenOff", "Superseded"]
"""`BrokenOff`: the run has not ended, and nothing drives it. `Superseded`: it has ended, and a later rollout changed its
result."""
OUTCOME_WORDS: Mapping[str, str] = {"RolledBack": "rolled back", "TimedOut": "timed out"}
"""How a message begins that only repeats the outcome, if that differs from the outcome in lower case."""
DAY_SECONDS = 86400


class StepView(msgspec.Struct, frozen=True, rename="camel"):
    """A step of a run. `left_seconds`: what is left of a timed pause that the run is at."""

    name: str
    state: Literal["done", "here", "ahead"]
    left_seconds: float | None = None


def run_state(run: Run, *, is_held: bool, is_alive: bool, superseded: str) -> RunState:
    if run.outcome is None or (is_held and not is_alive):
        return "Running" if is_held and is_alive else "BrokenOff"
    return "Superseded" if superseded else run.outcome


def describe_run_state(run: Run, standing: RunState, superseded: str, at: CurrentTime) -> str:
    """Formats the state of a run, like `Aborted by jane at 02:11 UTC`."""
    match standing:
        case "Running":
            back = f"rolling back ({run.message})" if run.rolling_back and run.message else ""
            return f"Running: {back}" if back else "Running"
        case "BrokenOff":
            why = f" ({run.message})" if run.message else ""
            return f"BrokenOff{why}: nobody drives it now"
        case "Superseded":
            assert run.outcome is not None
            return f"{_ended(run, run.outcome, at)}; superseded since: {superseded}"
        case _:
            return _ended(run, standing, at)


def with_message(outcome: str, message: str) -> str:
    """Formats outcome and message, like `Aborted by jane` or `Failed: pod/a is lost`, without repeating the outcome."""
    return f"{outcome}{_rest(outcome, message)}"


def _rest(outcome: str, message: str) -> str:
    said = OUTCOME_WORDS.get(outcome, outcome.lower())
    if said and message.startswith(said):
        return message.removeprefix(said)
    return f": {message}" if message else ""


def _ended(run: Run, outcome: Outcome, at: CurrentTime) -> str:
    rest, when = _rest(outcome, run.message), _when(run.ended_at, at)
    if outcome == "Paused":
        since = f" (since {when.removeprefix('at ')})" if when else ""
        return f"{outcome}{rest}{since}"
    then = f" {when}" if when else ""
    return f"{outcome}{rest}{then}" if rest.startswith((" by ", " on ")) else f"{outcome}{then}{rest}"


def _when(ended_at: str, at: CurrentTime) -> str:
    """Formats when the run ended, with the date if that is a day ago. Stored times are UTC, like `2026-02-28T02:11:05Z`."""
    passed = at.seconds_since(ended_at)
    if passed is None or not ended_at.endswith("Z"):
        return ""
    clock = f"at {ended_at[11:16]} UTC"
    return clock if passed < DAY_SECONDS else f"on {ended_at[:10]} {clock}"


def step_views(run: Run, at: CurrentTime) -> tuple[StepView, ...]:
    """Returns all steps and the current position; none if the run has a single step."""
    steps = run.options.steps
    if len(steps) == 1:
        return ()
    behind = steps_behind(run)
    views = []
    for number, step in enumerate(steps):
        state: Literal["done", "here", "ahead"] = "done" if number < behind else "here" if number == behind else "ahead"
        left = None
        if state == "here" and isinstance(step, PauseStep) and step.seconds is not None and run.outcome is None:
            since = at.monotonic(run.waits.get(f"pause/{number}"))
            left = step.seconds if since is None else max(0.0, since + step.seconds - at.now)
        views.append(StepView(step_label(step), "ahead" if run.rolling_back and state == "here" else state, left))
    return tuple(views)


def superseded_reason(run: Run, template: Mapping[str, Any] | None) -> str:
    """Says how a later rollout changed the result of a finished run; empty if none did, or if that is unknown."""
    if run.outcome not in TERMINAL_OUTCOMES or template is None:
        return ""
    have = images_of(template)
    left = (run.images, *((run.requested_images, *run.superseded_images) if run.keeps_template else ()))
    for name in sorted(run.images):
        image, meant = have.get(name, ""), {images.get(name, "") for images in left}
        if image not in meant and not any(accepts(one, image) for one in meant if one):
            return f"its template says {name}={image or 'nothing'} now"
    return "its template was edited, and its pods recreated" if edited_since(template, run) else ""
