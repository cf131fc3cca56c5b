"""The gate controller: level-based, one PATCH per change, patient with refusals, quiet when everything is right."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from inplace.engine.gate_openers import Announcement, decode_announcement
from inplace.engine.gate_rules import GateUpdate, desired_update
from inplace.kube.api import ApiClient
from inplace.kube.clock import SystemClock
from inplace.kube.errors import ConnectionFailed
from inplace.kube.informers.reflector_thread import execute
from inplace.kube.paging import ListOptions
from inplace.kube.protocols import Clock, Request, Response
from inplace.model.constants import HOLDS_ANNOTATION
from inplace.model.refs import PodRef
from inplace.model.validation import is_object_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.gates.access import check_access, leader_for, lease_name
from inplace.runtime.gates.controller import GateController
from inplace.runtime.gates.reconciler import UNSAFE_SECONDS, patch_body
from tests.unit.kube.fakes import FakeClock, ok, page, query, refusal
from tests.unit.runtime.fakes import Server as LeaseServer
from tests.unit.runtime.fakes import api as lease_api
from tests.unit.runtime.gates.fakes import GATE, RULE, STATUS_PATH, Server, make_pod


def controller_of(server: Server, clock: Clock, **options: Any) -> GateController:
    api = ApiClient(transport=server, clock=clock)
    return GateController(api, RULE, ListOptions(namespace="shop"), **options)


def listed(server: Server, clock: FakeClock) -> GateController:
    """On one thread and virtual time."""
    controller = controller_of(server, clock)
    execute(controller.reflector.next_command(), controller.reflector, server)  # type: ignore[arg-type]
    return controller


def work(controller: GateController) -> None:
    while controller.gates.queue.due_in() == 0:
        controller.gates.process_next()


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
        HOLDS_ANNOTATION: json.dumps({RULE.hold: "label example is false"}, separators=(",", ":"))
    }
    facts = {"pod": "shop/web", "condition": GATE, "from": "missing", "to": "False", "why": "label example is false"}
    assert lines == [{"event": "gate closed", "log_level": "info", **facts}]
    known = controller.pods.get("uid-web")
    assert known is not None
    assert desired_update(known, RULE) is None


def test_a_resync_writes_nothing_where_everything_is_right() -> None:
    server, clock = Server(make_pod(status="True"), make_pod("other", status="True", example="true")), FakeClock()
    controller = listed(server, clock)
    for _ in range(3):
        controller.gates.enqueue_all()
        work(controller)
    assert server.patches == []


def test_a_resync_repairs_what_no_event_told() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    controller = listed(server, clock)
    while (lost := controller.gates.queue.try_get()) is not None:
        controller.gates.queue.done(lost)
    work(controller)
    assert server.patches == []
    controller.gates.enqueue_all()
    work(controller)
    assert status_of(server) == "False"


@pytest.mark.parametrize(
    "answer",
    [refusal(409, "modified", "Conflict"), refusal(404), refusal(422, "metadata.uid: field is immutable", "Invalid")],
)
def test_a_pod_that_changed_or_went_is_looked_at_again_silently(answer: Response) -> None:
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


def test_other_failures_back_off_longer_up_to_the_retry_after() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    server.refusals = [refusal(500), ConnectionFailed("reset"), refusal(429, retry_after="7")]
    controller = listed(server, clock)
    waits = []
    with capture_logs() as lines:
        for _ in range(3):
            work(controller)
            waits.append(round(controller.gates.queue.due_in() or 0, 6))
            clock.now += waits[-1]
        work(controller)
    assert waits == [0.005, 0.01, 7]
    assert [line["event"] for line in lines] == [*["failed, trying again"] * 3, "gate closed"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            'User "gate" cannot patch resource "pods/status" in API group "" in the namespace "shop"',
            "gate may not patch pods/status in namespace shop: ask for a Role that allows it",
        ),
        ("denied by policy no-gates", "denied by policy no-gates"),
    ],
    ids=["a right is missing", "a policy"],
)
def test_a_refusal_is_said_once_until_a_write_succeeds(said: str, why: str) -> None:
    server, clock = Server(make_pod(), make_pod("other")), FakeClock()
    server.refusals = [refusal(403, said, "Forbidden") for _ in range(4)]
    controller = listed(server, clock)
    with capture_logs() as lines:
        for _ in range(4):
            work(controller)
            clock.now += 1
    assert [line["event"] for line in lines] == ["refused", "gate opened", "gate opened"]
    assert lines[0]["why"] == why


def test_a_recreated_pod_is_another_pod() -> None:
    server, clock = Server(make_pod(example="false")), FakeClock()
    controller = listed(server, clock)
    server.pods["web"] = make_pod(version=50, uid="another")
    work(controller)
    assert status_of(server) is None
    assert controller.gates.queue.due_in() == pytest.approx(0.005)


def test_the_body_touches_only_what_changes() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)
    ref = PodRef("shop", "web", "u1", "7")
    metadata = {"uid": "u1", "resourceVersion": "7"}
    assert patch_body(GateUpdate(ref, GATE, True, None, "LabelTrue", "because"), at) == {
        "metadata": metadata,
        "status": {
            "conditions": [
                {"$patch": "delete", "type": GATE},
                {
                    "type": GATE,
                    "status": "True",
                    "reason": "LabelTrue",
                    "message": "because",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                },
            ]
        },
    }
    assert patch_body(GateUpdate(ref, GATE, None, {}, "Held", "because"), at) == {
        "metadata": {**metadata, "annotations": {HOLDS_ANNOTATION: None}}
    }


def test_on_threads_a_new_pod_gets_a_condition_until_a_stop() -> None:
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

    monkeypatch.setattr("inplace.runtime.gates.reconciler.desired_update", broken)
    with pytest.raises(ZeroDivisionError), capture_logs():
        controller_of(Server(make_pod()), SystemClock()).run()


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


def access(server: Gatekeeper, scope: ListOptions) -> None:
    check_access(ApiClient(transport=server, clock=FakeClock()), scope)


def test_access_is_checked_with_the_selector_in_the_scope() -> None:
    server = Gatekeeper()
    access(server, ListOptions(label_selector="app=web"))
    assert server.requests[-1].path == "/api/v1/pods"
    assert query(server.requests[-1]) == {"labelSelector": "app=web", "limit": "1"}


@pytest.mark.parametrize(
    ("server", "scope", "line"),
    [
        (
            Gatekeeper("patch"),
            ListOptions(namespace="shop"),
            "you may not patch pods/status in namespace shop: ask for a Role that",
        ),
        (
            Gatekeeper("list", "watch"),
            ListOptions(),
            "you may not list pods; watch pods in all namespaces: ask for a ClusterRole",
        ),
        (Gatekeeper(minor="33"), ListOptions(), "needs 1.34 or newer"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(server: Gatekeeper, scope: ListOptions, line: str) -> None:
    with pytest.raises(RefusedError, match=line):
        access(server, scope)
    assert not [request for request in server.requests if request.method == "PATCH"]


class TestLease:
    def test_a_namespaces_usual_gate_has_a_name_that_a_role_can_use(self) -> None:
        assert lease_name("inplace.dev/ready", ListOptions(namespace="shop")) == "inplace-gate"
        others = [
            lease_name("inplace.dev/ready", ListOptions()),
            lease_name("inplace.dev/ready", ListOptions(namespace="shop", label_selector="app=web")),
            lease_name("inplace.dev/Ready", ListOptions(namespace="shop")),
            lease_name("www.example.com/feature_1", ListOptions(namespace="shop")),
            lease_name("www.example.com/feature-1", ListOptions(namespace="shop")),
            lease_name("x" * 63, ListOptions(namespace="shop")),
        ]
        assert len({"inplace-gate", *others}) == 7
        assert all(is_object_name(name) for name in others)
        assert others[4].startswith("inplace-gate-www.example.com-feature-1-")

    def test_it_says_what_is_opened_and_where(self) -> None:
        server, clock = LeaseServer(), FakeClock()
        leader = leader_for(
            lease_api(server, clock), RULE, ListOptions(namespace="shop", label_selector="app=web"), "shop", "me"
        )
        leader.step()
        leader.step()
        (lease,) = server.objects.values()
        says = decode_announcement(lease["metadata"]["annotations"]["inplace.dev/gates"])
        assert says == Announcement((RULE,), ("shop",), "app=web")
        assert lease["spec"]["holderIdentity"] == "me"

    def test_nothing_is_written_by_one_that_stands_by(self) -> None:
        leases, pods, clock = LeaseServer(), Server(make_pod(example="false")), FakeClock()
        scope = ListOptions(namespace="shop")
        first, second = (leader_for(lease_api(leases, clock), RULE, scope, "shop", who) for who in ("one", "two"))
        for _ in range(2):
            first.step()
        second.step()
        controller = controller_of(pods, clock, leader=second)
        execute(controller.reflector.next_command(), controller.reflector, pods)  # type: ignore[arg-type]
        work(controller)
        assert pods.patches == []
        first.stop()
        while not second.is_safe:
            clock.now += second.step()
        clock.now += UNSAFE_SECONDS
        work(controller)
        assert status_of(pods) == "False"
