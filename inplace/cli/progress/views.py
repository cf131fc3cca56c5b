"""What a person sees while a run goes on: a live table on a terminal, lines elsewhere, nothing with `--quiet`.

Always holds: a view never stops a run. Whatever goes wrong in showing is swallowed, and the run goes on unseen.
"""

from __future__ import annotations

import sys
from typing import Protocol

from inplace.cli.output import streams
from inplace.cli.progress.lines import LineProgress
from inplace.kube.protocols import Clock
from inplace.model.refs import TargetRef
from inplace.runtime.observability.frames import Frame


class ProgressView(Protocol):
    def note(self, line: str) -> None:
        """Something to be told apart from the progress, such as a warning."""
        ...

    def update(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class Quiet:
    """Warnings only."""

    def note(self, line: str) -> None:
        if line.startswith("warning"):
            streams.note(line)

    def update(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        pass


def choose_view(target: TargetRef, clock: Clock, *, quiet: bool, beside_json: bool, footer: str = "") -> ProgressView:
    """`beside_json`: stdout is for the JSON, so that progress goes to stderr. `footer`: what stands below a live view."""
    stream = sys.stderr if beside_json else sys.stdout
    if quiet:
        return Quiet()
    if streams.is_terminal(stream):
        from inplace.cli.progress.live import LiveView

        return LiveView(target, stream, clock, lambda: footer)
    return LineProgress(err=beside_json)
