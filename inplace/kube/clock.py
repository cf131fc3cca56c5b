"""The process's real clock, and instants as text. Monotonic time decides; wall time is only written down for people."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


def stamp(at: datetime) -> str:
    """An instant as Kubernetes writes it (`metav1.Time`): UTC, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def microstamp(at: datetime) -> str:
    """The same with microseconds (`metav1.MicroTime`)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SystemClock:
    """Implements `seam.Clock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def jitter(self) -> float:
        return random.random()
