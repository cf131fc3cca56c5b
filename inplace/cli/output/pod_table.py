"""Draws the pods of a run as rows. If there are too many, the pods in flight, the failed ones, and the most recent.

Work that grows with the number of pods is done once per frame that is drawn; between frames only the shown rows cost time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import nsmallest

from rich.text import Text

from inplace.cli.output.tables import STYLES
from inplace.cli.output.text import cut, plural, safe
from inplace.engine.planning.plan import PodProgress, within
from inplace.engine.pods.stages import IN_FLIGHT
from inplace.runtime.observability.frames import Frame

WIDE = 110
"""The width from which nodes and longer names are shown."""
NARROW = 70
"""The width below which images are not shown: the title has them."""
HEAD = ("POD", "NODE", "STAGE", "SECONDS", "IMAGE", "REASON")
LEAST = (0, 0, len("Restarting"), 0, 0, 0)


class PodTable:
    """Remembers when each pod's stage changed, so that the most recent pods stay in view."""

    def __init__(self) -> None:
        self._stages: dict[str, str] = {}
        self._changed_at: dict[str, float] = {}
        self._frame: Frame | None = None
        self._limit = 0
        self._shown: list[PodProgress] = []
        self._rest = ""

    def draw(self, frame: Frame, now: float, width: int, height: int) -> Iterator[Text]:
        """Yields at most `height` rows, but never fewer than three."""
        limit = max(3, height)
        if frame is not self._frame or limit != self._limit:
            self._frame, self._limit = frame, limit
            self._update(frame, limit)
        yield from _rows(self._shown, frame, now, width)
        if self._rest:
            yield line_of(self._rest, "dim")

    def _update(self, frame: Frame, limit: int) -> None:
        pods = frame.plan.pods
        for pod in pods:
            if self._stages.get(pod.uid) != pod.stage:
                self._stages[pod.uid] = pod.stage
                self._changed_at[pod.uid] = frame.now
        # One row is for the head, and one for the count of the pods that do not fit.
        fits = len(pods) < limit
        self._shown = list(pods) if fits else nsmallest(max(1, limit - 2), pods, key=self._rank)
        hidden = Counter(pod.stage for pod in pods) - Counter(pod.stage for pod in self._shown)
        rest = ", ".join(f"{count} {stage}" for stage, count in hidden.most_common())
        self._rest = f"and {plural(sum(hidden.values()), 'more pod')}: {rest}" if hidden else ""

    def _rank(self, pod: PodProgress) -> tuple[int, float, str]:
        match pod.stage:
            case stage if stage in IN_FLIGHT:
                return 0, 0.0, pod.name
            case "Failed" | "Released":
                return 1, 0.0, pod.name
            case "Updated" | "Restored" | "Gone":
                return 2, -self._changed_at[pod.uid], pod.name
            case _:
                return 3, 0.0, pod.name


def _rows(pods: Sequence[PodProgress], frame: Frame, now: float, width: int) -> Iterator[Text]:
    """Fits the columns to their cells, the stage to its longest word so that nothing jumps, and gives the reason the rest."""
    shown = [i for i, name in enumerate(HEAD) if (name != "NODE" or width >= WIDE) and (name != "IMAGE" or width >= NARROW)]
    cells = [HEAD, *(_cells(pod, frame, now, 40 if width >= WIDE else 24) for pod in pods)]
    widths = [max(least, *(len(row[i]) for row in cells)) for i, least in enumerate(LEAST)]
    for number, row in enumerate(cells):
        line = Text(no_wrap=True, overflow="ellipsis")
        for i in shown:
            style = "bold" if number == 0 else STYLES.get(row[i], "cyan") if HEAD[i] == "STAGE" else ""
            line.append(row[i].rjust(widths[i]) if HEAD[i] == "SECONDS" else row[i].ljust(widths[i]), style)
            line.append("  ")
        line.rstrip()
        yield line


def _cells(pod: PodProgress, frame: Frame, now: float, name_width: int) -> tuple[str, ...]:
    since = frame.since.get(pod.uid)
    passed = max(0.0, now - since) if since is not None else None
    seconds = f"{passed:.0f}" if passed is not None else ""
    images = ", ".join(image.rsplit("/", 1)[-1] for image in pod.image.split(", "))
    name, node = cut(safe(pod.name), name_width), cut(safe(pod.node), 20)
    left = pod.until - now if pod.until is not None else None
    reason = safe(within(pod.reason, pod.at_most_seconds, passed, left))
    return (name, node, pod.stage, seconds, cut(safe(images), name_width - 10), reason)


def line_of(text: str, style: str = "") -> Text:
    """Returns one row, cut at the end of the terminal."""
    return Text(safe(text), style=style, no_wrap=True, overflow="ellipsis")
