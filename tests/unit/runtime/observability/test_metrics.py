"""Metrics: the names that dashboards know, and labels that stay few."""

from __future__ import annotations

import pytest

from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Request
from inplace.kube.workqueue import WorkQueue
from inplace.runtime.observability.metrics import Metrics
from tests.unit.kube.fakes import FakeClock, FakeStream, FakeTransport, ok, refusal
from tests.unit.runtime.observability.samples import values


def test_a_queue_is_measured_from_added_to_done() -> None:
    metrics, clock = Metrics(), FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    metrics.instrument_queue("gates", queue, clock)
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert values(metrics)["workqueue_depth gates"] == 2
    clock.now += 2
    assert queue.try_get() == "a"
    clock.now += 3
    queue.add_rate_limited("a")
    queue.done("a")
    found = values(metrics)
    assert found["workqueue_adds_total gates"] == 2
    assert found["workqueue_depth gates"] == 1
    assert found["workqueue_retries_total gates"] == 1
    assert (found["workqueue_queue_duration_seconds_count gates"], found["workqueue_queue_duration_seconds_sum gates"]) == (
        1,
        2,
    )
    assert (found["workqueue_work_duration_seconds_count gates"], found["workqueue_work_duration_seconds_sum gates"]) == (1, 3)


def test_requests_count_by_code_and_method_watches_and_lost_too() -> None:
    metrics, clock = Metrics(), FakeClock()
    real = FakeTransport(ok({}), refusal(409), ConnectionFailed("reset"), FakeStream(), ConnectionFailed("reset"))
    transport = metrics.instrument_transport(real, "host", clock)
    get = Request(method="GET", path="/api/v1/namespaces/shop/pods/a-long-name")
    for _ in range(2):
        transport.call(get, 1)
    with pytest.raises(ConnectionFailed):
        transport.call(get, 1)
    with transport.stream(get, 70) as stream:
        assert list(stream) == []
    with pytest.raises(ConnectionFailed), transport.stream(get, 70):
        pass
    found = values(metrics)
    assert found["rest_client_requests_total 200 host GET"] == 2
    assert found["rest_client_requests_total 409 host GET"] == 1
    assert found["rest_client_requests_total <error> host GET"] == 2
    assert found["rest_client_request_duration_seconds_count host GET"] == 2
    assert "a-long-name" not in metrics.render().decode()


def test_a_watch_that_breaks_is_one_request() -> None:
    metrics, clock = Metrics(), FakeClock()
    transport = metrics.instrument_transport(FakeTransport(FakeStream(error=ConnectionFailed("reset"))), "host", clock)
    with pytest.raises(ConnectionFailed), transport.stream(Request(method="GET", path="/"), 70) as stream:
        list(stream)
    found = values(metrics)
    assert {key: value for key, value in found.items() if key.startswith("rest_client_requests_total")} == {
        "rest_client_requests_total 200 host GET": 1
    }


def test_leadership_and_reconciliations_have_the_usual_names() -> None:
    metrics = Metrics()
    metrics.set_leader("inplace-controller", False)
    assert values(metrics)["leader_election_master_status inplace-controller"] == 0
    metrics.set_leader("inplace-controller", True)
    metrics.reconciled("inplacerollout", 0.5, None)
    metrics.reconciled("inplacerollout", 0.5, ValueError())
    found = values(metrics)
    assert found["leader_election_master_status inplace-controller"] == 1
    assert found["controller_runtime_reconcile_total inplacerollout success"] == 1
    assert found["controller_runtime_reconcile_total inplacerollout error"] == 1
    assert found["controller_runtime_reconcile_errors_total inplacerollout"] == 1
    assert found["controller_runtime_reconcile_time_seconds_sum inplacerollout"] == 1


def test_two_in_one_process_do_not_meet() -> None:
    one, two = Metrics(), Metrics()
    one.pods_upgraded.inc()
    assert values(two)["inplace_pods_upgraded_total"] == 0


def test_the_process_tells_its_memory() -> None:
    assert values(Metrics())["process_resident_memory_bytes"] > 1_000_000
