"""What a driver tells after each pass: views, Events, metrics and the summary of a run are made of it, whoever drives."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.engine.planning.plan import Plan
from inplace.engine.snapshot import Snapshot


class Frame(msgspec.Struct, frozen=True):
    """A pass, and what it was judged on. `since`: pod uid to the monotonic instant at which its stage began."""

    snapshot: Snapshot
    plan: Plan
    since: Mapping[str, float]
    now: float
    trouble: str

    @property
    def until(self) -> dict[str, float]:
        """Pod uid to the instant at which what it waits for is over by itself; under an empty uid that of the whole run."""
        whole = self.plan.progress.until
        return {pod.uid: pod.until for pod in self.plan.pods if pod.until is not None} | ({} if whole is None else {"": whole})
