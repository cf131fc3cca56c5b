"""Tables for people: on a terminal as wide as it is, and coloured; elsewhere whole and plain, kubectl's kind of table.

Words carry the meaning, colour only repeats it (NO_COLOR is honoured). What is cut on a terminal is whole with `-o wide`, in a
pipe and in JSON. Nothing here is markup: names and reasons are text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from inplace.cli.output import streams
from inplace.cli.output.text import cut, safe, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES = {
    "Succeeded": "green",
    "Updated": "green",
    "Restored": "green",
    "Closing": "cyan",
    "Settling": "cyan",
    "Restarting": "cyan",
    "Returning": "cyan",
    "Running": "cyan",
    "Progressing": "cyan",
    "Paused": "yellow",
    "Waiting": "yellow",
    "Aborted": "yellow",
    "RolledBack": "yellow",
    "Interrupted": "yellow",
    "TimedOut": "yellow",
    "Released": "yellow",
    "Superseded": "yellow",
    "closed": "yellow",
    "not opened yet": "yellow",
    "no gate": "yellow",
    "no": "yellow",
    "BrokenOff": "bold red",
    "Failed": "bold red",
    "Refused": "bold red",
    "Unreadable": "bold red",
    "Pending": "dim",
    "Gone": "dim",
    "Kept": "dim",
    "nothing": "dim",
}
"""A word that says how something stands, to its colour: the same in every view."""
STANDING = ("STAGE", "OUTCOME", "STATUS", "PHASE", "READY", "GATE", "ACTION", "EVENT")
"""Columns of such words."""
WHOLE = (*STANDING, "WHEN", "AGE", "AT", "FROM", "TO", "REVISION", "STEP")
"""Columns that are worth nothing when they are cut."""
NAMES = ("POD", "NAME", "TARGET", "IMAGES", "NODE", "NAMESPACE")
"""Columns of which the end tells rows apart, so that the beginning is cut."""
SPARED = ("CHANGE-CAUSE", "NODE", "HOLDER", "HOW", "BY", "WHEN", "GATE", "NAMESPACE", "STEP")
"""Columns that a narrow terminal does without, the first of them first."""
BRANCHES = " │├└─"
GAP = 3
LEAST, LEAST_NAME = 12, 28
"""No column is cut to less, as long as another can be left out; what tells rows apart is worth more."""


def show(head: Sequence[str], rows: Iterable[Sequence[str]], *, is_wide: bool = False, indent: int = 0) -> None:
    """Prints it. `is_wide`: nothing is cut, nor left out."""
    cells = [tuple(head), *(tuple(safe(cell) for cell in row) for row in rows)]
    console = _terminal()
    if console is None:
        streams.lines(" " * indent + line for line in streams.table(head, cells[1:]))
        return
    _print(console, drawn(cells, None if is_wide else console.width - indent, indent))


def show_line(line: str, *words: str) -> None:
    """One line of text, in which these words have their colours on a terminal."""
    console = _terminal()
    if console is None:
        streams.data(line)
        return
    from rich.text import Text

    text = Text(safe(line))
    for word in filter(None, words):
        at = text.plain.find(word)
        if at >= 0:
            text.stylize(STYLES.get(word, ""), at, at + len(word))
    _print(console, [text])


def show_lines(lines: Iterable[str], hang: int = 13, first: str = "") -> None:
    """Lines of text, on a terminal broken between words where it ends; what follows hangs below. `first`: how something
    stands, for the colour of the first line."""
    console = _terminal()
    if console is None:
        streams.lines(lines)
        return
    from rich.text import Text

    for number, line in enumerate(lines):
        parts = wrap(safe(line), console.width, subsequent_indent=" " * hang, break_on_hyphens=False) or [""]
        _print(console, [Text(part, style=STYLES.get(first, "") if number == 0 else "") for part in parts])


def drawn(cells: Sequence[Sequence[str]], width: int | None, indent: int = 0) -> Iterator[Text]:
    """The rows, the head being the first of them, in a terminal's width; None: as wide as they are."""
    from rich.text import Text

    head = cells[0]
    kept, widths = fitted(cells, width)
    for number, row in enumerate(cells):
        line = Text(" " * indent, no_wrap=True)
        for position, (column, size) in enumerate(zip(kept, widths, strict=True)):
            is_last = position == len(kept) - 1
            cell = _name(row[column], size) if head[column] in NAMES else shortened(row[column], size)
            line.append(cell if is_last else cell.ljust(size), _style(head[column], cell, is_head=number == 0))
            line.append("" if is_last else " " * GAP)
        line.rstrip()
        if width is not None:
            line.truncate(width + indent, overflow="ellipsis")
        yield line


def _name(cell: str, width: int) -> str:
    """Cut at its beginning, but for the branches of a tree that it hangs on."""
    name = cell.lstrip(BRANCHES)
    return cell[: len(cell) - len(name)] + cut(name, max(1, width - len(cell) + len(name)))


def fitted(cells: Sequence[Sequence[str]], width: int | None) -> tuple[list[int], list[int]]:
    """The columns that are shown, and how wide each of them is."""
    head = cells[0]
    kept = list(range(len(head)))
    natural = [max(len(row[i]) for row in cells) for i in kept]
    if width is None:
        return kept, natural
    spared = [name for name in SPARED if name in head]
    while True:
        widths = _shrunk([natural[i] for i in kept], [_least(head[i], natural[i]) for i in kept], width)
        if widths is not None:
            return kept, widths
        if not spared:
            break
        kept.remove(head.index(spared.pop(0)))
    least = [min(natural[i], len(head[i])) for i in kept]
    return kept, _shrunk([natural[i] for i in kept], least, width) or least


def _least(name: str, natural: int) -> int:
    if name in WHOLE:
        return natural
    return max(len(name), min(natural, LEAST_NAME if name in NAMES[:3] else LEAST))


def _shrunk(natural: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """The widest columns give first; None: even at their least they do not fit."""
    room = width - GAP * (len(natural) - 1)
    if sum(least) > room:
        return None
    widths = list(natural)
    while sum(widths) > room:
        able = [i for i, size in enumerate(widths) if size > least[i]]
        widths[max(able, key=lambda i: widths[i])] -= 1
    return widths


def _style(column: str, cell: str, *, is_head: bool) -> str:
    if is_head:
        return "bold"
    return STYLES.get(cell) or STYLES.get(cell.partition(" ")[0].rstrip(":;"), "") if column in STANDING else ""


def _terminal() -> Console | None:
    """Where colours and a width mean something."""
    from inplace.cli.output.streams import is_terminal

    if not is_terminal(sys.stdout):
        return None
    from inplace.cli.output.screen import console_on

    return console_on(sys.stdout)


def _print(console: Console, lines: Iterable[Text]) -> None:
    with streams.reader_may_go():
        for line in lines:
            console.print(line, soft_wrap=True)
