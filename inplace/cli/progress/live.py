"""Draws the live view on a terminal: the run's progress, its steps, the time it takes, and its pods.

Redraws four times a second, so that seconds tick. The driver only hands over its last frame, and everything else happens on the
drawing thread, so that a slow terminal delays nothing. Words carry the meaning, colour only repeats it. Pod names and reasons
are drawn as plain text, never as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import IO

from rich.console import Group, RenderableType
from rich.text import Text

from inplace.cli.output import streams
from inplace.cli.output.pod_table import PodTable, line_of
from inplace.cli.output.screen import Screen
from inplace.cli.output.tables import STYLES
from inplace.cli.output.text import counts_text, images_text, plural
from inplace.cli.progress.forecast import Ahead, Forecast
from inplace.engine.planning.plan import Progress, within
from inplace.engine.planning.steps import step_label, steps_behind
from inplace.engine.preflight.advisories import count_ungated
from inplace.engine.status.run_state import with_message
from inplace.kube.protocols import Clock
from inplace.model.durations import format_duration
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.observability.frames import Frame

BAR_WIDTH = 40


class LiveView:
    """Draws from the first frame on, and erases itself in the end. `clock` is the clock of the frames."""

    def __init__(self, target: TargetRef, stream: IO[str], clock: Clock, footer: Callable[[], str] = lambda: "") -> None:
        self._target = target
        self._clock = clock
        self._footer = footer
        self._table = PodTable()
        self._forecast = Forecast()
        self._frame: Frame | None = None
        self._drawn: Frame | None = None
        self._began_at = clock.monotonic()
        self._screen = Screen(stream, self._draw)

    def note(self, line: str) -> None:
        if sys.stderr.isatty():
            self._screen.note(line)
        else:
            streams.note(line)

    def update(self, frame: Frame) -> None:
        self._frame = frame
        self._screen.start()

    def close(self) -> None:
        self._screen.stop()

    def _draw(self, width: int, height: int) -> RenderableType:
        frame = self._frame
        if frame is None:
            return Text("")
        if frame is not self._drawn:
            self._drawn = frame
            self._forecast.update(frame)
        now = max(frame.now, self._clock.monotonic())
        seconds = elapsed_seconds(frame.plan.run, self._clock.utcnow(), now - self._began_at)
        head = list(header(self._target, frame, seconds, self._forecast.ahead(frame, now), width, now))
        foot = [line_of(text, "dim") for text in (self._footer(),) if text]
        return Group(*head, *self._table.draw(frame, now, width, height - len(head) - len(foot)), *foot)


def header(
    target: TargetRef, frame: Frame, seconds: float, ahead: Ahead | None, width: int, now: float
) -> Iterator[RenderableType]:
    """Yields one row each: the target, the counts, the bar, the steps, and what the whole run waits for."""
    progress, run = frame.plan.progress, frame.plan.run
    yield line_of(_title(target, frame), "bold")
    yield _counts(progress, run)
    yield _bar(progress, run, _times(seconds, ahead), width)
    if len(run.options.steps) > 1 and not run.rolling_back:
        yield steps_line(run, width)
    if run.outcome is not None:
        yield line_of(with_message(run.outcome, run.message), STYLES.get(run.outcome, ""))
    elif progress.waiting:
        left = progress.until - now if progress.until is not None else None
        yield line_of(within(progress.waiting, 0.0, None, left))
    if frame.trouble:
        yield line_of(f"trouble: {frame.trouble}", "bold yellow")


def _title(target: TargetRef, frame: Frame) -> str:
    run = frame.plan.run
    direction = "back to " if run.rolling_back else "to "
    title = f"{target} in {target.namespace} {direction}{images_text(run.images)}"
    if count := count_ungated(frame.snapshot.pods, run):
        title += f", {plural(count, 'pod')} without a gate, not drained"
    return title


def _counts(progress: Progress, run: Run) -> Text:
    line = line_of(totals(progress, run))
    line.highlight_words([f"{progress.failed} failed"], STYLES["Failed"])
    return line


def totals(progress: Progress, run: Run) -> str:
    done = "back" if run.rolling_back else "updated"
    waiting = f" ({progress.unscheduled} waiting for a node)" if progress.unscheduled else ""
    arrived = f"{progress.arrived} of {plural(progress.desired, 'pod')} {done}{waiting}"
    return counts_text(arrived, progress.in_flight, progress.failed, progress.unavailable)


def _bar(progress: Progress, run: Run, times: str, width: int) -> Text:
    """Draws what is done in heavy lines, so that the bar is readable without colours."""
    style = "yellow" if run.outcome is not None or run.rolling_back else "green"
    total = max(1, progress.desired)
    share = f"{100 * progress.arrived // total}%"
    room = min(BAR_WIDTH, width - len(share) - len(times) - 4)
    line = Text(no_wrap=True, overflow="ellipsis")
    if room >= 5:
        done = min(room, room * progress.arrived // total)
        failed = min(room - done, -(-room * progress.failed // total))
        line.append("━" * done, style).append("━" * failed, STYLES["Failed"])
        line.append("─" * (room - done - failed), "dim").append("  ")
    return line.append(f"{share}  {times}")


def _times(seconds: float, ahead: Ahead | None) -> str:
    text = f"{format_duration(round(seconds))} elapsed"
    if ahead is None:
        return text
    left = format_duration(max(1, round(ahead.seconds)))
    return f"{text}, about {left} {'to the next pause' if ahead.to_pause else 'left'}"


def steps_line(run: Run, width: int) -> Text:
    """Draws all steps and marks the current one; if they do not fit into the row, the steps around it."""
    current = min(run.steps_passed, len(run.options.steps) - 1)
    parts = [_step(run, number) for number in range(len(run.options.steps))]
    line = Text(f"step {current + 1} of {len(parts)}:", no_wrap=True, overflow="ellipsis")
    first = current
    while first and sum(part.cell_len + 2 for part in parts[first - 1 : current + 2]) + line.cell_len + 2 < width:
        first -= 1
    if first:
        line.append("  …", "dim")
    for part in parts[first:]:
        line.append("  ").append_text(part)
    return line


def _step(run: Run, number: int) -> Text:
    name = step_label(run.options.steps[number]).removeprefix("up to ")
    if number < steps_behind(run):
        return Text(f"✓ {name}", "green")
    if number == run.steps_passed:
        return Text(f"▶ {name}", "bold yellow" if run.outcome == "Paused" else "bold cyan")
    return Text(f"· {name}", "dim")


def elapsed_seconds(run: Run, now: datetime, otherwise: float) -> float:
    """Returns the seconds since the run began, or `otherwise` if its start time cannot be parsed."""
    with suppress(ValueError):
        return max(0.0, (now - datetime.fromisoformat(run.started_at)).total_seconds())
    return otherwise
