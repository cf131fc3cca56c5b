"""The pace: 20 per second, 40 at once, slower after a 429."""

from __future__ import annotations

import pytest

from inplace.kube.limiter import RateLimiter

from .fakes import FakeClock


def test_a_burst_goes_out_at_once_and_then_the_pace_holds() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock)
    for _ in range(40):
        limiter.acquire()
    assert clock.slept == []
    for _ in range(20):
        limiter.acquire()
    assert sum(clock.slept) == pytest.approx(1.0)


def test_waiting_requests_are_spaced_not_let_go_together() -> None:
    limiter = RateLimiter(FakeClock(), qps=10, burst=1)
    assert [limiter.reserve() for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_an_idle_time_fills_the_burst_and_no_more() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock, qps=10, burst=5)
    for _ in range(5):
        limiter.acquire()
    clock.now += 3600
    assert [limiter.reserve() for _ in range(6)] == pytest.approx([0, 0, 0, 0, 0, 0.1])


def test_a_429_halves_the_pace_and_takes_the_burst() -> None:
    limiter = RateLimiter(FakeClock())
    limiter.on_throttled()
    assert limiter.qps == 10
    assert limiter.reserve() == pytest.approx(0.1)


def test_many_threads_that_hear_the_same_429_halve_it_once() -> None:
    limiter = RateLimiter(FakeClock())
    for _ in range(16):
        limiter.on_throttled()
    assert limiter.qps == 10


def test_the_pace_never_falls_to_nothing() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock, qps=16)
    for _ in range(50):
        limiter.on_throttled()
        clock.now += 1
    assert limiter.qps == pytest.approx(1.0, abs=0.6)


def test_the_pace_comes_back_in_half_a_minute_from_half() -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock)
    limiter.on_throttled()
    clock.now += 15
    assert limiter.qps == pytest.approx(15)
    clock.now += 60
    assert limiter.qps == 20
