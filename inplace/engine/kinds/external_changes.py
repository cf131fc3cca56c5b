"""Detects that somebody else changed the workload under the run: on every plan, before anything more is started.

What counts as a change, each page says; templates are compared only with templates. Stopping is safe: gates are reopened where
no image was patched, and nothing of the other's change is undone.
"""

from __future__ import annotations

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.identity import is_another
from inplace.engine.workloads.sequence import Blocked, Perform
from inplace.model.run import Run


def marked(run: Run, snapshot: Snapshot) -> Run:
    """A new run with the marks by which its target is recognised."""
    return strategy_for(snapshot).identify(run)


def detect_external_change(snapshot: Snapshot, run: Run, timers: Timers) -> Blocked | None:
    """What was changed, in words; None: nothing."""
    if is_another(snapshot, run):
        return Blocked(f"{run.target} was deleted and created again since the run was begun")
    return strategy_for(snapshot).external_change(run, timers)


def yield_to_owner(snapshot: Snapshot, run: Run) -> Perform | None:
    """Releases what the run held back, so that a change by somebody else is rolled out as it would be without the run.

    Leaves an update strategy that they set, and everything of another object of the same name.
    """
    return None if is_another(snapshot, run) else strategy_for(snapshot).yield_to_owner(run)
