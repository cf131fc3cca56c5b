"""How a run stands, in a word and in a line: the same for `status`, `list` and whoever else tells of it. Pure.

The word of a run that is stored without an end depends on whether its holder lives; that of one that has ended, on whether a
later rollout has had its workload since.
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
"""`BrokenOff`: it has not ended, and nobody drives it. `Superseded`: it has ended, and a later rollout changed what it left."""
OUTCOME_WORDS: Mapping[str, str] = {"RolledBack": "rolled back", "TimedOut": "timed out"}
"""How a message begins that only says the outcome again."""
DAY_SECONDS = 86400


class StepView(msgspec.Struct, frozen=True, rename="camel"):
    """`left_seconds`: of a timed pause that it stands at."""

    name: str
    state: Literal["done", "here", "ahead"]
    left_seconds: float | None = None


def run_state(run: Run, *, is_held: bool, is_alive: bool, superseded: str) -> RunState:
    if run.outcome is None or (is_held and not is_alive):
        return "Running" if is_held and is_alive else "BrokenOff"
    return "Superseded" if superseded else run.outcome


def describe_run_state(run: Run, standing: RunState, superseded: str, at: CurrentTime) -> str:
    """Such as `Aborted by jane at 02:11 UTC`."""
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
    """Such as `Aborted by jane`, and `Failed: pod/a is lost`: a message that begins with the outcome does not say it twice."""
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
    """With the date where that was not a moment ago. We write instants in UTC, such as `2026-02-28T02:11:05Z`."""
    passed = at.seconds_since(ended_at)
    if passed is None or not ended_at.endswith("Z"):
        return ""
    clock = f"at {ended_at[11:16]} UTC"
    return clock if passed < DAY_SECONDS else f"on {ended_at[:10]} {clock}"


def step_views(run: Run, at: CurrentTime) -> tuple[StepView, ...]:
    """All of them, and where it stands; none of a run of one step."""
    steps = run.options.steps
    if len(steps) == 1:
        return ()
    behind = steps_behind(run)
    found = []
    for number, step in enumerate(steps):
        state: Literal["done", "here", "ahead"] = "done" if number < behind else "here" if number == behind else "ahead"
        left = None
        if state == "here" and isinstance(step, PauseStep) and step.seconds is not None and run.outcome is None:
            since = at.monotonic(run.waits.get(f"pause/{number}"))
            left = step.seconds if since is None else max(0.0, since + step.seconds - at.now)
        found.append(StepView(step_label(step), "ahead" if run.rolling_back and state == "here" else state, left))
    return tuple(found)


def superseded_reason(run: Run, template: Mapping[str, Any] | None) -> str:
    """What a later rollout has made of the workload that a run has left; empty: nothing, or nobody knows."""
    if run.outcome not in TERMINAL_OUTCOMES or template is None:
        return ""
    have = images_of(template)
    left = (run.images, *((run.requested_images, *run.superseded_images) if run.keeps_template else ()))
    for name in sorted(run.images):
        image, meant = have.get(name, ""), {images.get(name, "") for images in left}
        if image not in meant and not any(accepts(one, image) for one in meant if one):
            return f"its template says {name}={image or 'nothing'} now"
    return "its template was edited, and its pods recreated" if edited_since(template, run) else ""
