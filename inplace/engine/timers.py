"""Tracks the timers of one plan: which it used, which have expired, and when to plan again.

A deadline is a timer that the runtime keeps as long as consecutive plans use it. So waiting needs no stored state, and a
condition that disappears takes its deadline with it. `planning.waits` says which timers survive the process.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_WAIT_SECONDS = 300.0
"""Deadline of every wait that has no option of its own: images, templates, commit, budgets."""


class Timers:
    """The timers that one plan uses; all instants are monotonic seconds."""

    def __init__(self, timers: Mapping[str, float], now: float) -> None:
        self.now = now
        self._timers = timers
        self._used: set[str] = set()
        self._requeue_at: float | None = None

    def started_at(self, timer: str) -> float:
        """Returns when the timer began: now, if this plan is the first to use it."""
        self._used.add(timer)
        return self._timers.get(timer, self.now)

    def expired(self, timer: str, after_seconds: float) -> bool:
        """Whether the timer has run for this long. If not, a new plan is due when it will have."""
        due = self.started_at(timer) + after_seconds
        if self.now >= due:
            return True
        self.requeue_at(due)
        return False

    def keep(self, prefix: str) -> None:
        """Keeps timers with this prefix running, even if this plan does not read them."""
        self._used.update(timer for timer in self._timers if timer.startswith(prefix))

    def requeue_at(self, instant: float) -> None:
        """Asks for a new plan no later than this instant."""
        if self._requeue_at is None or instant < self._requeue_at:
            self._requeue_at = instant

    def requeue_after(self) -> float | None:
        return None if self._requeue_at is None else max(0.0, self._requeue_at - self.now)

    @property
    def used(self) -> frozenset[str]:
        return frozenset(self._used)
