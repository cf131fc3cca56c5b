"""The clock that decides goes on while the machine sleeps."""

from __future__ import annotations

import time

import pytest

from inplace.kube.api import ApiClient
from inplace.kube.clock import SystemClock
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.lease.lock import TargetLock
from tests.unit.runtime.fakes import Server

TARGET = TargetRef("Deployment", "shop", "web")


class Laptop:
    """Linux's two clocks, of which one stands still while it sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.awake = self.asleep = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.awake)
        monkeypatch.setattr(time, "clock_gettime", self.clock_gettime)

    def clock_gettime(self, clock: int) -> float:
        return self.awake + (self.asleep if clock == time.CLOCK_BOOTTIME else 0.0)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="Linux")
def test_a_lock_is_not_safe_after_a_night(monkeypatch: pytest.MonkeyPatch) -> None:
    laptop, clock = Laptop(monkeypatch), SystemClock()
    lock, gaps = TargetLock(ApiClient(transport=Server(), clock=clock), TARGET, None, "me"), list[str]()
    lock.on_gap = lambda: gaps.append("safe" if lock.is_safe else "not safe")
    lock.acquire(None, Run(id="one", target=TARGET, images={}))
    laptop.awake += 5.0
    lock.renew()
    assert lock.is_safe
    laptop.asleep += 8 * 3600.0
    was_safe = lock.is_safe
    lock.renew()
    assert (was_safe, lock.is_safe, gaps) == (False, True, ["not safe"])


def test_the_clock_goes_on() -> None:
    clock = SystemClock()
    first = clock.monotonic()
    assert clock.monotonic() >= first
