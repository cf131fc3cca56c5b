"""The product in step with a cluster that runs faster than the wall clock: its clock, and whatever waits beside it.

These are the seams that any simulation uses; nothing of the product is replaced but the length of a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from inplace.kube.protocols import Clock
from inplace.runtime.informers.inbox import Inbox, ThreadInbox
from inplace.runtime.lease.lock import LeaseRenewer, TargetLock
from inplace.runtime.run.backend import Runnable, ThreadBackend


class ScaledClock:
    """Implements `seam.Clock`, in step with a cluster that runs `speed` times as fast as the wall clock."""

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
    """The real threads; only what they wait is as much shorter as the clock is faster."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def inbox(self, clock: Clock) -> Inbox:
        return _PacedInbox(clock, self._speed)

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable:
        return _PacedRenewer(lock, on_lost, self._speed)


class _PacedInbox(ThreadInbox):
    def __init__(self, clock: Clock, speed: float) -> None:
        super().__init__(clock)
        self._speed = speed

    def wait(self, seconds: float | None) -> None:
        super().wait(None if seconds is None else seconds / self._speed)


class _PacedRenewer(LeaseRenewer):
    def __init__(self, lock: TargetLock, on_lost: Callable[[BaseException], None], speed: float) -> None:
        super().__init__(lock, on_lost)
        self._stopped = _PacedEvent(speed)


class _PacedEvent(threading.Event):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / self._speed)
