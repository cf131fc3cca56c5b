"""Where a session gets what runs beside it: its inbox, watches, workers, renewer, and the recorder of its Events.

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
from inplace.runtime.run.workers import ThreadWorkers


class WorkerPool(Workers, Protocol):
    def stop(self) -> None: ...


class Runnable(Protocol):
    """Something that goes on by itself from `start` to `stop`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class RunBackend(Protocol):
    def inbox(self, clock: Clock) -> Inbox: ...

    def informers(self, watches: TargetInformers) -> Runnable: ...

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool: ...

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable: ...

    def event_recorder(self, events: EventRecorder) -> Runnable: ...


class ThreadBackend:
    """The real thing."""

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
