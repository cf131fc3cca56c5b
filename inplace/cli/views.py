"""What a person sees while a run goes on: a live table on a terminal, lines elsewhere, nothing with `--quiet`.

Always holds: a view never stops a run. Whatever goes wrong in showing is swallowed, and the run goes on unseen.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Protocol

from inplace.cli import out
from inplace.cli.lines import Lines
from inplace.kube.seam import Clock
from inplace.model.names import TargetRef
from inplace.runtime.frames import Frame


class View(Protocol):
    def note(self, line: str) -> None:
        """Something to be told apart from the progress, such as a warning."""
        ...

    def saw(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class Quiet:
    """Warnings only."""

    def note(self, line: str) -> None:
        if line.startswith("warning"):
            out.note(line)

    def saw(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        pass


def choose(target: TargetRef, clock: Clock, *, quiet: bool, beside_json: bool, footer: str = "") -> View:
    """`beside_json`: stdout is for the JSON, so that progress goes to stderr. `footer`: what stands below a live view."""
    stream = sys.stderr if beside_json else sys.stdout
    if quiet:
        return Quiet()
    if is_terminal(stream):
        from inplace.cli.live import LiveView

        return LiveView(target, stream, clock, lambda: footer)
    return Lines(err=beside_json)


def is_terminal(stream: object) -> bool:
    """Whether a table may be redrawn there. TERM=dumb cannot; a CI log should not."""
    if os.environ.get("CI", "") not in ("", "false", "0") or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    with suppress(AttributeError, ValueError, OSError):
        return bool(stream.isatty())  # type: ignore[attr-defined]
    return False
