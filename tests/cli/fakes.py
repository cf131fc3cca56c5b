"""Fakes the API server at its transport: holds objects, lists them, and refuses on demand. Nothing in it changes by itself.

Watches show nothing until they are closed. There are no controllers and no kubelet.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from click.testing import CliRunner

from inplace.cli.common.context import CliContext
from inplace.cli.main import run
from inplace.kube.connection.config import Connection, ConnectOptions
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import MERGE, STRATEGIC_MERGE, Request, Response
from inplace.model.constants import GATES_ANNOTATION
from inplace.model.objects.coordination import Lease, LeaseSpec
from inplace.model.objects.meta import ObjectMeta, OwnerReference
from inplace.sim.objects.patches import strategic_merge
from tests.builders import (
    DEPLOYMENT_UID,
    NEW,
    NS,
    OLD,
    deployment,
    endpoint,
    pod,
    replica_set,
    service,
    slice_of,
)

OWNER = OwnerReference("Deployment", "web", DEPLOYMENT_UID, controller=True)
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Sleeping is what makes time pass, and calls `on_sleep`: the cluster changes while we wait."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.on_sleep: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.now

    def utcnow(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()

    def jitter(self) -> float:
        return 0.0


class SilentStream:
    status = 200

    def __init__(self) -> None:
        self._closed = threading.Event()

    def read(self) -> bytes:
        return b""

    def __iter__(self) -> Iterator[bytes]:
        self._closed.wait(30)
        return iter(())

    def close(self) -> None:
        self._closed.set()


class FakeServer:
    """`objects`: plural to the objects by name. `denied`: verbs such as `patch pods`. `refuse`: the end of a
    write's path to a message. `hidden`: plurals that may not be read; `missing`: that are not served."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            "namespaces": {name: {"metadata": {"name": name}} for name in (NS, "shop")}
        }
        self.denied: set[str] = set()
        self.refuse: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.missing: set[str] = set()
        self.minor = "36"
        self.user = "jane"
        self.is_down = False
        self.requests: list[Request] = []

    def put(self, plural: str, *objects: Any) -> None:
        for obj in objects:
            built = msgspec.to_builtins(obj)
            self.objects.setdefault(plural, {})[built["metadata"]["name"]] = built

    @property
    def writes(self) -> list[Request]:
        return [r for r in self.requests if r.method != "GET" and not r.is_review]

    def call(self, request: Request, timeout_seconds: float) -> Response:
        self.requests.append(request)
        if self.is_down:
            raise ConnectionFailed("https://fake: cannot connect: Connection refused", reason="BadCertificate")
        if request.path == "/version":
            return _ok({"major": "1", "minor": self.minor, "gitVersion": f"v1.{self.minor}.0"})
        if request.path.endswith("/selfsubjectaccessreviews"):
            return _ok({"status": {"allowed": self._requested_access(request) not in self.denied}})
        for end, message in self.refuse.items():
            if request.path.endswith(end) and request.method != "GET":
                return _refusal(400, message, "BadRequest")
        if request.method == "GET" and any(f"/{plural}/" in f"{request.path}/" for plural in self.hidden):
            return _refusal(403, _denied(request), "Forbidden")
        if any(f"/{plural}/" in f"{request.path}/" for plural in self.missing):
            return _refusal(404, "the server could not find the requested resource", "NotFound")
        if request.path.endswith("/selfsubjectreviews"):
            return _ok({"status": {"userInfo": {"username": self.user}}}, 201)
        return self._object(request)

    @contextmanager
    def stream(self, request: Request, read_timeout_seconds: float) -> Iterator[SilentStream]:
        yield SilentStream()

    def _requested_access(self, request: Request) -> str:
        attributes = json.loads(request.body or b"")["spec"]["resourceAttributes"]
        subresource = f"/{attributes['subresource']}" if attributes["subresource"] else ""
        return f"{attributes['verb']} {attributes['resource']}{subresource}"

    def _object(self, request: Request) -> Response:
        parts = request.path.split("/")
        rest = parts[3 if parts[1] == "api" else 4 :]
        rest = rest[2:] if rest[0] == "namespaces" and len(rest) > 2 else rest
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        held = self.objects.get(plural, {})
        if not name and request.method == "GET":
            items = [obj for obj in held.values() if _selected(obj, dict(request.query))]
            return _ok({"metadata": {"resourceVersion": "500"}, "items": items})
        if not name:
            return _ok(json.loads(request.body or b""), 201)
        if name not in held:
            return _refusal(404, f"{plural} {name!r} not found", "NotFound")
        if request.method == "PATCH" and request.content_type == MERGE and not request.is_dry_run:
            _merge(held[name], json.loads(request.body or b""))
        if request.method == "PATCH" and request.is_dry_run and request.content_type == STRATEGIC_MERGE:
            return _ok(strategic_merge(held[name], json.loads(request.body or b"")))
        return _ok(held[name])


def _denied(request: Request) -> str:
    """Returns the message of RBAC."""
    parts = request.path.split("/")
    group, rest = ("", parts[3:]) if parts[1] == "api" else (parts[2], parts[4:])
    where, rest = (f'in the namespace "{rest[1]}"', rest[2:]) if rest[0] == "namespaces" else ("at the cluster scope", rest)
    named, verb = (f'{rest[0]}.{group} "{rest[1]}"', "get") if len(rest) > 1 else (f"{rest[0]}.{group}", "list")
    return f'{named} is forbidden: User "me" cannot {verb} resource "{rest[0]}" in API group "{group}" {where}'


def _selected(obj: dict[str, Any], query: dict[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    wanted = [part.split("=") for part in query.get("labelSelector", "").split(",") if part]
    fields = query.get("fieldSelector", "")
    return all(labels.get(key) == value for key, value in wanted) and (
        not fields or fields == f"metadata.name={obj['metadata']['name']}"
    )


def _merge(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict):
            _merge(obj.setdefault(key, {}), value)
        else:
            obj[key] = value


def _ok(body: Any, status: int = 200) -> Response:
    return Response(status=status, body=json.dumps(body).encode())


def _refusal(code: int, message: str, reason: str) -> Response:
    return _ok({"kind": "Status", "message": message, "reason": reason, "code": code}, code)


def opener(renewed: str = "2026-01-01T11:59:58.000000Z", holder: str | None = "opener-1", says: str | None = None) -> Lease:
    """The Lease of a living `inplace gate run -n default`."""
    rules = '[{"condition":"inplace.dev/ready","label":"inplace.dev/serve","default":"open"}]'
    meta = ObjectMeta(
        name="inplace-gate",
        namespace=NS,
        labels={"app.kubernetes.io/part-of": "inplace", "app.kubernetes.io/component": "gate"},
        annotations={GATES_ANNOTATION: f'{{"rules":{rules},"namespaces":["{NS}"]}}' if says is None else says},
    )
    return Lease(metadata=meta, spec=LeaseSpec(holder_identity=holder, renew_time=renewed))


def web(server: FakeServer, images: dict[str, str] = OLD, replicas: int = 3, **pod_fields: Any) -> None:
    """Puts a healthy Deployment `web` behind Service `web`; a living opener opens the gates of its new pods."""
    pods = [pod(f"web-{letter}", images=images, node=f"node-{i % 2 + 1}", **pod_fields) for i, letter in enumerate("abcdefgh")]
    pods = pods[:replicas]
    server.put("deployments", deployment(images, replicas=replicas))
    sets = [replica_set(images, replicas=replicas, owner=OWNER)]
    for n, before in enumerate((OLD, NEW) if images not in (OLD, NEW) else (OLD,) if images != OLD else ()):
        sets.append(replica_set(before, name=f"web-old{n}", uid=f"uid-web-old{n}", replicas=0, owner=OWNER))
    for rs in sets:
        meta = msgspec.structs.replace(rs.metadata, labels={"app": "web"})
        server.put("replicasets", msgspec.structs.replace(rs, metadata=meta))
    server.put("pods", *pods)
    server.put("services", service())
    server.put("leases", opener())
    server.put("endpointslices", slice_of(*(endpoint(p.uid, p.is_ready) for p in pods)))


class Ran:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def error(self) -> str:
        """The error line. Fails if stderr has any other line."""
        assert self.stderr.count("\n") == 1
        return self.stderr.rstrip("\n").removeprefix("error: ")


class Command:
    """Runs `command("plan", "deploy/web", "app=repo/app:2")`, in the clean environment of click's runner."""

    def __init__(self, server: FakeServer, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        self.options: list[ConnectOptions] = []

    def __call__(self, *args: str, prog: str = "inplace") -> Ran:
        context = CliContext(prog, args, self._connect, lambda: self.clock)
        with CliRunner(env={"CI": "true", "NO_COLOR": "1", "COLUMNS": "100"}).isolation() as (stdout, stderr, _):
            code = run(context)
            return Ran(code, stdout.getvalue().decode(), stderr.getvalue().decode())

    def _connect(self, options: ConnectOptions) -> Connection:
        self.options.append(options)
        return Connection(transport=self.server, namespace=options.namespace or NS, host="https://fake")
