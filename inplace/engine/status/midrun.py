"""Describes a workload in the middle of a run: what holds its pods back and whose setting that is, and what a pod that dies now
is recreated as. All this holds even if no inplace process is alive.
"""

from __future__ import annotations

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.runs.lifecycle import check_overtaken
from inplace.engine.snapshot import Snapshot
from inplace.model.run import Run


def describe_midrun(snapshot: Snapshot, run: Run) -> tuple[str, ...]:
    """Describes the workload of an unfinished run; empty for a finished one."""
    if not run.is_unfinished:
        return ()
    over = check_overtaken(run, snapshot)
    if over is not None:
        return (f"somebody else has changed it since ({over.why}): `inplace upgrade` starts from what is there then",)
    return strategy_for(snapshot).describe_midrun(run)
