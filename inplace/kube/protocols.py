"""The protocols of transport and clock, through which everything outside the process is reached.

The real ones are in `connection/transport.py` and `clock.py`; tests and the embedded cluster bring their own, on virtual time
and one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
REVIEWS = ("/apis/authentication.k8s.io/", "/apis/authorization.k8s.io/")
"""Reviews of who the caller is, and of what it may do."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to the API server. `path` starts with a slash and is percent-encoded already."""

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = JSON

    @property
    def is_dry_run(self) -> bool:
        """Whether the API server persists nothing. A DELETE with a body says so in the body: its query does not count."""
        if self.method == "DELETE" and self.body:
            return msgspec.json.decode(self.body, type=dict[str, Any]).get("dryRun") == ["All"]
        return ("dryRun", "All") in self.query

    @property
    def is_review(self) -> bool:
        """Whether it only asks, though it is posted."""
        return self.path.startswith(REVIEWS)

    @property
    def persists(self) -> bool:
        """Whether the API server is to store something."""
        return self.method != "GET" and not self.is_review and not self.is_dry_run


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with any status: the transport raises only when there is none."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    """Names in lower case."""
    hint: str = ""
    """What the transport knows about a refusal, such as that the credentials have expired."""


class Transport(Protocol):
    """Raises `ConnectionFailed` where no complete answer came; never for a status."""

    def call(self, request: Request, timeout_seconds: float) -> Response: ...

    def stream(self, request: Request, read_timeout_seconds: float) -> AbstractContextManager[Stream]: ...


class Stream(Protocol):
    """A watch. Iterating yields one line of JSON at a time and ends when the server closes; raises `ConnectionFailed` on a
    reset or after `read_timeout_seconds` of silence. `close` may be called on another thread and ends the iteration."""

    @property
    def status(self) -> int: ...

    def read(self) -> bytes:
        """The whole body of an answer other than 200."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds decide; wall time is only written down for people."""

    def monotonic(self) -> float: ...

    def utcnow(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        ...
