"""How a workload stands in the middle of a run, in words: what holds its pods back and whose that is, and what a pod that dies
now comes back as. True also when no process of ours is alive.
"""

from __future__ import annotations

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.runs.lifecycle import check_overtaken
from inplace.engine.snapshot import Snapshot
from inplace.model.run import Run


def describe_midrun(snapshot: Snapshot, run: Run) -> tuple[str, ...]:
    """Of an open run; nothing for one that is over."""
    if not run.is_unfinished:
        return ()
    over = check_overtaken(run, snapshot)
    if over is not None:
        return (f"somebody else has changed it since ({over.why}): `inplace upgrade` starts from what is there then",)
    return strategy_for(snapshot).describe_midrun(run)
