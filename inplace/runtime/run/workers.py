"""A few threads that perform actions, so that a slow answer holds up no other action."""

from __future__ import annotations

from collections.abc import Callable

from inplace.engine.actions import Action, required_budgets
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Clock
from inplace.runtime.informers.inbox import ActionCompleted, RunEvent, ThreadCrashed
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.lanes import LanePool, lane_of


def perform(executor: Executor, lock: TargetLock, clock: Clock, action: Action) -> RunEvent:
    """Performs one action; the lock is checked right before each write. Never raises: a bug comes back as `ThreadCrashed`."""
    sent_at = clock.monotonic()
    try:
        result = executor.fenced_by(lock, required_budgets(action)).perform(action)
    except ApiError as error:
        return ActionCompleted(action, error, sent_at)
    except BaseException as bug:
        return ThreadCrashed(bug)
    return ActionCompleted(action, None, sent_at, result)


class ThreadWorkers:
    """Performs `size` actions at a time."""

    def __init__(self, executor: Executor, lock: TargetLock, clock: Clock, size: int = 8) -> None:
        self._executor = executor
        self._lock = lock
        self._clock = clock
        self._pool = LanePool(size)

    def submit(self, action: Action, done: Callable[[RunEvent], None]) -> None:
        work = lambda: done(perform(self._executor, self._lock, self._clock, action))  # noqa: E731
        self._pool.submit(lane_of(action), self._lock.namespace, work)

    def stop(self) -> None:
        """Drops actions that have not begun, and does not wait for those on their way."""
        self._pool.shutdown(wait=False)


class PoolWorkers:
    """One run's share of a pool that many runs use."""

    def __init__(self, pool: LanePool, executor: Executor, lock: TargetLock, clock: Clock) -> None:
        self._pool = pool
        self._executor = executor
        self._lock = lock
        self._clock = clock
        self._is_stopped = False

    def submit(self, action: Action, done: Callable[[RunEvent], None]) -> None:
        self._pool.submit(lane_of(action), self._lock.namespace, lambda: self._perform(action, done))

    def stop(self) -> None:
        """Drops actions that have not begun, and does not wait for those on their way."""
        self._is_stopped = True

    def _perform(self, action: Action, done: Callable[[RunEvent], None]) -> None:
        if not self._is_stopped:
            done(perform(self._executor, self._lock, self._clock, action))
