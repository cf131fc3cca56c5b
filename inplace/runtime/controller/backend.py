"""Where a controller process gets what runs beside its decisions: threads, workers for a run's actions, a recorder of Events.

The counterpart of `run.backend` for a process that drives many runs: these share one pool of threads.
"""

from __future__ import annotations

from typing import Protocol

from inplace.kube.protocols import Clock
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.run.backend import Runnable, WorkerPool
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.lanes import LanePool
from inplace.runtime.run.workers import PoolWorkers
from inplace.runtime.threads import SYSTEM_THREADS, Threads

MAX_CONCURRENT_ACTIONS = 16


class ControllerBackend(Protocol):
    @property
    def threads(self) -> Threads: ...

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        """One run's share of what performs actions."""
        ...

    def event_recorder(self, events: EventRecorder) -> Runnable: ...

    def shutdown(self) -> None:
        """Drop the actions that have not begun, and wait for those on their way."""
        ...


class ThreadControllerBackend:
    """Real threads: at most `MAX_CONCURRENT_ACTIONS` actions at a time, over all runs."""

    def __init__(self, threads: Threads = SYSTEM_THREADS) -> None:
        self.threads = threads
        self._pool = LanePool(MAX_CONCURRENT_ACTIONS)

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        return PoolWorkers(self._pool, executor, lock, clock)

    def event_recorder(self, events: EventRecorder) -> Runnable:
        return events

    def shutdown(self) -> None:
        self._pool.shutdown(wait=True)
