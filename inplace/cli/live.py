"""The live table on a terminal: what is in flight, why, and for how long; redrawn four times a second, so that seconds tick.

The driver only hands over its last frame; everything else happens on the drawing thread, so that a slow terminal holds up
nothing. Words carry the meaning, colour only repeats it. Nothing here is markup: pod names and reasons are text.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from inplace.cli import out
from inplace.cli.text import cut, images_text, plural, safe
from inplace.engine.cautions import gateless
from inplace.engine.plan import PodView, Progress, within
from inplace.engine.stages import IN_FLIGHT
from inplace.model.names import TargetRef
from inplace.model.quantity import format_duration
from inplace.runtime.driver import Frame

STYLES = {"Updated": "green", "Failed": "bold red", "Released": "yellow", "Pending": "dim", "Gone": "dim"}
WIDE = 110
"""From this width on, nodes and longer names are shown."""
HEADER_ROWS = 7
HEAD = ("POD", "NODE", "STAGE", "SECONDS", "IMAGE", "REASON")
LEAST = (0, 0, len("Restarting"), 0, 0, 0)


class LiveView:
    """Draws from the first frame on, and leaves nothing behind: the summary tells the end."""

    def __init__(self, target: TargetRef, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._now = now
        self._console = Console(file=stream, markup=False, highlight=False, emoji=False)
        self._table = PodTable()
        self._frame: Frame | None = None
        self._began_at = now()
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def note(self, line: str) -> None:
        if sys.stderr.isatty():
            self._console.print(Text(safe(line)))
        else:
            out.note(line)

    def saw(self, frame: Frame) -> None:
        is_first = self._frame is None
        self._frame = frame
        if is_first:
            self._live.start()

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> RenderableType:
        frame = self._frame
        if frame is None:
            return Text("")
        now = max(frame.now, self._now())
        head = header(self._target, frame, now - self._began_at)
        return Group(*head, self._table.draw(frame, now, self._console.width, self._console.height - HEADER_ROWS))


def header(target: TargetRef, frame: Frame, seconds: float) -> list[Text]:
    """At most four lines: what, how far, and what the whole run waits for."""
    plan = frame.plan
    direction = "back to " if plan.run.rolling_back else "to "
    title = f"{target} in {target.namespace} {direction}{images_text(plan.run.images)}"
    if count := gateless(frame.observed.pods, plan.run):
        title += f", {plural(count, 'pod')} without a gate and so without a drain"
    lines = [_line(title, "bold"), _line(f"{totals(plan.progress)}  {format_duration(round(seconds))}")]
    about = ": ".join(filter(None, (plan.progress.step, plan.progress.waiting)))
    lines.append(_line(about))
    if frame.trouble:
        lines.append(_line(f"trouble: {frame.trouble}", "bold yellow"))
    return lines


def totals(progress: Progress) -> str:
    waiting = f" ({progress.unscheduled} waiting for a node)" if progress.unscheduled else ""
    parts = [f"{progress.updated} of {plural(progress.desired, 'pod')} updated{waiting}", f"{progress.in_flight} in flight"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    return ", ".join([*parts, f"{progress.unavailable} unavailable"])


class PodTable:
    """Remembers when each pod's stage changed, so that the most recent stay in view."""

    def __init__(self) -> None:
        self._stages: dict[str, str] = {}
        self._changed_at: dict[str, float] = {}

    def draw(self, frame: Frame, now: float, width: int, height: int) -> RenderableType:
        pods = frame.plan.pods
        for pod in pods:
            if self._stages.get(pod.uid) != pod.stage:
                self._stages[pod.uid] = pod.stage
                self._changed_at[pod.uid] = frame.now
        shown = self._chosen(pods, max(3, height))
        lines = _rows(shown, frame, now, width)
        hidden = Counter(pod.stage for pod in pods) - Counter(pod.stage for pod in shown)
        if hidden:
            rest = ", ".join(f"{count} {stage}" for stage, count in hidden.most_common())
            lines.append(_line(f"and {plural(sum(hidden.values()), 'more pod')}: {rest}", "dim"))
        return Group(*lines)

    def _chosen(self, pods: Sequence[PodView], limit: int) -> list[PodView]:
        """All, by name, where they fit; else those in flight, the failed, and the most recent."""
        if len(pods) <= limit:
            return list(pods)
        return sorted(pods, key=self._rank)[: limit - 1]

    def _rank(self, pod: PodView) -> tuple[int, float, str]:
        match pod.stage:
            case stage if stage in IN_FLIGHT:
                return 0, 0.0, pod.name
            case "Failed" | "Released":
                return 1, 0.0, pod.name
            case "Updated" | "Gone":
                return 2, -self._changed_at[pod.uid], pod.name
            case _:
                return 3, 0.0, pod.name


def _rows(pods: Sequence[PodView], frame: Frame, now: float, width: int) -> list[Text]:
    """Columns as wide as they need, at least as wide as a stage may get, so that nothing jumps; the reason gets the rest."""
    is_wide = width >= WIDE
    cells = [HEAD, *(_cells(pod, frame, now, 40 if is_wide else 24) for pod in pods)]
    widths = [max(least, *(len(row[i]) for row in cells)) for i, least in enumerate(LEAST)]
    lines = []
    for i, row in enumerate(cells):
        name, node, stage, seconds, image, reason = (cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        style = "bold" if i == 0 else STYLES.get(row[2], "cyan")
        line = Text(f"{name}  ", style="bold" if i == 0 else "", no_wrap=True, overflow="ellipsis")
        if is_wide:
            line.append(f"{node}  ")
        line.append(stage, style=style)
        line.append(f"  {seconds.strip().rjust(widths[3])}  {image}  {reason.rstrip()}")
        lines.append(line)
    return lines


def _cells(pod: PodView, frame: Frame, now: float, name_width: int) -> tuple[str, ...]:
    since = frame.since.get(pod.uid)
    passed = max(0.0, now - since) if since is not None else None
    seconds = f"{passed:.0f}" if passed is not None else ""
    images = ", ".join(image.rsplit("/", 1)[-1] for image in pod.image.split(", "))
    name, node = cut(safe(pod.name), name_width), cut(safe(pod.node), 20)
    reason = safe(within(pod.reason, pod.at_most_seconds, passed))
    return (name, node, pod.stage, seconds, cut(safe(images), name_width - 10), reason)


def _line(text: str, style: str = "") -> Text:
    return Text(safe(text), style=style, no_wrap=True, overflow="ellipsis")
