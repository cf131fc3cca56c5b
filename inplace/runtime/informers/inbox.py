"""Where everything that happens to a run arrives: one queue, one reader, events in the order and at the instant they came.

Watch threads, finished writes and signals only put something in; the driver's thread takes it all out, so that nothing but this
queue is shared between threads.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Protocol

import msgspec

from inplace.engine.actions import Action
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Clock
from inplace.model.objects.network import EndpointSlice
from inplace.model.objects.pods import Pod
from inplace.model.run import StopRequest


class PodChanged(msgspec.Struct, frozen=True):
    """None for `new`: it is gone."""

    old: Pod | None
    new: Pod | None


class SliceChanged(msgspec.Struct, frozen=True):
    old: EndpointSlice | None
    new: EndpointSlice | None


class CacheChanged(msgspec.Struct, frozen=True):
    """Something that a plan reads from a cache as it is."""


class ActionCompleted(msgspec.Struct, frozen=True):
    """An action ended. `result`: what a quorum read showed."""

    action: Action
    error: ApiError | None
    sent_at: float
    result: Any = None


class StopRequested(msgspec.Struct, frozen=True):
    """The first asks the run to end well; the second, at once."""

    stop: StopRequest


class ThreadCrashed(msgspec.Struct, frozen=True):
    """A thread of ours died: a bug."""

    error: BaseException


RunEvent = PodChanged | SliceChanged | CacheChanged | ActionCompleted | StopRequested | ThreadCrashed


class Inbox(Protocol):
    def put(self, event: RunEvent) -> None: ...

    def take(self) -> list[tuple[float, RunEvent]]:
        """Everything that has arrived, with the monotonic instant of each."""
        ...

    def wait(self, seconds: float | None) -> None:
        """Until something is there, at most so long."""
        ...


class ThreadInbox:
    """For real threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[tuple[float, RunEvent]] = deque()
        self._there = threading.Event()

    def put(self, event: RunEvent) -> None:
        self._events.append((self._clock.monotonic(), event))
        self._there.set()

    def take(self) -> list[tuple[float, RunEvent]]:
        self._there.clear()
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def wait(self, seconds: float | None) -> None:
        self._there.wait(seconds)
