"""The gate controller: level-based, one PATCH per change, patient with refusals, quiet when everything is right."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from inplace.engine.gatekeeping import Rule, SetGate, decide
from inplace.kube.api import Api
from inplace.kube.cache import Cache
from inplace.kube.clock import SystemClock
from inplace.kube.errors import ApiError, ConnectionFailed
from inplace.kube.lists import Scope
from inplace.kube.pump import perform
from inplace.kube.reflector import Reflector
from inplace.kube.resources import PODS
from inplace.kube.seam import STRATEGIC_MERGE, Clock, Request, Response
from inplace.model.names import HOLDS, PodRef
from inplace.model.pods import Pod
from inplace.runtime.gates import GateController, Gates, check_access, patch_body
from inplace.runtime.session import Refused
from tests.unit.kube.fakes import FakeClock, event, ok, page, query, refusal

GATE = "www.example.com/feature-1"
RULE = Rule(GATE, "example")
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


def controller_of(server: Server, clock: Clock, **options: Any) -> GateController:
    api = Api(transport=server, clock=clock)
    return GateController(api, RULE, Scope(namespace="shop"), **options)


def listed(server: Server, clock: FakeClock) -> GateController:
    """On one thread and virtual time."""
    controller = controller_of(server, clock)
    perform(controller.reflector.next(), controller.reflector, server)  # type: ignore[arg-type]
    return controller


def work(controller: GateController) -> None:
    while controller.step():
        pass


def status_of(server: Server, name: str = "web") -> str | None:
    return next((c["status"] for c in server.pods[name]["status"]["conditions"] if c["type"] == GATE), None)


def test_a_change_is_one_patch_and_the_answer_is_known_at_once() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    controller = listed(server, clock)
    with capture_logs() as lines:
        work(controller)
    assert [request.path for request in server.patches] == [STATUS_PATH]
    assert status_of(server) == "False"
    assert server.pods["web"]["metadata"]["annotations"] == {
        HOLDS: json.dumps({RULE.hold: "label example is false"}, separators=(",", ":"))
    }
    facts = {"pod": "shop/web", "condition": GATE, "from": "missing", "to": "False", "why": "label example is false"}
    assert lines == [{"event": "gate closed", "log_level": "info", **facts}]
    known = controller.pods.get("uid-web")
    assert known is not None
    assert decide(known, RULE) is None


def test_a_resync_writes_nothing_where_everything_is_right() -> None:
    server, clock = Server(make_pod(status="True"), make_pod("other", status="True", example="true")), FakeClock()
    controller = listed(server, clock)
    for _ in range(3):
        controller.resync()
        work(controller)
    assert server.patches == []


def test_a_resync_repairs_what_no_event_told() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    controller = listed(server, clock)
    while (lost := controller.queue.take()) is not None:
        controller.queue.done(lost)
    work(controller)
    assert server.patches == []
    controller.resync()
    work(controller)
    assert status_of(server) == "False"


@pytest.mark.parametrize(
    "answer",
    [refusal(409, "modified", "Conflict"), refusal(404), refusal(422, "metadata.uid: field is immutable", "Invalid")],
)
def test_a_pod_that_changed_or_went_is_looked_at_again_in_silence(answer: Response) -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    server.refusals = [answer]
    controller = listed(server, clock)
    with capture_logs() as lines:
        work(controller)
        assert len(server.patches) == 1
        clock.now += 0.005
        work(controller)
    assert len(server.patches) == 2
    assert [line["event"] for line in lines] == ["gate closed"]


def test_other_failures_wait_longer_each_time_and_no_longer_than_asked_for() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    server.refusals = [refusal(500), ConnectionFailed("reset"), refusal(429, retry_after="7")]
    controller = listed(server, clock)
    waits = []
    with capture_logs() as lines:
        for _ in range(3):
            work(controller)
            waits.append(round(controller.queue.due_in() or 0, 6))
            clock.now += waits[-1]
        work(controller)
    assert waits == [0.005, 0.01, 7]
    assert [line["event"] for line in lines] == [*["failed, trying again"] * 3, "gate closed"]


def test_a_missing_right_is_said_once_until_it_is_there_again() -> None:
    server, clock = Server(make_pod(), make_pod("other")), FakeClock()
    server.refusals = [refusal(403, "forbidden", "Forbidden") for _ in range(4)]
    controller = listed(server, clock)
    with capture_logs() as lines:
        for _ in range(4):
            work(controller)
            clock.now += 1
    assert [line["event"] for line in lines] == ["refused", "gate opened", "gate opened"]
    assert "patch pods/status in namespace shop" in lines[0]["why"]


def test_a_recreated_pod_is_another_pod() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    controller = listed(server, clock)
    server.pods["web"] = make_pod(version=50, uid="another")
    work(controller)
    assert status_of(server) is None
    assert controller.queue.due_in() == pytest.approx(0.005)


def test_the_body_touches_only_what_changes() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)
    ref = PodRef("shop", "web", "u1", "7")
    metadata = {"uid": "u1", "resourceVersion": "7"}
    assert patch_body(SetGate(ref, GATE, True, None, "LabelTrue", "because"), at) == {
        "metadata": metadata,
        "status": {
            "conditions": [
                {
                    "type": GATE,
                    "status": "True",
                    "reason": "LabelTrue",
                    "message": "because",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }
            ]
        },
    }
    assert patch_body(SetGate(ref, GATE, None, {}, "Held", "because"), at) == {
        "metadata": {**metadata, "annotations": {HOLDS: None}}
    }


def test_on_threads_a_new_pod_gets_its_condition_and_a_stop_ends_everything() -> None:
    server = Server()
    controller = controller_of(server, SystemClock(), resync_seconds=0.05)
    thread = threading.Thread(target=controller.run)
    with capture_logs() as lines:
        thread.start()
        server.put(make_pod(), "ADDED")
        assert server.patched.acquire(timeout=30)
        server.put(make_pod(status="True", example="false"))
        assert server.patched.acquire(timeout=30)
        controller.stop()
        thread.join(30)
    assert not thread.is_alive()
    assert status_of(server) == "False"
    assert [line["event"] for line in lines if line["event"] != "watching pods"] == ["gate opened", "gate closed"]
    assert not [t for t in threading.enumerate() if t.name.startswith(("gate-", "watch-"))]


def test_a_bug_ends_the_controller_instead_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("inplace.runtime.gates.decide", broken)
    with pytest.raises(ZeroDivisionError), capture_logs():
        controller_of(Server(make_pod()), SystemClock()).run()


OTHER = "www.example.com/feature-2"


def two_gates(pod: Json) -> Json:
    return {**pod, "spec": {**pod["spec"], "readinessGates": [{"conditionType": gate} for gate in (GATE, OTHER)]}}


class Fence:
    is_safe = True


class Listener:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def gate_changed(self, before: Pod, wanted: SetGate) -> None:
        self.lines.append(f"{wanted.pod.name} {wanted.gate} {wanted.status}")

    def gate_refused(self, wanted: SetGate, error: ApiError) -> None:
        self.lines.append(f"{wanted.pod.name} refused: {error}")


class Bench:
    """`Gates` of two rules on caches that are filled from outside, here from one list each."""

    def __init__(self, *pods: Json) -> None:
        self.server, self.clock, self.fence, self.heard = Server(*pods), FakeClock(), Fence(), Listener()
        self.caches: list[Cache[Pod]] = [Cache(), Cache()]
        api = Api(transport=self.server, clock=self.clock)
        rules = (RULE, Rule(OTHER, "second", "closed"))
        self.gates = Gates(api, rules, self.caches, fence=self.fence, heard=self.heard, resync_seconds=30)

    def listed(self) -> None:
        for cache in self.caches[:1]:
            reflector = Reflector(PODS, cache, self.clock)
            perform(reflector.next(), reflector, self.server)  # type: ignore[arg-type]

    def work(self) -> None:
        while self.gates.step():
            pass


def test_every_rule_decides_on_its_own_gate_one_write_each() -> None:
    bench = Bench(two_gates(make_pod(example="false", second="true")), make_pod("one-gate"))
    bench.gates.begin()
    bench.listed()
    bench.work()
    assert bench.heard.lines == [f"web {GATE} False", f"web {OTHER} True", f"one-gate {GATE} True"]
    assert len(bench.server.patches) == 3
    bench.clock.now += 30
    bench.work()
    assert len(bench.server.patches) == 3


def test_nothing_is_written_before_the_beginning_and_what_is_there_then_is_looked_at() -> None:
    bench = Bench(make_pod())
    bench.listed()
    bench.work()
    assert bench.server.patches == []
    bench.gates.begin()
    bench.work()
    assert bench.heard.lines == [f"web {GATE} True"]


def test_a_change_of_a_pod_in_any_cache_is_looked_at_and_gone_pods_are_not() -> None:
    bench = Bench()
    bench.gates.begin()
    bench.work()
    pod = make_pod("late")
    bench.server.pods["late"] = pod
    decoded = msgspec.convert(pod, Pod)
    bench.caches[1].changed(decoded)
    bench.work()
    assert bench.heard.lines == [f"late {GATE} True"]
    bench.caches[1].deleted(
        msgspec.structs.replace(decoded, metadata=msgspec.structs.replace(decoded.metadata, resource_version="999"))
    )
    bench.work()
    bench.clock.now += 30
    bench.work()
    assert len(bench.server.patches) == 1


def test_nothing_is_written_while_the_leader_is_not_safe() -> None:
    bench = Bench(make_pod())
    bench.fence.is_safe = False
    bench.gates.begin()
    bench.listed()
    bench.work()
    bench.clock.now += 5
    bench.work()
    assert bench.server.patches == []
    bench.fence.is_safe = True
    bench.clock.now += 1
    bench.work()
    assert len(bench.server.patches) == 1


def test_a_refused_rule_is_tried_again_and_told() -> None:
    bench = Bench(two_gates(make_pod()))
    bench.server.refusals = [refusal(409, "modified", "Conflict")]
    bench.gates.begin()
    bench.listed()
    bench.work()
    assert bench.heard.lines == ["web refused: modified"]
    bench.clock.now += 0.01
    bench.work()
    assert bench.heard.lines[1:] == [f"web {GATE} True", f"web {OTHER} False"]


def test_with_threads_a_bug_is_handed_on_and_a_stop_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    server, cache = Server(make_pod()), Cache[Pod]()
    bugs: list[BaseException] = []
    gates = Gates(Api(transport=server, clock=SystemClock()), (RULE,), (cache,))
    gates.start(bugs.append)
    with capture_logs():
        cache.changed(msgspec.convert(server.pods["web"], Pod))
        assert server.patched.acquire(timeout=30)
    gates.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("gate-")]
    assert bugs == []

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("inplace.runtime.gates.decide", broken)
    crashed = threading.Event()
    gates = Gates(Api(transport=server, clock=SystemClock()), (RULE,), (cache,))
    gates.start(lambda _bug: crashed.set())
    assert crashed.wait(30)
    gates.stop()


class Gatekeeper:
    """Answers what is asked before the controller starts. `denied`: verbs that are not allowed."""

    def __init__(self, *denied: str, minor: str = "36", list_answer: Response | None = None) -> None:
        self._denied, self._minor = denied, minor
        self._list_answer = list_answer or page(1)
        self.requests: list[Request] = []

    def call(self, request: Request, timeout_seconds: float) -> Response:
        self.requests.append(request)
        if request.path == "/version":
            return ok({"major": "1", "minor": self._minor, "gitVersion": f"v1.{self._minor}.0"})
        if request.method == "POST":
            attributes = json.loads(request.body or b"")["spec"]["resourceAttributes"]
            return ok({"status": {"allowed": attributes["verb"] not in self._denied}}, 201)
        return self._list_answer

    def stream(self, request: Request, read_timeout_seconds: float) -> Any:
        raise AssertionError


def access(server: Gatekeeper, scope: Scope) -> None:
    check_access(Api(transport=server, clock=FakeClock()), scope)


def test_access_is_checked_with_the_selector_in_the_scope() -> None:
    server = Gatekeeper()
    access(server, Scope(label_selector="app=web"))
    assert server.requests[-1].path == "/api/v1/pods"
    assert query(server.requests[-1]) == {"labelSelector": "app=web", "limit": "1"}


@pytest.mark.parametrize(
    ("server", "scope", "line"),
    [
        (Gatekeeper("patch"), Scope(namespace="shop"), "you may not patch pods/status in namespace shop: ask for a Role that"),
        (Gatekeeper("list", "watch"), Scope(), "you may not list pods; watch pods in all namespaces: ask for a ClusterRole"),
        (Gatekeeper(minor="33"), Scope(), "needs 1.34 or newer"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(server: Gatekeeper, scope: Scope, line: str) -> None:
    with pytest.raises(Refused, match=line):
        access(server, scope)
    assert not [request for request in server.requests if request.method == "PATCH"]
