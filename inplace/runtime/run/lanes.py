"""The order in which waiting actions get a thread: first what frees a pod, then images of pods that are drained already, then
the workload and reads, closes last; within a lane namespaces take turns.

A pod that is out of service never waits for another to be taken out, and no namespace waits until another has nothing to do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

from inplace.engine.actions import (
    Action,
    ClaimBudget,
    CloseGate,
    ListSlices,
    OpenGate,
    PatchImages,
    ReleaseBudget,
    RemoveRecord,
)

Work = Callable[[], None]


class Lane(IntEnum):
    FREE = 0
    IMAGES = 1
    WORKLOAD = 2
    CLOSE = 3


def lane_of(action: Action) -> Lane:
    match action:
        case OpenGate() | RemoveRecord() | ReleaseBudget():
            return Lane.FREE
        case PatchImages() | ListSlices():
            return Lane.IMAGES
        case CloseGate() | ClaimBudget():
            return Lane.CLOSE
        case _:
            return Lane.WORKLOAD


class LanePool:
    """`size` threads; a free one takes what is first. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="action")
        self._lock = threading.Lock()
        self._waiting: dict[Lane, dict[str, deque[Work]]] = {lane: {} for lane in Lane}
        """By namespace; the next one is first."""

    def submit(self, lane: Lane, namespace: str, work: Work) -> None:
        with self._lock:
            self._waiting[lane].setdefault(namespace, deque()).append(work)
        self._threads.submit(self._next)

    def shutdown(self, *, wait: bool) -> None:
        """Drops what has not begun."""
        self._threads.shutdown(wait=wait, cancel_futures=True)

    def _next(self) -> None:
        with self._lock:
            work = self._pop()
        work()

    def _pop(self) -> Work:
        """The namespace that is served goes to the end."""
        flows = next(flows for flows in self._waiting.values() if flows)
        namespace = next(iter(flows))
        waiting = flows.pop(namespace)
        work = waiting.popleft()
        if waiting:
            flows[namespace] = waiting
        return work
