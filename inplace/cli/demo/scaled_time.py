"""Keeps the product in step with a cluster that runs faster than the wall clock: its clock, and everything that waits.

It uses the seams that any simulation uses, and replaces nothing of the product but the length of a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from inplace.kube.protocols import Clock
from inplace.kube.workqueue import Condition
from inplace.runtime.informers.inbox import Inbox, ThreadInbox
from inplace.runtime.lease.lock import LeaseRenewer, TargetLock
from inplace.runtime.run.backend import Runnable, ThreadBackend
from inplace.runtime.threads import Event, SystemThreads


class ScaledClock:
    """A `Clock` that runs `speed` times as fast as the wall clock."""

    def __init__(self, speed: float, began_at: datetime) -> None:
        self.speed = speed
        self._began_at = began_at
        self._base = time.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._base) * self.speed

    def utcnow(self) -> datetime:
        return self._began_at + timedelta(seconds=self.monotonic())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.speed)

    def jitter(self) -> float:
        return 0.5


class ScaledBackend(ThreadBackend):
    """A session's real threads, whose waits are as much shorter as the clock is faster."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def inbox(self, clock: Clock) -> Inbox:
        return _ScaledInbox(clock, self._speed)

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable:
        return _ScaledRenewer(lock, on_lost, self._speed)


class ScaledThreads(SystemThreads):
    """Real threads whose waits are as much shorter as the clock is faster."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def condition(self) -> Condition:
        return _ScaledCondition(self._speed)

    def event(self) -> Event:
        return _ScaledEvent(self._speed)


class _ScaledInbox(ThreadInbox):
    def __init__(self, clock: Clock, speed: float) -> None:
        super().__init__(clock)
        self._speed = speed

    def wait(self, seconds: float | None) -> None:
        super().wait(None if seconds is None else seconds / self._speed)


class _ScaledRenewer(LeaseRenewer):
    def __init__(self, lock: TargetLock, on_lost: Callable[[BaseException], None], speed: float) -> None:
        super().__init__(lock, on_lost)
        self._stopped = _ScaledEvent(speed)


class _ScaledEvent(threading.Event):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / self._speed)


class _ScaledCondition(threading.Condition):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / self._speed)
