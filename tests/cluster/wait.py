"""The one place of the test infrastructure that sleeps: everything else waits for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(predicate: Callable[[], T], what: str, seconds: float = 120, every: float = 0.1) -> T:
    """Return the first truthy value of `predicate`. Assertion errors count as "not yet" and are told in the end."""
    end = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            if last := predicate():
                return last
        except AssertionError as error:
            last = error
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not within {seconds:g} s; last: {last!r}")
        time.sleep(every)
