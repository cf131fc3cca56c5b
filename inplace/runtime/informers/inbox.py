"""Where everything that happens to a run arrives: one queue, one reader, events in the order and with the instant of their
arrival.

Watch threads, finished writes and signals only put events in; the driver's thread takes them out. So nothing but this queue is
shared between threads.
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
    """`new` None: the pod is gone."""

    old: Pod | None
    new: Pod | None


class SliceChanged(msgspec.Struct, frozen=True):
    old: EndpointSlice | None
    new: EndpointSlice | None


class CacheChanged(msgspec.Struct, frozen=True):
    """A cache has changed from which a plan reads what it needs."""


class ActionCompleted(msgspec.Struct, frozen=True):
    """An action ended. `result`: what the quorum read or the write was answered with."""

    action: Action
    error: ApiError | None
    sent_at: float
    result: Any = None


class StopRequested(msgspec.Struct, frozen=True):
    """The first asks the run to end well, the second to end at once."""

    stop: StopRequest


class ThreadCrashed(msgspec.Struct, frozen=True):
    """One of our threads died: a bug."""

    error: BaseException


RunEvent = PodChanged | SliceChanged | CacheChanged | ActionCompleted | StopRequested | ThreadCrashed


class Inbox(Protocol):
    def put(self, event: RunEvent) -> None: ...

    def take(self) -> list[tuple[float, RunEvent]]:
        """Removes and returns all events, with the monotonic instant at which each arrived."""
        ...

    def wait(self, seconds: float | None) -> None:
        """Waits until there is an event, at most this long; None: without limit."""
        ...


class ThreadInbox:
    """For real threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[tuple[float, RunEvent]] = deque()
        self._has_events = threading.Event()

    def put(self, event: RunEvent) -> None:
        self._events.append((self._clock.monotonic(), event))
        self._has_events.set()

    def take(self) -> list[tuple[float, RunEvent]]:
        self._has_events.clear()
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def wait(self, seconds: float | None) -> None:
        self._has_events.wait(seconds)
