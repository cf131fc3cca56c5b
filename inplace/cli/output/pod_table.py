"""The pods of a run as rows: of many those in flight, the failed, and the most recent.

What grows with the number of pods is done once for each new frame that is drawn; between frames only the rows cost anything.
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
"""From this width on, nodes and longer names are shown."""
NARROW = 70
"""Under this width images are not: the title has them."""
HEAD = ("POD", "NODE", "STAGE", "SECONDS", "IMAGE", "REASON")
LEAST = (0, 0, len("Restarting"), 0, 0, 0)


class PodTable:
    """Remembers when each pod's stage changed, so that the most recent stay in view."""

    def __init__(self) -> None:
        self._stages: dict[str, str] = {}
        self._changed_at: dict[str, float] = {}
        self._frame: Frame | None = None
        self._limit = 0
        self._shown: list[PodProgress] = []
        self._rest = ""

    def draw(self, frame: Frame, now: float, width: int, height: int) -> Iterator[Text]:
        """At most so many rows; never none."""
        limit = max(3, height)
        if frame is not self._frame or limit != self._limit:
            self._frame, self._limit = frame, limit
            self._take_in(frame, limit)
        yield from _rows(self._shown, frame, now, width)
        if self._rest:
            yield line_of(self._rest, "dim")

    def _take_in(self, frame: Frame, limit: int) -> None:
        pods = frame.plan.pods
        for pod in pods:
            if self._stages.get(pod.uid) != pod.stage:
                self._stages[pod.uid] = pod.stage
                self._changed_at[pod.uid] = frame.now
        # One row is the head's, and one is for the pods that do not fit.
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
    """Columns as wide as they need, at least as wide as a stage may get, so that nothing jumps; the reason gets the rest."""
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
    """One row, cut where the terminal ends."""
    return Text(safe(text), style=style, no_wrap=True, overflow="ellipsis")
