"""The live table, drawn onto paper."""

import io
from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from rich.console import Console, Group
from syrupy.assertion import SnapshotAssertion

from inplace.cli.output.pod_table import PodTable
from inplace.cli.output.streams import is_terminal
from inplace.cli.progress.forecast import Ahead
from inplace.cli.progress.live import header
from inplace.engine.planning.plan import PodProgress
from inplace.model.refs import TargetRef
from inplace.model.run import RunOptions, parse_steps
from inplace.runtime.observability.frames import Frame
from tests.builders import in_service, observed, pod, run
from tests.cli.frames import frame, view

WEB = TargetRef("Deployment", "shop", "web")


def drawn(
    frames: Sequence[Frame], now: float, width: int, height: int, *, colour: bool = False, ahead: Ahead | None = None
) -> str:
    """`height`: that of the pods' rows."""
    paper = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=paper, width=width, force_terminal=colour, color_system=system, markup=False, highlight=False)
    table = PodTable()
    for each in frames[:-1]:
        list(table.draw(each, each.now, width, height))
    console.print(Group(*header(WEB, frames[-1], now, ahead, width, now), *table.draw(frames[-1], now, width, height)))
    return paper.getvalue()


def some() -> Frame:
    pods = (
        view("web-6fdffbcf87-9wzgf", "Restarting", "waiting for app to be restarted", "registry.example.com:5000/shop/app:1.5"),
        view("web-6fdffbcf87-hbzfg", "Updated", "", "registry.example.com:5000/shop/app:1.5", "node-2"),
        view("web-6fdffbcf87-mhvf7", "Failed", "ImagePullBackOff: no such image", "registry.example.com:5000/shop/app:1.5"),
        view("web-6fdffbcf87-pq8l6", "Pending", "", "registry.example.com:5000/shop/app:1.4"),
    )
    return frame(
        100,
        *pods,
        step="step 1 of 3: up to 50%",
        waiting="waiting for PodDisruptionBudget web",
        since={pods[0].uid: 97.4},
        failed=1,
        run=run(RunOptions(steps=parse_steps("50%,pause:10m,75%,pause,100%")), steps_passed=1),
    )


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 17), (160, 43)])
def test_the_table(snapshot: SnapshotAssertion, width: int, height: int) -> None:
    text = drawn([some()], 101.0, width, height, ahead=Ahead(272.0, to_pause=True))
    assert all(len(line) <= width for line in text.splitlines())
    assert text == snapshot


def test_seconds_tick_between_frames() -> None:
    at = [drawn([some()], now, 80, 17) for now in (100.0, 105.0)]
    assert " 3  app:1.5" in at[0]
    assert " 8  app:1.5" in at[1]


def many(flying: range, updated: range) -> Frame:
    def one(i: int) -> PodProgress:
        stage = "Settling" if i in flying else "Updated" if i in updated else "Pending"
        return view(f"web-{i:03}", stage)  # type: ignore[arg-type]

    return frame(float(flying.stop), *(one(i) for i in range(100)))


def test_of_many_pods_those_in_flight_and_the_most_recent_are_shown() -> None:
    frames = [many(range(i, i + 4), range(i)) for i in range(0, 60, 4)]
    lines = drawn(frames, 100, 80, 11).splitlines()
    names = [line.split()[0] for line in lines if line.startswith("web-")]
    assert names == [f"web-{i:03}" for i in (56, 57, 58, 59, 52, 53, 54, 55, 48)]
    assert lines[-1] == "and 91 more pods: 51 Updated, 40 Pending"


def test_hostile_text_is_neither_obeyed_nor_taken_for_markup() -> None:
    text = drawn([frame(0, view("web-a", "Closing", "[red]x[/]\x1b]52;c;eA==\x07", "a\u202eb"))], 0, 120, 10)
    assert r"[red]x[/]\x1b]52;c;eA==\x07" in text
    assert "\\u202e" in text


def test_colour_only_repeats_what_words_say() -> None:
    coloured = drawn([some()], 101, 80, 17, colour=True)
    assert "\x1b[" in coloured
    assert "Failed" in coloured
    assert "\x1b" not in drawn([some()], 101, 80, 17)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "CI": "true"}, False), ({}, False)],
    ids=str,
)
def test_when_a_table_can_be_drawn(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], wanted: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("TERM", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert is_terminal(Terminal()) is wanted
    assert not is_terminal(io.StringIO())


def test_the_title_says_that_nothing_is_drained() -> None:
    pods = [in_service(pod(f"web-{i}", gates=())) for i in range(2)]
    plain = msgspec.structs.replace(frame(100), snapshot=observed(*pods))
    ungated = msgspec.structs.replace(plain, plan=msgspec.structs.replace(plain.plan, run=run(RunOptions(without_gate=True))))
    wanted = "deploy/web in shop to app=repo/app:2, 2 pods without a gate, not drained"
    assert drawn([ungated], 0, 120, 10).splitlines()[0] == wanted
    assert "drain" not in drawn([plain], 0, 120, 10)
