"""The clocks of one plan: which it read, which have run out, and when to look again.

A deadline is a timer that the runtime keeps for as long as consecutive plans name it. So waiting needs no stored state, and a
condition that goes away takes its deadline with it. Which of them outlive the process says `waits`.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_WAIT_SECONDS = 300.0
"""Deadline of every wait without an option of its own: images, templates, commit, budgets."""


class Timers:
    """`now` and `timers`: monotonic seconds."""

    def __init__(self, timers: Mapping[str, float], now: float) -> None:
        self.now = now
        self._timers = timers
        self._named: set[str] = set()
        self._next: float | None = None

    def started_at(self, timer: str) -> float:
        """When the timer began; now, if this plan is the first to name it."""
        self._named.add(timer)
        return self._timers.get(timer, self.now)

    def expired(self, timer: str, after_seconds: float) -> bool:
        """Whether the timer has run for so long; if not, the plan is looked at again when it will have."""
        due = self.started_at(timer) + after_seconds
        if self.now >= due:
            return True
        self.requeue_at(due)
        return False

    def keep(self, beginning: str) -> None:
        """Timers of these names go on, though this plan may not come to read them."""
        self._named.update(timer for timer in self._timers if timer.startswith(beginning))

    def requeue_at(self, instant: float) -> None:
        """Look again at this instant."""
        if self._next is None or instant < self._next:
            self._next = instant

    def requeue_after(self) -> float | None:
        return None if self._next is None else max(0.0, self._next - self.now)

    @property
    def used(self) -> frozenset[str]:
        return frozenset(self._named)
