"""Shows the classic rollout of the demo: its pods, with the traffic below them."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import IO, Any

from rich.console import Group, RenderableType
from rich.text import Text

from inplace.cli.demo.cluster import NEW, DemoCluster
from inplace.cli.output import streams
from inplace.cli.output.screen import Screen
from inplace.cli.output.text import cut, safe

HEAD = ("POD", "STATE", "SECONDS", "IMAGE", "IP")
STYLES = {"Ready": "green", "Terminating": "dim"}


class RolloutLive:
    """Draws old and new pods four times a second, and erases itself in the end."""

    def __init__(self, cluster: DemoCluster, app: str, pods: int, stream: IO[str], traffic: Callable[[], str]) -> None:
        self._cluster = cluster
        self._app = app
        self._pods = pods
        self._traffic = traffic
        self._screen = Screen(stream, self._draw)
        self._began_at = cluster.clock.monotonic()
        self._since: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> RolloutLive:
        self._screen.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._screen.stop()

    def refresh(self) -> None:
        """Does nothing: the screen redraws itself."""

    def _draw(self, _width: int, height: int) -> RenderableType:
        with self._cluster.served.pacer.turn():
            pods = self._cluster.pods(self._app)
        now = self._cluster.clock.monotonic()
        rows = [self._cells(pod, now) for pod in pods][: max(3, height - 3)]
        widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
        lines = [_line(f"{progress(pods, self._pods)}  {now - self._began_at:.0f}s", "bold")]
        for row in (HEAD, *rows):
            name, state, seconds, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            line = Text(f"{name}  ", style="bold" if row is HEAD else "", no_wrap=True, overflow="ellipsis")
            line.append(state, style="bold" if row is HEAD else STYLES.get(row[1], "cyan"))
            line.append(f"  {seconds.strip().rjust(widths[2])}  {'  '.join(rest).rstrip()}")
            lines.append(line)
        return Group(*lines, _line(self._traffic(), "dim"))

    def _cells(self, pod: dict[str, Any], now: float) -> tuple[str, ...]:
        meta, state = pod["metadata"], state_of(pod)
        if self._since.get(meta["uid"], ("", 0.0))[0] != state:
            self._since[meta["uid"]] = (state, now)
        image = image_of(pod).rpartition("/")[2]
        since = f"{now - self._since[meta['uid']][1]:.0f}"
        return cut(safe(meta["name"]), 24), state, since, image, pod["status"].get("podIP", "")


class RolloutLines:
    """Prints one line whenever the counts change."""

    def __init__(self, cluster: DemoCluster, app: str, pods: int, *, err: bool) -> None:
        self._cluster = cluster
        self._app = app
        self._pods = pods
        self._err = err
        self._printed = ""

    def refresh(self) -> None:
        with self._cluster.served.pacer.turn():
            text = progress(self._cluster.pods(self._app), self._pods)
        if text != self._printed:
            self._printed = text
            streams.lines([f"{self._cluster.clock.utcnow():%H:%M:%SZ}  {text}"], err=self._err)


def progress(pods: list[dict[str, Any]], desired: int) -> str:
    """Counts terminating pods as gone."""
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    new = sum(image_of(pod) == NEW for pod in alive)
    ready = sum(state_of(pod) == "Ready" for pod in alive)
    return f"{new} of {desired} pods are new, {ready} ready, {len(alive)} in total"


def state_of(pod: dict[str, Any]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
    return "Ready" if conditions.get("Ready") == "True" else "Starting"


def image_of(pod: dict[str, Any]) -> str:
    return str(next(c["image"] for c in pod["spec"]["containers"] if c["name"] == "app"))


def _line(text: str, style: str = "") -> Text:
    return Text(safe(text), style=style, no_wrap=True, overflow="ellipsis")
