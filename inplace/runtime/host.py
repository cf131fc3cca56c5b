"""Where a session gets what runs beside it: its inbox, watches, workers, renewer, and the recorder of its Events.

Real ones are threads; a simulation brings its own, all on one thread and virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from inplace.kube.seam import Clock
from inplace.runtime.driver import Workers
from inplace.runtime.events import Events
from inplace.runtime.executor import Executor
from inplace.runtime.inbox import Inbox, ThreadInbox
from inplace.runtime.lock import Lock, Renewer
from inplace.runtime.watches import Watches
from inplace.runtime.workers import ThreadWorkers


class StoppableWorkers(Workers, Protocol):
    def stop(self) -> None: ...


class Background(Protocol):
    """Something that goes on by itself from `start` to `stop`."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Host(Protocol):
    def inbox(self, clock: Clock) -> Inbox: ...

    def watching(self, watches: Watches) -> Background: ...

    def workers(self, executor: Executor, lock: Lock, clock: Clock) -> StoppableWorkers: ...

    def renewer(self, lock: Lock, on_lost: Callable[[BaseException], None]) -> Background: ...

    def recording(self, events: Events) -> Background: ...


class Threads:
    """The real thing."""

    def inbox(self, clock: Clock) -> Inbox:
        return ThreadInbox(clock)

    def watching(self, watches: Watches) -> Background:
        return watches

    def workers(self, executor: Executor, lock: Lock, clock: Clock) -> StoppableWorkers:
        return ThreadWorkers(executor, lock, clock)

    def renewer(self, lock: Lock, on_lost: Callable[[BaseException], None]) -> Background:
        return Renewer(lock, on_lost)

    def recording(self, events: Events) -> Background:
        return events
