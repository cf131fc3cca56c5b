"""What is drawn again and again leaves nothing behind, also where the terminal is made narrower."""

import io
import re

import pytest
from rich.console import Group, RenderableType
from rich.text import Text

from inplace.cli.output.screen import Screen, rows_of


class Terminal(io.StringIO):
    """A terminal that breaks its lines anew when it gets another width, as most do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.width = width

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for code, plain in re.findall(r"(\x1b\[\??[0-9;]*[A-Za-z])|([^\x1b]+)", text):
            if code:
                self._obey(code)
            for char in plain:
                if char == "\n":
                    self.row += 1
                    self.lines += [""] * (self.row + 1 - len(self.lines))
                elif char != "\r":
                    self.lines[self.row] += char
        return len(text)

    row = 0

    def _obey(self, code: str) -> None:
        if code.endswith("A"):
            self.row = max(0, self.row - int(code[2:-1]))
        elif code == "\x1b[2K":
            self.lines[self.row] = ""
        elif code == "\x1b[J":
            self.lines[self.row :] = [""]

    def resize(self, width: int) -> None:
        shown, self.lines = self.lines[: self.row], []
        for line in shown:
            self.lines += [line[i : i + width] for i in range(0, max(1, len(line)), width)]
        self.row = len(self.lines)
        self.lines.append("")

    @property
    def text(self) -> list[str]:
        return [line for line in self.lines if line]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"COLUMNS": "100", "LINES": "10", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    return Terminal(100)


def wide(width: int, height: int) -> RenderableType:
    return Group(*(Text(f"{number}" * 200, no_wrap=True, overflow="ellipsis") for number in range(height)))


def drawn(terminal: Terminal, screen: Screen) -> list[str]:
    screen._redraw()
    return terminal.text


def test_a_narrower_terminal_shows_one_whole_frame(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(terminal, wide)
    terminal.write("before\n")
    assert [len(line) for line in drawn(terminal, screen)] == [6, *[100] * 9]
    terminal.resize(60)
    monkeypatch.setenv("COLUMNS", "60")
    assert len(terminal.text) > 10
    screen = resized(screen, terminal)
    assert [len(line) for line in drawn(terminal, screen)] == [6, *[60] * 9]


def resized(screen: Screen, terminal: Terminal) -> Screen:
    """A console takes the size from the environment once; a terminal is asked each time."""
    fresh = Screen(terminal, wide)
    fresh._shown, fresh._width = screen._shown, screen._width
    return fresh


def test_a_frame_takes_the_place_of_the_one_before(terminal: Terminal) -> None:
    count = iter((5, 3, 9))
    screen = Screen(terminal, lambda _width, _height: Group(*(Text(f"row {n}") for n in range(next(count)))))
    for rows in (5, 3, 9):
        assert drawn(terminal, screen) == [f"row {n}" for n in range(rows)]


def test_a_note_stays_above(terminal: Terminal) -> None:
    screen = Screen(terminal, lambda _width, _height: Text("frame"))
    screen.start()
    screen.note("warning: \x1b]0;x\x07")
    screen.stop()
    assert terminal.text == [r"warning: \x1b]0;x\x07"]


def test_rows_of_a_line_that_was_drawn() -> None:
    assert [rows_of(line, 10) for line in ("", "x" * 10, "x" * 11, "\x1b[1;31m" + "x" * 10 + "\x1b[0m")] == [1, 1, 2, 1]
