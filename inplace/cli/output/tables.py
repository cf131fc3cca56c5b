"""Prints tables: fitted to the width of a terminal and coloured there; elsewhere complete and plain, as kubectl does.

Words carry the meaning, colour only repeats it (NO_COLOR is honoured). What is cut on a terminal is complete with `-o wide`, in
a pipe and in JSON. Names and reasons are printed as plain text, never as markup.
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
"""The colour of each state, the same in every view."""
STATE_COLUMNS = ("STAGE", "OUTCOME", "STATUS", "PHASE", "READY", "GATE", "ACTION", "EVENT")
"""Columns that hold such states."""
UNCUT_COLUMNS = (*STATE_COLUMNS, "WHEN", "AGE", "AT", "FROM", "TO", "REVISION", "STEP")
"""Columns that are useless when they are cut."""
NAME_COLUMNS = ("POD", "NAME", "TARGET", "IMAGES", "NODE", "NAMESPACE")
"""Columns that are cut at the beginning, since their end tells the rows apart."""
OPTIONAL_COLUMNS = ("CHANGE-CAUSE", "NODE", "HOLDER", "HOW", "BY", "WHEN", "GATE", "NAMESPACE", "STEP")
"""Columns that are left out on a narrow terminal, in this order."""
BRANCHES = " │├└─"
GAP = 3
MIN_WIDTH, MIN_NAME_WIDTH = 12, 28
"""No column is cut below this while another can be left out; a name is worth more than other columns."""


def show(head: Sequence[str], rows: Iterable[Sequence[str]], *, is_wide: bool = False, indent: int = 0) -> None:
    """Prints a table. `is_wide`: cuts and leaves out nothing."""
    cells = [tuple(head), *(tuple(safe(cell) for cell in row) for row in rows)]
    console = _terminal()
    if console is None:
        streams.lines(" " * indent + line for line in streams.table(head, cells[1:]))
        return
    _print(console, drawn(cells, None if is_wide else console.width - indent, indent))


def show_line(line: str, *words: str) -> None:
    """Prints one line, in which these words are coloured on a terminal."""
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
    """Prints lines, on a terminal wrapped with a hanging indent of `hang`. `first`: the state that colours the first line."""
    console = _terminal()
    if console is None:
        streams.lines(lines)
        return
    from rich.text import Text

    for number, line in enumerate(lines):
        parts = wrap(safe(line), console.width, subsequent_indent=" " * hang, break_on_hyphens=False) or [""]
        _print(console, [Text(part, style=STYLES.get(first, "") if number == 0 else "") for part in parts])


def drawn(cells: Sequence[Sequence[str]], width: int | None, indent: int = 0) -> Iterator[Text]:
    """Yields the rows, beginning with the head, fitted to `width`; None for as wide as they are."""
    from rich.text import Text

    head = cells[0]
    kept, widths = fitted(cells, width)
    for number, row in enumerate(cells):
        line = Text(" " * indent, no_wrap=True)
        for position, (column, size) in enumerate(zip(kept, widths, strict=True)):
            is_last = position == len(kept) - 1
            cell = _name(row[column], size) if head[column] in NAME_COLUMNS else shortened(row[column], size)
            line.append(cell if is_last else cell.ljust(size), _style(head[column], cell, is_head=number == 0))
            line.append("" if is_last else " " * GAP)
        line.rstrip()
        if width is not None:
            line.truncate(width + indent, overflow="ellipsis")
        yield line


def _name(cell: str, width: int) -> str:
    """Cuts a name at its beginning, after the branches of the tree."""
    name = cell.lstrip(BRANCHES)
    return cell[: len(cell) - len(name)] + cut(name, max(1, width - len(cell) + len(name)))


def fitted(cells: Sequence[Sequence[str]], width: int | None) -> tuple[list[int], list[int]]:
    """Returns the columns to show, and the width of each."""
    head = cells[0]
    kept = list(range(len(head)))
    natural = [max(len(row[i]) for row in cells) for i in kept]
    if width is None:
        return kept, natural
    optional = [name for name in OPTIONAL_COLUMNS if name in head]
    while True:
        widths = _shrunk([natural[i] for i in kept], [_least(head[i], natural[i]) for i in kept], width)
        if widths is not None:
            return kept, widths
        if not optional:
            break
        kept.remove(head.index(optional.pop(0)))
    least = [min(natural[i], len(head[i])) for i in kept]
    return kept, _shrunk([natural[i] for i in kept], least, width) or least


def _least(name: str, natural: int) -> int:
    if name in UNCUT_COLUMNS:
        return natural
    return max(len(name), min(natural, MIN_NAME_WIDTH if name in NAME_COLUMNS[:3] else MIN_WIDTH))


def _shrunk(natural: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """Narrows the widest columns first. Returns None if the columns do not fit even at their least width."""
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
    return STYLES.get(cell) or STYLES.get(cell.partition(" ")[0].rstrip(":;"), "") if column in STATE_COLUMNS else ""


def _terminal() -> Console | None:
    """Returns None if stdout is no terminal, where colours and a width mean nothing."""
    from inplace.cli.output.streams import is_terminal

    if not is_terminal(sys.stdout):
        return None
    from inplace.cli.output.screen import console_on

    return console_on(sys.stdout)


def _print(console: Console, lines: Iterable[Text]) -> None:
    with streams.reader_may_go():
        for line in lines:
            console.print(line, soft_wrap=True)
