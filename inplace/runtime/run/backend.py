"""Where a session gets what runs beside it: its inbox, informers, workers, renewer, and event recorder.

Real ones are threads; a simulation brings its own, all on one thread and virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from inplace.kube.protocols import Clock
from inplace.runtime.informers.inbox import Inbox, ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import LeaseRenewer, TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.run.driver import Workers
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.lanes import LanePool
from inplace.runtime.run.workers import PoolWorkers, ThreadWorkers
from inplace.runtime.threads import SYSTEM_THREADS, Threads

MAX_CONCURRENT_ACTIONS = 16


class WorkerPool(Workers, Protocol):
    def stop(self) -> None: ...


class Runnable(Protocol):
    """Something that runs by itself from `start` to `stop`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class RunBackend(Protocol):
    def inbox(self, clock: Clock) -> Inbox: ...

    def informers(self, watches: TargetInformers) -> Runnable: ...

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool: ...

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable: ...

    def event_recorder(self, events: EventRecorder) -> Runnable: ...


class ThreadBackend:
    """The real thing: threads."""

    def inbox(self, clock: Clock) -> Inbox:
        return ThreadInbox(clock)

    def informers(self, watches: TargetInformers) -> Runnable:
        return watches

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        return ThreadWorkers(executor, lock, clock)

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable:
        return LeaseRenewer(lock, on_lost)

    def event_recorder(self, events: EventRecorder) -> Runnable:
        return events


class ControllerBackend(Protocol):
    """Where a controller process gets what runs beside its decisions; its runs share the workers."""

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
