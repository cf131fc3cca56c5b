"""The outside world at the seam: a clock that moves only when told, and a server that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Request, Response


class FakeClock:
    """Sleeping is what makes time pass. `jitter` is always the same."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._jitter = jitter

    def monotonic(self) -> float:
        return self.now

    def utcnow(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def jitter(self) -> float:
        return self._jitter


class FakeStream:
    """Gives its lines, then ends, or breaks where `error` is given."""

    def __init__(self, *lines: Any, status: int = 200, error: ConnectionFailed | None = None) -> None:
        self.status = status
        self._lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        self._error = error
        self.before_end: Callable[[], None] = lambda: None

    def read(self) -> bytes:
        return b"".join(self._lines)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._lines
        self.before_end()
        if self._error:
            raise self._error

    def close(self) -> None:
        pass


Answer = Response | FakeStream | ConnectionFailed


class FakeTransport:
    """Answers in the order of the script and remembers what was asked."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.before_end: Callable[[], None] = lambda: None

    def call(self, request: Request, timeout_seconds: float) -> Response:
        assert timeout_seconds > 0
        answer = self._answer(request)
        assert isinstance(answer, Response)
        return answer

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[FakeStream]:
        assert read_timeout_seconds > 60
        answer = self._answer(request)
        assert isinstance(answer, FakeStream)
        answer.before_end = self.before_end
        yield answer

    def _answer(self, request: Request) -> Answer:
        self.requests.append(request)
        self.before_answer()
        answer = self.script.pop(0)
        if isinstance(answer, ConnectionFailed):
            raise answer
        return answer


def query(request: Request) -> dict[str, str]:
    return dict(request.query)


def ok(body: Any, status: int = 200) -> Response:
    return Response(status=status, body=json.dumps(body).encode())


def refusal(code: int, message: str = "no", reason: str = "", *, retry_after: str = "") -> Response:
    body = {"kind": "Status", "status": "Failure", "metadata": {}, "message": message, "reason": reason, "code": code}
    headers = {"retry-after": retry_after} if retry_after else {}
    return Response(status=code, body=json.dumps(body).encode(), headers=headers)


def pod(name: str, version: int, uid: str = "", **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels, "managedFields": [{"manager": "kubelet"}]},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        "status": {"phase": "Running", "conditions": None},
    }


def page(version: int, *pods: dict[str, Any], more: str = "") -> Response:
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return ok({"kind": "PodList", "metadata": metadata, "items": list(pods)})


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    """As the API server really sends it: nulls where a pod must have values."""
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return event("BOOKMARK", {"kind": "Pod", "metadata": metadata, "spec": {"containers": None}, "status": {}})
