"""The process's real clock, and instants as text. Monotonic time decides; wall time is only written down for people.

`time.monotonic` stands still while the machine sleeps (Linux: CLOCK_MONOTONIC; macOS: mach_absolute_time), so that after a
night a lock would still pass for renewed a moment ago. What decides is a clock that goes on: CLOCK_BOOTTIME on Linux; on macOS
CLOCK_MONOTONIC, which goes on there. Elsewhere only `time.monotonic` exists; on Windows it counts sleep, too. No clock shows
how long a virtual machine was stopped by its host.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime


def format_time(at: datetime) -> str:
    """An instant as Kubernetes writes it (`metav1.Time`): UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(at: datetime) -> str:
    """The same with microseconds (`metav1.MicroTime`)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_since(timestamp: str, now: datetime) -> float | None:
    """The age of a timestamp by the clock that says `now`; None for text that is no timestamp."""
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return max(0.0, (now - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds())


def whole_seconds(at: str) -> str:
    """Either of them without fractions, as people read it; text that is no instant stays as it is."""
    begin, dot, fraction = at.partition(".")
    return f"{begin}Z" if dot and fraction.removesuffix("Z").isdigit() else at


def _clock_across_sleep() -> int | None:
    name = "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME"
    clock: int | None = getattr(time, name, None)
    return clock


_ACROSS_SLEEP = _clock_across_sleep()


class SystemClock:
    """Implements `protocols.Clock`."""

    def monotonic(self) -> float:
        return time.clock_gettime(_ACROSS_SLEEP) if _ACROSS_SLEEP is not None else time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def jitter(self) -> float:
        return random.random()
