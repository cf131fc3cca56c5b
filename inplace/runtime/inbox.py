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
from inplace.kube.seam import Clock
from inplace.model.network import EndpointSlice
from inplace.model.pods import Pod
from inplace.model.run import Stop


class PodChanged(msgspec.Struct, frozen=True):
    """None for `new`: it is gone."""

    old: Pod | None
    new: Pod | None


class SliceChanged(msgspec.Struct, frozen=True):
    old: EndpointSlice | None
    new: EndpointSlice | None


class OtherChanged(msgspec.Struct, frozen=True):
    """Something that a plan reads from a cache as it is."""


class Performed(msgspec.Struct, frozen=True):
    """An action ended. `result`: what a quorum read showed."""

    action: Action
    error: ApiError | None
    sent_at: float
    result: Any = None


class StopAsked(msgspec.Struct, frozen=True):
    """The first asks the run to end well; the second, at once."""

    stop: Stop


class Crashed(msgspec.Struct, frozen=True):
    """A thread of ours died: a bug."""

    error: BaseException


Event = PodChanged | SliceChanged | OtherChanged | Performed | StopAsked | Crashed


class Inbox(Protocol):
    def put(self, event: Event) -> None: ...

    def take(self) -> list[tuple[float, Event]]:
        """Everything that has arrived, with the monotonic instant of each."""
        ...

    def wait(self, seconds: float | None) -> None:
        """Until something is there, at most so long."""
        ...


class ThreadInbox:
    """For real threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[tuple[float, Event]] = deque()
        self._there = threading.Event()

    def put(self, event: Event) -> None:
        self._events.append((self._clock.monotonic(), event))
        self._there.set()

    def take(self) -> list[tuple[float, Event]]:
        self._there.clear()
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def wait(self, seconds: float | None) -> None:
        self._there.wait(seconds)
