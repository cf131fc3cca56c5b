"""What a driver publishes after each pass; views, Events, metrics and the summary of a run are made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from inplace.engine.planning.plan import Plan
from inplace.engine.snapshot import Snapshot


class Frame(msgspec.Struct, frozen=True):
    """One pass: the plan, and the snapshot that it was judged on. `since`: pod uid to the monotonic instant at which its stage
    began. `trouble`: what keeps the run from going on, in words."""

    snapshot: Snapshot
    plan: Plan
    since: Mapping[str, float]
    now: float
    trouble: str

    @property
    def until(self) -> dict[str, float]:
        """Pod uid to the instant at which its wait ends by itself; the empty uid stands for the whole run."""
        whole = self.plan.progress.until
        return {pod.uid: pod.until for pod in self.plan.pods if pod.until is not None} | ({} if whole is None else {"": whole})


FrameHandler = Callable[[Frame], None]
