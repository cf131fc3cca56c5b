"""Which failures are worth another attempt, and how long the attempts may take."""

from __future__ import annotations

import pytest

from inplace.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from inplace.kube.retry import BAD_CERTIFICATE, NO_RETRY, RetryPolicy, with_retries

from .fakes import FakeClock


class Failing:
    def __init__(self, *errors: ApiError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize("error", [TooManyRequests("x"), ServerError("x"), ConnectionFailed("x")])
def test_passing_trouble_is_tried_again(error: ApiError) -> None:
    call = Failing(error)
    assert with_retries(call, FakeClock(), RetryPolicy()) == "done"
    assert call.calls == 2


@pytest.mark.parametrize(
    "error",
    [
        ApiError("x"),
        NotFound("x"),
        AlreadyExists("x"),
        Conflict("x"),
        Invalid("x"),
        Forbidden("x"),
        Unauthorized("x"),
        Gone("x"),
        ConnectionFailed("x", reason=BAD_CERTIFICATE),
    ],
)
def test_what_would_get_the_same_answer_is_not(error: ApiError) -> None:
    call = Failing(error)
    with pytest.raises(type(error)):
        with_retries(call, FakeClock(), RetryPolicy())
    assert call.calls == 1


def test_waits_double_up_to_the_longest() -> None:
    clock = FakeClock(jitter=1.0)
    policy = RetryPolicy(attempts=6, longest_wait_seconds=1.0)
    with pytest.raises(ServerError):
        with_retries(Failing(*[ServerError("x")] * 6), clock, policy)
    assert clock.slept == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0])


def test_jitter_takes_up_to_half_of_a_wait() -> None:
    clock = FakeClock(jitter=0.0)
    with_retries(Failing(ServerError("x")), clock, RetryPolicy())
    assert clock.slept == pytest.approx([0.1])


def test_the_servers_own_wait_is_kept() -> None:
    clock = FakeClock()
    with_retries(Failing(TooManyRequests("x", retry_after_seconds=7)), clock, RetryPolicy())
    assert clock.slept == pytest.approx([7.1])


def test_gives_up_if_the_server_asks_for_more_time_than_is_left() -> None:
    clock = FakeClock()
    call = Failing(TooManyRequests("x", retry_after_seconds=90))
    with pytest.raises(TooManyRequests):
        with_retries(call, clock, RetryPolicy(total_seconds=60))
    assert (call.calls, clock.slept) == (1, [])


def test_slow_attempts_count_against_the_total_time() -> None:
    clock = FakeClock()
    calls = 0

    def hangs() -> None:
        nonlocal calls
        calls += 1
        clock.now += 25
        raise ConnectionFailed("x")

    with pytest.raises(ConnectionFailed):
        with_retries(hangs, clock, RetryPolicy(total_seconds=60))
    assert calls == 3


def test_once_means_once() -> None:
    call = Failing(ConnectionFailed("x"))
    with pytest.raises(ConnectionFailed):
        with_retries(call, FakeClock(), NO_RETRY)
    assert call.calls == 1
