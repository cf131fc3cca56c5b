"""Client-go's work queue: what must be reconciled again, and when.

Always holds: an item waits at most once, however often it is added; it is never handed to two workers at a time; one that is
added while it is worked on is handed out again afterwards, so no change is missed; items belong to flows (namespaces), which
take turns, so that one with many items holds up no other. Failed items wait 5 ms, doubling up to 30 s, until they are
forgotten. Unlike client-go's, a queue that is shut down drops what waits: items are level-based, and the next process enqueues
everything.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from inplace.kube.protocols import Clock

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_SECONDS = 0.005
LONGEST_BACKOFF_SECONDS = 30.0


class Condition(Protocol):
    """What `get` waits with: reentrant, as `threading.Condition` is."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: Any) -> None: ...

    def wait(self, timeout: float | None = None) -> object: ...

    def notify(self) -> None: ...

    def notify_all(self) -> None: ...


class QueueMetrics(Protocol):
    """Measures a queue. Called under the queue's lock."""

    def added(self, item: Hashable) -> None: ...

    def taken(self, item: Hashable) -> None: ...

    def done(self, item: Hashable) -> None: ...

    def retried(self) -> None: ...


class WorkQueue(Generic[K]):
    """Hand every item that `get` or `try_get` returns back with `done`. Thread-safe.

    `flow` returns the flow of an item; `condition` is what `get` waits with, by default a thread's.
    """

    def __init__(
        self, clock: Clock, flow: Callable[[K], Hashable] = lambda _item: None, condition: Condition | None = None
    ) -> None:
        self._clock = clock
        self._flow = flow
        self._changed: Condition = threading.Condition() if condition is None else condition
        self._ready: dict[Hashable, deque[K]] = {}
        """By flow; the next flow is the first."""
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._added = 0
        self._failures: dict[K, int] = {}
        self._is_shut_down = False
        self.metrics: QueueMetrics | None = None

    def __len__(self) -> int:
        """Count the items that could be taken now."""
        with self._changed:
            return sum(map(len, self._ready.values()))

    def add(self, item: K) -> None:
        with self._changed:
            self._add(item)

    def add_after(self, item: K, seconds: float) -> None:
        """Add the item when `seconds` have passed; of several times the earliest counts."""
        with self._changed:
            due = self._clock.monotonic() + seconds
            if seconds <= 0:
                self._add(item)
            elif not self._is_shut_down and due < self._due.get(item, float("inf")):
                self._due[item] = due
                self._added += 1
                heapq.heappush(self._later, (due, self._added, item))
                self._changed.notify()

    def add_rate_limited(self, item: K, at_least_seconds: float = 0.0) -> None:
        """Add the item again after a failure, when its backoff has passed."""
        with self._changed:
            failures = self._failures.get(item, 0)
            self._failures[item] = failures + 1
            if self.metrics is not None:
                self.metrics.retried()
        backoff = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 30))
        self.add_after(item, max(backoff, at_least_seconds))

    def forget(self, item: K) -> None:
        """Reset the item's backoff: it went well, and its next failure is the first."""
        with self._changed:
            self._failures.pop(item, None)

    def try_get(self) -> K | None:
        """Return the next item, or None if nothing is due."""
        with self._changed:
            self._promote_due()
            if self._is_shut_down or not self._ready:
                return None
            item = self._pop()
            self._dirty.discard(item)
            self._processing.add(item)
            if self.metrics is not None:
                self.metrics.taken(item)
            if self._ready or self._later:
                self._changed.notify()  # another worker must take the rest
            return item

    def due_in(self) -> float | None:
        """Return the seconds until an item is due; None if no item waits."""
        with self._changed:
            self._promote_due()
            if self._ready:
                return 0.0
            return max(0.0, self._later[0][0] - self._clock.monotonic()) if self._later else None

    def get(self) -> K | None:
        """Wait for the next item and return it; None when the queue is shut down."""
        with self._changed:
            while (item := self.try_get()) is None:
                if self._is_shut_down:
                    return None
                self._changed.wait(self.due_in())
            return item

    def done(self, item: K) -> None:
        with self._changed:
            self._processing.discard(item)
            if self.metrics is not None:
                self.metrics.done(item)
            if item in self._dirty:
                self._push(item)
                self._changed.notify()

    def shut_down(self) -> None:
        with self._changed:
            self._is_shut_down = True
            self._changed.notify_all()

    def _add(self, item: K) -> None:
        if self._is_shut_down or item in self._dirty:
            return
        self._dirty.add(item)
        if self.metrics is not None:
            self.metrics.added(item)
        if item not in self._processing:
            self._push(item)
            self._changed.notify()

    def _push(self, item: K) -> None:
        self._ready.setdefault(self._flow(item), deque()).append(item)

    def _pop(self) -> K:
        """Take the first item of the next flow, which becomes the last in turn."""
        flow = next(iter(self._ready))
        items = self._ready.pop(flow)
        item = items.popleft()
        if items:
            self._ready[flow] = items
        return item

    def _promote_due(self) -> None:
        """Add the items that are due. Entries that an earlier time has replaced are not in `_due` any more."""
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, item = heapq.heappop(self._later)
            if self._due.get(item) == due:
                del self._due[item]
                self._add(item)


def soonest(*waits: float | None) -> float | None:
    """Return the shortest wait; None if there is none."""
    return min((wait for wait in waits if wait is not None), default=None)
