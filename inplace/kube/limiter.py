"""Limits how fast we send requests to the API server, so that an upgrade never starves other clients.

A token bucket: `burst` requests at once, then `qps` per second, first come first served. When the server answers 429 the rate
halves (at most once a second: many threads see the same overload) and recovers linearly, within a minute from zero to full.
Lease renewals are not limited: a lock must not be lost to our own traffic.
"""

from __future__ import annotations

import threading

from inplace.kube.protocols import Clock

RECOVERY_SECONDS = 60.0
SLOWEST_SHARE = 1 / 16


class RateLimiter:
    """`qps` and `burst` are requests per second and requests at once. Thread-safe."""

    def __init__(self, clock: Clock, qps: float = 20.0, burst: int = 40) -> None:
        self._clock = clock
        self._full_qps = qps
        self._burst = float(burst)
        self._lock = threading.Lock()
        self._qps = qps
        self._tokens = float(burst)
        self._updated_at = clock.monotonic()
        self._slowed_at: float | None = None

    @property
    def qps(self) -> float:
        """The present rate, in requests per second."""
        with self._lock:
            self._advance()
            return self._qps

    def acquire(self) -> None:
        """Queues up, and sleeps until it is the caller's turn."""
        wait_seconds = self.reserve()
        if wait_seconds > 0:
            self._clock.sleep(wait_seconds)

    def reserve(self) -> float:
        """Queues up; returns the seconds until it is the caller's turn."""
        with self._lock:
            self._advance()
            self._tokens -= 1
            return max(0.0, -self._tokens / self._qps)

    def on_throttled(self) -> None:
        """Call it when the server answered 429."""
        with self._lock:
            self._advance()
            now = self._clock.monotonic()
            if self._slowed_at is not None and now - self._slowed_at < 1.0:
                return
            self._slowed_at = now
            self._qps = max(self._qps / 2, self._full_qps * SLOWEST_SHARE)
            self._tokens = min(self._tokens, 0.0)

    def _advance(self) -> None:
        now = self._clock.monotonic()
        elapsed = max(0.0, now - self._updated_at)
        self._updated_at = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._qps)
        self._qps = min(self._full_qps, self._qps + elapsed * self._full_qps / RECOVERY_SECONDS)
