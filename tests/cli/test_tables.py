"""Tables on a terminal: as wide as it is, and coloured; elsewhere whole and plain."""

import io
from collections.abc import Callable
from typing import get_args

import pytest

from inplace.cli.output import tables
from inplace.cli.output.tables import STYLES, drawn, fitted
from inplace.cli.output.text import GATE_WORDS
from inplace.engine.pods.stages import Stage
from inplace.model.rollout import Phase
from inplace.model.run import Outcome

HEAD = ("POD", "NODE", "STAGE", "READY", "GATE", "IMAGES", "NOTE")
WHY = (
    "ImagePullBackOff: Back-off pulling image registry.example.com:5000/shop/app:1.5: not found; closed by upgrade 9ace6a550422"
)
ROWS = [
    ("web-6fdffbcf87-9wzgf", "node-1", "Failed", "no", "Closed", "app=registry.example.com:5000/shop/app:1.5", WHY),
    ("web-6fdffbcf87-hbzfg", "node-2", "Updated", "yes", "Open", "app=registry.example.com:5000/shop/app:1.5", ""),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def show(width: int, *, is_wide: bool = False, **environ: str) -> str:
        paper = Terminal()
        monkeypatch.setattr("sys.stdout", paper)
        for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(width), **environ}.items():
            monkeypatch.setenv(name, value)
        tables.show(HEAD, ROWS, is_wide=is_wide)
        return paper.getvalue()

    return show


@pytest.mark.parametrize("width", [140, 100, 80, 60])
def test_a_table_fits_the_terminal(width: int) -> None:
    lines = [text.plain for text in drawn([HEAD, *ROWS], width)]
    assert max(map(len, lines)) <= width
    assert all(row[0][-5:] in line and row[2] in line for row, line in zip(ROWS, lines[1:], strict=True))


def test_a_narrow_terminal_does_without_columns_before_names_cannot_be_told_apart() -> None:
    kept, widths = fitted([HEAD, *ROWS], 60)
    assert [HEAD[i] for i in kept] == ["POD", "STAGE", "READY", "IMAGES", "NOTE"]
    assert sum(widths) + tables.GAP * (len(kept) - 1) <= 60


def test_what_fits_is_not_cut() -> None:
    kept, widths = fitted([HEAD, *ROWS], 400)
    assert widths == [max(len(row[i]) for row in (HEAD, *ROWS)) for i in kept]


def test_a_failed_pod_is_red_and_words_stay_without_colours(shown: Callable[..., str]) -> None:
    coloured = shown(120)
    assert "\x1b[1;31mFailed" in coloured
    assert "\x1b[32mUpdated" in coloured
    plain = shown(120, NO_COLOR="1")
    assert "\x1b[1;31m" not in plain
    assert "\x1b[32m" not in plain
    assert "Failed" in plain


@pytest.mark.parametrize(
    "cell", ["Aborted", "Aborted by jane (root@vm)", "Aborted: no\u2026", "Aborted; superseded since: by x", "no gate"]
)
def test_what_follows_the_word_does_not_change_its_colour(cell: str) -> None:
    row = list(drawn([("OUTCOME", "BY"), (cell, "Failed")], None))[1]
    assert [(span.start, span.end, span.style) for span in row.spans if span.style] == [(0, len(cell), "yellow")]


def test_wide_is_whole_on_a_terminal_too(shown: Callable[..., str]) -> None:
    assert WHY in shown(60, is_wide=True)
    assert WHY not in shown(60)


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}], ids=str)
def test_what_is_no_terminal_gets_all_of_it_and_no_colours(shown: Callable[..., str], environ: dict[str, str]) -> None:
    text = shown(60, **environ)
    assert WHY in text
    assert "\x1b" not in text


def test_long_lines_are_broken_between_words_and_hang(shown: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    shown(60)
    paper = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", paper)
        tables.show_lines(["  failed     pod/web-a " + WHY, "short"], first="Failed")
    lines = paper.getvalue().splitlines()
    assert lines[-1] == "short"
    assert all(len(line) <= 60 + len("\x1b[1;31m\x1b[0m") for line in lines)
    assert lines[0].startswith("\x1b[1;31m  failed     pod/web-a ImagePullBackOff:")
    assert " " * 13 in lines[1]


def test_every_word_that_says_how_something_stands_has_its_colour() -> None:
    words = {*get_args(Stage), *get_args(Outcome), *get_args(Phase), *GATE_WORDS.values()} - {"open"}
    assert words <= STYLES.keys()
    assert all("red" in STYLES[word] for word in ("Failed", "BrokenOff", "Refused"))
