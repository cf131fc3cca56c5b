"""The seam of `inplace.kube`, onto the embedded cluster: no sockets, no threads, and the scheduler's clock.

A call takes effect and is answered at one instant; what a round trip costs is waited for by whoever makes it (see `world`).
Faults go in through `interfere`, which sees every request first.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec

from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Request, Response, Stream
from inplace.sim.api.server import ApiRequest, ApiResponse, Server, WatchAnswer
from inplace.sim.clock import EventLoop


class VirtualClock:
    """Implements `seam.Clock`. Sleeping lets the cluster's time pass."""

    def __init__(self, scheduler: EventLoop) -> None:
        self._scheduler = scheduler

    def monotonic(self) -> float:
        return self._scheduler.now

    def utcnow(self) -> datetime:
        return self._scheduler.utcnow()

    def sleep(self, seconds: float) -> None:
        self._scheduler.run_for(seconds)

    def jitter(self) -> float:
        return self._scheduler.random.random()


class Lost(msgspec.Struct, frozen=True):
    """No answer comes. `is_performed`: the request was carried out all the same."""

    is_performed: bool = False


Interference = Callable[[Request], Lost | Response | None]
"""None: nothing happens to this request."""


class SimTransport:
    """Implements `seam.Transport`. `requests` counts by method and resource, such as `PATCH pods/status`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.requests: dict[str, int] = {}
        self.interfere: Interference = lambda _request: None

    def call(self, request: Request, timeout_seconds: float) -> Response:
        assert timeout_seconds > 0
        answer = self.ask(request)
        assert isinstance(answer, Response), request
        return answer

    def stream(self, request: Request, read_timeout_seconds: float) -> AbstractContextManager[Stream]:
        raise AssertionError(f"watches are driven by the world, not by {request.path} and {read_timeout_seconds}")

    def ask(self, request: Request) -> Response | WatchAnswer:
        """Raises `ConnectionFailed`."""
        self._count(request)
        fault = self.interfere(request)
        if isinstance(fault, Response):
            return fault
        if isinstance(fault, Lost) and not fault.is_performed:
            raise ConnectionFailed("the request was lost")
        answer = self.server.handle(_call(request))
        if isinstance(fault, Lost):
            raise ConnectionFailed("the answer was lost")
        return answer if isinstance(answer, WatchAnswer) else _response(answer)

    def _count(self, request: Request) -> None:
        parts = request.path.split("/")
        rest = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else parts[-1:]
        label = f"{request.method} {'/'.join(rest[:1] + rest[2:])}"
        self.requests[label] = self.requests.get(label, 0) + 1


def _call(request: Request) -> ApiRequest:
    return ApiRequest(
        request.method, request.path, dict(request.query), request.body or b"", request.content_type, "", "inplace/test"
    )


def _response(answer: ApiResponse) -> Response:
    return Response(status=answer.status, body=answer.body)
