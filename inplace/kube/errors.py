"""What can go wrong with a request, as one closed family. Callers match on the class, never on a number."""

from __future__ import annotations


class ApiError(Exception):
    """The API server said no, or nothing. `str()` is one line for a person, without secrets."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class ConnectionFailed(ApiError):
    """No complete answer: refused, reset, timed out. A write may or may not have happened."""


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists."""


class Conflict(ApiError):
    """409: judged on an old resourceVersion. Forget the plan, look again."""


class Invalid(ApiError):
    """422: also what a wrong `metadata.uid` in a patch gives (design, section 4)."""


class Forbidden(ApiError):
    """403."""


class Unauthorized(ApiError):
    """401."""


class Gone(ApiError):
    """410: the resourceVersion or the continue token is too old. List again."""


class TooManyRequests(ApiError):
    """429, after all retries."""


class ServerError(ApiError):
    """5xx, after all retries."""


class ConfigError(Exception):
    """No usable kubeconfig or context. `str()` is one line for a person."""
