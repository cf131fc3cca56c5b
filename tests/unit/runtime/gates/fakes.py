"""Pods with a gate, and an API server at the seam that lists, watches and patches just those."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inplace.engine.gate_rules import GateRule
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import STRATEGIC_MERGE, Request, Response
from tests.unit.kube.fakes import event, ok, page, refusal

GATE = "www.example.com/feature-1"
RULE = GateRule(GATE, "example")
STATUS_PATH = "/api/v1/namespaces/shop/pods/web/status"

Json = dict[str, Any]


def make_pod(name: str = "web", version: int = 1, status: str | None = None, uid: str = "", **labels: str) -> Json:
    metadata = {"name": name, "namespace": "shop", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    conditions = [{"type": "Ready", "status": "False"}, *([{"type": GATE, "status": status}] if status else [])]
    return {
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels, "annotations": {}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], "readinessGates": [{"conditionType": GATE}]},
        "status": {"phase": "Running", "conditions": conditions},
    }


class Server:
    """Just enough of an API server: lists, watches that stay open, and patches of pods/status with their preconditions."""

    def __init__(self, *pods: Json) -> None:
        self.version = 100
        self.pods = {pod["metadata"]["name"]: pod for pod in pods}
        self.patches: list[Request] = []
        self.refusals: list[Response | ConnectionFailed] = []
        self.patched = threading.Semaphore(0)
        self._events: list[bytes] = []
        self._changed = threading.Condition()

    def call(self, request: Request, timeout_seconds: float) -> Response:
        assert timeout_seconds > 0
        if request.method == "GET":
            return page(self.version, *self.pods.values())
        self.patches.append(request)
        answer = self.refusals.pop(0) if self.refusals else self._patch(request)
        self.patched.release()
        if isinstance(answer, ConnectionFailed):
            raise answer
        return answer

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[OpenWatch]:
        yield OpenWatch(self._events, self._changed)

    def put(self, pod: Json, kind: str = "MODIFIED") -> None:
        """Somebody else writes; the watch tells."""
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self.pods[pod["metadata"]["name"]] = pod
        with self._changed:
            self._events.append(json.dumps(event(kind, pod)).encode())
            self._changed.notify_all()

    def _patch(self, request: Request) -> Response:
        assert request.content_type == STRATEGIC_MERGE
        pod = self.pods.get(request.path.split("/")[-2])
        body = json.loads(request.body or b"")
        if pod is None:
            return refusal(404)
        meta = dict(body["metadata"])
        if meta.pop("uid") != pod["metadata"]["uid"]:
            return refusal(422, "metadata.uid: field is immutable", "Invalid")
        if meta.pop("resourceVersion") != pod["metadata"]["resourceVersion"]:
            return refusal(409, "the object has been modified", "Conflict")
        notes = {**pod["metadata"]["annotations"], **meta.get("annotations", {})}
        new = body.get("status", {}).get("conditions", [])
        kept = [c for c in pod["status"]["conditions"] if c["type"] not in {n["type"] for n in new}]
        meta = {**pod["metadata"], "annotations": {key: text for key, text in notes.items() if text is not None}}
        new = [c for c in new if "$patch" not in c]
        after = {**pod, "metadata": meta, "status": {**pod["status"], "conditions": kept + new}}
        self.put(after)
        return ok(after)


class OpenWatch:
    status = 200

    def __init__(self, events: list[bytes], changed: threading.Condition) -> None:
        self._events, self._changed = events, changed
        self._told, self._is_closed = 0, False

    def read(self) -> bytes:
        return b""

    def __iter__(self) -> Iterator[bytes]:
        while (line := self._next()) is not None:
            yield line

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._events) > self._told, 60)
            self._told += 1
            return None if self._is_closed else self._events[self._told - 1]

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
