"""The one policy that decides which failed request is sent again, and when.

Retried: 429 and 5xx (after Retry-After, if the server sent it) and connections that failed. Never retried: any other answer,
because the same request would get the same answer, and a certificate that does not verify. Bounded in attempts and in time. A
repeated write is safe only because every write carries its precondition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception

from inplace.kube.errors import ApiError, ConnectionFailed, ServerError, TooManyRequests
from inplace.kube.protocols import Clock

BAD_CERTIFICATE = "BadCertificate"

T = TypeVar("T")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most `attempts` in all; no wait may end more than `total_seconds` after the first attempt began."""

    attempts: int = 5
    total_seconds: float = 60.0
    first_wait_seconds: float = 0.2
    longest_wait_seconds: float = 10.0


DEFAULT = RetryPolicy()
NO_RETRY = RetryPolicy(attempts=1)
QUICK = RetryPolicy(attempts=2, total_seconds=2.0)
"""For requests that are made again soon anyway, or whose caller reports that there is no answer."""


def is_retryable(error: BaseException) -> bool:
    match error:
        case ConnectionFailed():
            return error.reason != BAD_CERTIFICATE
        case TooManyRequests() | ServerError():
            return True
        case _:
            return False


def with_retries(call: Callable[[], T], clock: Clock, policy: RetryPolicy) -> T:
    """Returns the result of `call`, or raises its last error."""
    started_at = clock.monotonic()

    def wait(state: RetryCallState) -> float:
        longest = min(policy.longest_wait_seconds, policy.first_wait_seconds * 2.0 ** (state.attempt_number - 1))
        backoff = longest * (0.5 + clock.jitter() / 2)
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after_seconds if isinstance(error, ApiError) else None
        return backoff if retry_after is None else retry_after + backoff

    def stop(state: RetryCallState) -> bool:
        ends_at = clock.monotonic() + state.upcoming_sleep
        return state.attempt_number >= policy.attempts or ends_at - started_at > policy.total_seconds

    retrying = Retrying(retry=retry_if_exception(is_retryable), wait=wait, stop=stop, sleep=clock.sleep, reraise=True)
    return retrying(call)
