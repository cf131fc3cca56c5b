"""Several rules on caches that others fill: one decision for each gate, nothing written by who does not lead."""

from __future__ import annotations

import threading

import msgspec
import pytest
from structlog.testing import capture_logs

from inplace.engine.gate_rules import GateRule, GateUpdate
from inplace.kube.api import ApiClient
from inplace.kube.clock import SystemClock
from inplace.kube.errors import ApiError
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import Reflector
from inplace.kube.informers.reflector_thread import execute
from inplace.kube.resources import PODS
from inplace.model.objects.pods import Pod
from inplace.runtime.gates.reconciler import RESYNC, GateReconciler
from tests.unit.kube.fakes import FakeClock, refusal
from tests.unit.runtime.gates.fakes import GATE, RULE, Json, Server, make_pod

OTHER = "www.example.com/feature-2"


def two_gates(pod: Json) -> Json:
    return {**pod, "spec": {**pod["spec"], "readinessGates": [{"conditionType": gate} for gate in (GATE, OTHER)]}}


class Fence:
    is_safe = True


class Listener:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def gate_changed(self, before: Pod, wanted: GateUpdate) -> None:
        self.lines.append(f"{wanted.pod.name} {wanted.gate} {wanted.status}")

    def gate_refused(self, wanted: GateUpdate, error: ApiError) -> None:
        self.lines.append(f"{wanted.pod.name} refused: {error}")


class Bench:
    """`Gates` of two rules on caches that are filled from outside, here from one list each."""

    def __init__(self, *pods: Json) -> None:
        self.server, self.clock, self.fence, self.heard = Server(*pods), FakeClock(), Fence(), Listener()
        self.caches: list[Cache[Pod]] = [Cache(), Cache()]
        api = ApiClient(transport=self.server, clock=self.clock)
        rules = (RULE, GateRule(OTHER, "second", "closed"))
        self.gates = GateReconciler(api, rules, self.caches, fence=self.fence, listener=self.heard, resync_seconds=30)

    def listed(self) -> None:
        for cache in self.caches[:1]:
            reflector = Reflector(PODS, cache, self.clock)
            execute(reflector.next_command(), reflector, self.server)  # type: ignore[arg-type]

    def work(self) -> None:
        while self.gates.queue.due_in() == 0:
            self.gates.process_next()

    def begin(self) -> None:
        """As `start`, without threads."""
        self.gates.subscribe()
        self.gates.queue.add(RESYNC)


def test_every_rule_decides_on_its_own_gate_one_write_each() -> None:
    bench = Bench(two_gates(make_pod(example="false", second="true")), make_pod("one-gate"))
    bench.begin()
    bench.listed()
    bench.work()
    assert bench.heard.lines == [f"web {GATE} False", f"web {OTHER} True", f"one-gate {GATE} True"]
    assert len(bench.server.patches) == 3
    bench.clock.now += 30
    bench.work()
    assert len(bench.server.patches) == 3


def test_nothing_is_written_before_the_start_all_is_seen_then() -> None:
    bench = Bench(make_pod())
    bench.listed()
    bench.work()
    assert bench.server.patches == []
    bench.begin()
    bench.work()
    assert bench.heard.lines == [f"web {GATE} True"]


def test_a_changed_pod_of_any_cache_is_looked_at_a_gone_one_not() -> None:
    bench = Bench()
    bench.begin()
    bench.work()
    pod = make_pod("late")
    bench.server.pods["late"] = pod
    decoded = msgspec.convert(pod, Pod)
    bench.caches[1].apply(decoded)
    bench.work()
    assert bench.heard.lines == [f"late {GATE} True"]
    bench.caches[1].delete(
        msgspec.structs.replace(decoded, metadata=msgspec.structs.replace(decoded.metadata, resource_version="999"))
    )
    bench.work()
    bench.clock.now += 30
    bench.work()
    assert len(bench.server.patches) == 1


def test_nothing_is_written_while_the_leader_is_not_safe() -> None:
    bench = Bench(make_pod())
    bench.fence.is_safe = False
    bench.begin()
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
    bench.begin()
    bench.listed()
    bench.work()
    assert bench.heard.lines == ["web refused: modified"]
    bench.clock.now += 0.01
    bench.work()
    assert bench.heard.lines[1:] == [f"web {GATE} True", f"web {OTHER} False"]


def test_with_threads_a_bug_is_handed_on_and_a_stop_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    server, cache = Server(make_pod()), Cache[Pod]()
    bugs: list[BaseException] = []
    gates = GateReconciler(ApiClient(transport=server, clock=SystemClock()), (RULE,), (cache,))
    gates.start(bugs.append)
    with capture_logs():
        cache.apply(msgspec.convert(server.pods["web"], Pod))
        assert server.patched.acquire(timeout=30)
    gates.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith("gate-")]
    assert bugs == []

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("inplace.runtime.gates.reconciler.desired_update", broken)
    crashed = threading.Event()
    gates = GateReconciler(ApiClient(transport=server, clock=SystemClock()), (RULE,), (cache,))
    gates.start(lambda _bug: crashed.set())
    assert crashed.wait(30)
    gates.stop()
