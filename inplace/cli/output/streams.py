"""Prints data to stdout and notes to stderr, every line through the sanitiser.

A reader that has gone away (`| head`, a closed terminal) is no error. A note that cannot be written is dropped; data that
cannot be written (a full disk) raises `OSError`.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from inplace.cli.output.text import safe


def data(line: str = "") -> None:
    """Prints a line of the command's result."""
    _write(line, err=False)


def note(line: str) -> None:
    """Prints a line about the result: a warning, progress beside JSON, what to do next."""
    with suppress(OSError):
        _write(line, err=True)


def lines(texts: Iterable[str], *, err: bool = False) -> None:
    for text in texts:
        _write(text, err=err)


def structured(value: Any, output: str) -> None:
    """Prints a document as JSON or as YAML."""
    if output == "json":
        as_json(value)
        return
    import msgspec
    import yaml

    with reader_may_go():
        click.echo(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=False).rstrip("\n"))


def as_json(value: Any) -> None:
    """Prints ASCII only, so that no text of a pod can control the terminal."""
    import msgspec

    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")
    with reader_may_go():
        click.echo(text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Formats a table as kubectl does: columns as wide as their widest cell, three spaces between."""
    cells = [tuple(head), *(tuple(safe(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _write(line: str, *, err: bool) -> None:
    with reader_may_go():
        click.echo(safe(line), err=err)


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Ignores the error of a reader that has gone away."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise


def is_terminal(stream: object) -> bool:
    """True if a table may be redrawn on the stream. TERM=dumb cannot do that; a CI log should not."""
    if os.environ.get("CI", "") not in ("", "false", "0") or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    with suppress(AttributeError, ValueError, OSError):
        return bool(stream.isatty())  # type: ignore[attr-defined]
    return False
