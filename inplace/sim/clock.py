"""The one source of time and order: every delay of the cluster is an event on this heap, so a run is a function of its seed.

Always holds: events run in the order of their instants, and in the order of their making where instants are equal; `now`
never goes back; nothing in the simulation reads another clock. `Pacer` lets the same heap follow the wall clock, at any
speed.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Timer:
    """An event to come; `cancel` makes it never happen."""

    __slots__ = ("at", "callback")

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class EventLoop:
    """Seconds since `epoch`, a heap of events, and the one random generator. Not thread-safe."""

    def __init__(self, seed: int = 0, epoch: datetime = EPOCH) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.on_earlier: Callable[[], None] = lambda: None
        """Called when a new event becomes the next one: a thread that sleeps until the next event must wake."""
        self._epoch = epoch
        self._heap: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._stamp = (-1, "")

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """An instant in the past means as soon as possible."""
        timer = Timer(max(when, self.now), callback)
        self._made += 1
        heapq.heappush(self._heap, (timer.at, self._made, timer))
        if self._heap[0][2] is timer:
            self.on_earlier()
        return timer

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self.at(self.now + seconds, callback)

    @property
    def next_at(self) -> float | None:
        """When the next event happens."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_next(self) -> bool:
        """Jumps to the next event and lets it happen. False: there is none."""
        if self.next_at is None:
            return False
        at, _, timer = heapq.heappop(self._heap)
        callback, timer.callback = timer.callback, None
        self.now = max(self.now, at)
        assert callback is not None
        callback()
        return True

    def run_until(self, when: float) -> None:
        """Lets everything up to that instant happen; then it is that instant."""
        while (at := self.next_at) is not None and at <= when:
            self.run_next()
        self.now = max(self.now, when)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    def utcnow(self) -> datetime:
        return self._epoch + timedelta(seconds=self.now)

    def stamp(self) -> str:
        """The instant as Kubernetes writes it: whole seconds."""
        second = int(self.now)
        if self._stamp[0] != second:
            self._stamp = (second, stamp_of(self._epoch + timedelta(seconds=second)))
        return self._stamp[1]

    def nanoseconds(self) -> int:
        """Since 1970, with which the real parts of a cluster name their Events: by name is by time."""
        return int(self.utcnow().timestamp() * 1e6) * 1000

    def micro_stamp(self) -> str:
        return self.utcnow().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def stamp_after(self, seconds: float) -> str:
        return stamp_of(self.utcnow() + timedelta(seconds=seconds))


def stamp_of(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class RealTimePacer:
    """Lets a scheduler follow the wall clock, `speed` times as fast. Threads use the cluster within `turn`."""

    def __init__(self, scheduler: EventLoop, speed: float = 1.0) -> None:
        self._scheduler = scheduler
        self._speed = speed
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stopped = False
        self._base = time.monotonic() - scheduler.now / speed
        self._thread = threading.Thread(target=self._run, name="sim-pacer", daemon=True)
        scheduler.on_earlier = self._wake

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The cluster is ours alone, and everything due has happened."""
        with self._lock:
            self._catch_up()
            yield

    def _catch_up(self) -> None:
        """Reports a bug in an event, which costs that event, not the cluster."""
        while True:
            try:
                self._scheduler.run_until((time.monotonic() - self._base) * self._speed)
                return
            except Exception:
                traceback.print_exc()

    def _wake(self) -> None:
        """Called under the lock, by the thread that has the turn."""
        self._changed.notify_all()

    def _run(self) -> None:
        with self._lock:
            while not self._stopped:
                self._catch_up()
                at = self._scheduler.next_at
                wait = None if at is None else max(0.0, at / self._speed - (time.monotonic() - self._base))
                self._changed.wait(wait)
