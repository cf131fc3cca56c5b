"""Shows a run's progress: a live table on a terminal, lines elsewhere, nothing with `--quiet`.

Always holds: a view never stops a run. Its errors are swallowed, and the run goes on unseen.
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
        """Prints a line beside the progress, such as a warning."""
        ...

    def update(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


class Quiet:
    """Prints warnings only."""

    def note(self, line: str) -> None:
        if line.startswith("warning"):
            streams.note(line)

    def update(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        pass


def choose_view(target: TargetRef, clock: Clock, *, quiet: bool, beside_json: bool, footer: str = "") -> ProgressView:
    """`beside_json`: progress goes to stderr, since stdout is for the JSON. `footer`: the line below a live view."""
    stream = sys.stderr if beside_json else sys.stdout
    if quiet:
        return Quiet()
    if streams.is_terminal(stream):
        from inplace.cli.progress.live import LiveView

        return LiveView(target, stream, clock, lambda: footer)
    return LineProgress(err=beside_json)
