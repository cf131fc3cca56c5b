"""Where output goes: data on stdout, notes on stderr, every line through the sanitiser.

A reader that went away (`| head`, a closed terminal) is no error. A note that cannot be written is dropped; an answer that
cannot (a full disk) raises `OSError`.
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
    """The answer to the command."""
    _write(line, err=False)


def note(line: str) -> None:
    """Anything about the answer: warnings, progress beside JSON, what to do next."""
    with suppress(OSError):
        _write(line, err=True)


def lines(texts: Iterable[str], *, err: bool = False) -> None:
    for text in texts:
        _write(text, err=err)


def structured(value: Any, output: str) -> None:
    """The same document as JSON or as YAML."""
    if output == "json":
        as_json(value)
        return
    import msgspec
    import yaml

    with reader_may_go():
        click.echo(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=False).rstrip("\n"))


def as_json(value: Any) -> None:
    """ASCII only, so that no terminal is told anything by what a pod says."""
    import msgspec

    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")
    with reader_may_go():
        click.echo(text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """kubectl's kind of table: columns as wide as their widest cell, three spaces between."""
    cells = [tuple(head), *(tuple(safe(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _write(line: str, *, err: bool) -> None:
    with reader_may_go():
        click.echo(safe(line), err=err)


@contextmanager
def reader_may_go() -> Iterator[None]:
    """A reader that has gone away ends what is written to it, and is no error."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise


def is_terminal(stream: object) -> bool:
    """Whether a table may be redrawn there. TERM=dumb cannot; a CI log should not."""
    if os.environ.get("CI", "") not in ("", "false", "0") or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    with suppress(AttributeError, ValueError, OSError):
        return bool(stream.isatty())  # type: ignore[attr-defined]
    return False
