"""An API server at the seam for one run's own writes: objects by path, merge patches, resourceVersions, and switches for
trouble. It knows no controllers; whole runs are driven elsewhere, on the embedded cluster and on the real one."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

from inplace.kube.api import ApiClient
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Request, Response, Stream
from inplace.kube.retry import NO_RETRY
from tests.unit.kube.fakes import FakeClock, ok, refusal


class Server:
    """`down`: nothing answers. `deaf`: writes happen, their answers are lost."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.version = 100
        self.down = False
        self.deaf = False
        self.refuse: Response | None = None

    def call(self, request: Request, timeout_seconds: float) -> Response:
        if self.down:
            raise ConnectionFailed("connection refused")
        self.requests.append(request)
        if self.refuse is not None and request.method != "GET":
            return self.refuse
        answer = self._answer(request)
        if self.deaf and request.method != "GET":
            raise ConnectionFailed("the answer was lost")
        return answer

    def stream(self, request: Request, read_timeout_seconds: float) -> AbstractContextManager[Stream]:
        raise AssertionError("nothing watches here")

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        """Method, path and body of every write that arrived, dry runs left out."""
        asked = (r for r in self.requests if r.method != "GET" and not r.is_dry_run)
        return [(r.method, r.path, json.loads(r.body or b"null")) for r in asked]

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        body.setdefault("metadata", {})["resourceVersion"] = str(self.version)
        _, _, place = path.partition("/namespaces/")
        if place:
            body["metadata"].setdefault("namespace", place.partition("/")[0])
        self.objects[path] = body
        return body

    def _answer(self, request: Request) -> Response:
        body = json.loads(request.body) if request.body else {}
        if request.method == "POST":
            path = f"{request.path}/{body['metadata']['name']}"
            if path in self.objects:
                return refusal(409, "exists", "AlreadyExists")
            body["metadata"]["uid"] = f"uid-{body['metadata']['name']}"
            return ok(self.put(path, body), 201)
        path = request.path.removesuffix("/status")
        if path not in self.objects:
            return refusal(404, "not found", "NotFound")
        known = self.objects[path]
        if request.method == "GET":
            return ok(known)
        if request.method == "DELETE":
            return ok(self.objects.pop(path))
        if request.is_dry_run:
            return ok(merged(known, body))
        return self._patch(path, known, body)

    def _patch(self, path: str, known: dict[str, Any], body: Any) -> Response:
        if isinstance(body, list):
            replaced = {**known, "metadata": {**known["metadata"], "managedFields": body[-1]["value"]}}
            return ok(self.put(path, replaced))
        meta = body.get("metadata", {})
        if meta.get("resourceVersion", known["metadata"]["resourceVersion"]) != known["metadata"]["resourceVersion"]:
            return refusal(409, "the object has been modified", "Conflict")
        if meta.get("uid", known["metadata"].get("uid")) != known["metadata"].get("uid"):
            return refusal(422, "metadata.uid: Invalid value: field is immutable", "Invalid")
        return ok(self.put(path, merged(known, body)))


def merged(known: Any, patch: Any) -> Any:
    """JSON merge patch; of a list, without what it says is to be deleted."""
    if isinstance(patch, list):
        return [item for item in patch if not isinstance(item, dict) or item.get("$patch") != "delete"]
    if not isinstance(patch, dict):
        return patch
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def api(server: Server, clock: FakeClock) -> ApiClient:
    return ApiClient(transport=server, clock=clock, policy=NO_RETRY)
