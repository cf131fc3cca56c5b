"""Redraws a few lines at the end of a terminal, on a thread of its own, and erases them in the end.

A terminal that is made narrower wraps the lines on it, so that the last drawing takes more rows than it had lines. The rows are
counted, and all of them erased.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from inplace.cli.output.text import safe

DRAW_SECONDS = 0.25
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
CLEAR_LINE, CLEAR_BELOW = "\x1b[2K", "\x1b[J"
STYLING = re.compile(r"\x1b\[[0-9;]*m")


def console_on(stream: IO[str]) -> Console:
    """Returns a console that interprets no markup."""
    return Console(file=stream, markup=False, highlight=False, emoji=False)


class Screen:
    """Calls `draw` with the available width and height, on the drawing thread."""

    def __init__(self, stream: IO[str], draw: Callable[[int, int], RenderableType]) -> None:
        self._stream = stream
        self._draw = draw
        self._console = console_on(stream)
        self._shown: list[str] = []
        self._width = 0
        self._mutex = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Erases the drawing."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
            with self._mutex, suppress(OSError, ValueError):
                self._write(self._erased() + SHOW)
                self._shown = []

    def note(self, line: str) -> None:
        """Prints a line that stays, above the drawing."""
        with self._mutex:
            text = self._rendered(Text(safe(line)))
            self._write(f"{self._erased()}{text}")
            self._shown = []
            if self._thread is not None:
                self._redraw()

    def _run(self) -> None:
        # If the terminal is gone, drawing ends and the run goes on.
        with suppress(OSError, ValueError):
            self._write(HIDE)
            while not self._is_over.is_set():
                with self._mutex:
                    self._redraw()
                self._is_over.wait(DRAW_SECONDS)

    def _redraw(self) -> None:
        width, height = self._console.size
        lines = self._rendered(self._draw(width, height - 1)).split("\n")[: height - 1]
        while lines and not lines[-1]:
            lines.pop()
        before = self._erased() if width != self._width else f"\x1b[{len(self._shown)}A" if self._shown else ""
        self._write(before + "".join(f"{CLEAR_LINE}{line}\n" for line in lines) + CLEAR_BELOW)
        self._shown, self._width = lines, width

    def _erased(self) -> str:
        """Returns the control sequence that erases the last drawing, as it is on the terminal now."""
        rows = sum(rows_of(line, self._console.width) for line in self._shown)
        return f"\x1b[{rows}A\r{CLEAR_BELOW}" if rows else ""

    def _rendered(self, renderable: RenderableType) -> str:
        with self._console.capture() as captured:
            self._console.print(renderable)
        return "\n".join(line.rstrip() for line in captured.get().split("\n"))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def rows_of(line: str, width: int) -> int:
    """Returns how many rows a drawn line takes on a terminal that now has this width."""
    return max(1, -(-cell_len(STYLING.sub("", line)) // max(1, width)))
