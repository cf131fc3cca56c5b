"""A pod whose containers are ready and which another gate keeps out of service: a wait with its own name and clock."""

from __future__ import annotations

import pytest

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.model.run import OnFailure, RunOptions
from tests.builders import GATE, NEW, SPEC, in_service, observed, pod, run

BALANCER = "target-health.elbv2.k8s.aws/k8s-shop-web-1"
WAITS = f"its containers are ready, and gate {BALANCER} is not open"


def planned(timers: dict[str, float], on_failure: OnFailure = "pause", *, containers_ready: bool = True) -> Plan:
    waits = pod("web-0", images=NEW, ready=False, containers_ready=containers_ready, gates=(GATE, BALANCER))
    others = [in_service(pod(f"web-{n}")) for n in (1, 2)]
    options = RunOptions(max_unavailable=1, on_failure=on_failure, restart_timeout_seconds=60)
    return plan(observed(in_service(waits), *others, timers=timers), SPEC, run(options), 100.0)


def test_another_gate_is_waited_for_by_its_name() -> None:
    made = planned({"uid-web-0/restart": 0.0})
    assert made.pods[0].reason == WAITS
    assert made.run.failures == ()
    assert "uid-web-0/gate" in made.timers, "its clock begins now"


@pytest.mark.parametrize("on_failure", ["pause", "rollback"])
def test_at_the_gates_deadline_the_pod_fails_without_rollback(on_failure: OnFailure) -> None:
    made = planned({"uid-web-0/gate": 0.0}, on_failure)
    (failure,) = made.run.failures
    assert (failure.reason, failure.message) == ("OtherGateClosed", f"{WAITS} (for 1m)")
    assert made.run.rollback_reason is None
    assert made.finished is not None
    assert made.finished.outcome == "Failed"


def test_containers_that_are_not_ready_are_named_before_the_gate() -> None:
    made = planned({"uid-web-0/restart": 0.0}, "rollback", containers_ready=False)
    assert made.run.rollback_reason == "Failure", "that is what a bad image looks like"
