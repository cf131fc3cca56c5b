"""The process's real clock. Monotonic time decides; wall time is only written down for people."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime


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
