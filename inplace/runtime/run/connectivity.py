"""Watches whether a run can still read and write: the errors of its watches and of its lock, and for how long they last."""

from __future__ import annotations

from inplace.kube.errors import Forbidden, Unauthorized
from inplace.model.durations import format_duration
from inplace.runtime.errors import RunAbandoned
from inplace.runtime.informers.target_informers import TargetCaches
from inplace.runtime.lease.lock import TargetLock

STALE_CACHE_SECONDS = 10.0
"""How long a watch may fail before its cache counts as stale."""
PATIENCE_SECONDS = 300.0
"""How long the lock may go unrenewed, and nothing be written, before the run is left as it is."""


class Connectivity:
    """Not thread-safe: the driver's thread alone. `retry_forever`: a refused watch is no reason to abandon the run."""

    def __init__(self, caches: TargetCaches, lock: TargetLock, *, retry_forever: bool) -> None:
        self._caches = caches
        self._lock = lock
        self._retry_forever = retry_forever
        self._failing_since: float | None = None
        self._stuck_since: float | None = None

    @property
    def has_error(self) -> bool:
        return self._caches.error is not None or self._lock.error is not None

    def require_progress(self, now: float, *, is_safe: bool) -> None:
        """Raises `RunAbandoned` once nothing could be written or read for `PATIENCE_SECONDS`: time enough to log in again, or
        for a network to come back."""
        is_denied = isinstance(self._caches.error, (Unauthorized, Forbidden)) and not self._retry_forever
        if is_safe and not is_denied:
            self._stuck_since = None
            return
        self._stuck_since = now if self._stuck_since is None else self._stuck_since
        if now - self._stuck_since > PATIENCE_SECONDS:
            why = self.lock_problem(is_safe=is_safe) or str(self._caches.error or "")
            raise RunAbandoned(f"stopped after {format_duration(PATIENCE_SECONDS)} without a way on: {why}")

    def lock_problem(self, *, is_safe: bool) -> str:
        """Says what keeps the lock from being renewed. A refusal is reported at once, anything else only once it matters."""
        match self._lock.error:
            case Unauthorized() | Forbidden() as error:
                return f"{error}; nothing is written until that is mended"
            case error if is_safe:
                return ""
            case error:
                why = f" ({error})" if error is not None else ""
                return f"the API server cannot be reached, or is slow{why}: nothing is written until the lock is renewed"

    def stale_reason(self, now: float) -> str:
        """Says why the caches count as stale; empty: they do not."""
        error = self._caches.error
        if error is None:
            self._failing_since = None
            return ""
        self._failing_since = now if self._failing_since is None else self._failing_since
        return str(error) if now - self._failing_since > STALE_CACHE_SECONDS else ""
