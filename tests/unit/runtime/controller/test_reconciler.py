"""One rollout's reconciler: where it begins, what it holds, and how it lets go."""

from __future__ import annotations

from typing import Any

from inplace.engine.runs.rollouts import FinishedState, RejectedState, RolloutState, WaitingState
from inplace.model.refs import TargetRef
from inplace.model.run import RunCommand, lease_name
from inplace.runtime.controller.reconciler import REQUEUE_SECONDS, RolloutReconciler
from inplace.runtime.controller.states import ReconcileResult
from inplace.runtime.lease.lock import run_from_lease
from tests.unit.runtime.controller.bench import KEY, LEADER, ControllerBench
from tests.unit.runtime.rollouts import create_rollout

PAUSED = {"maxUnavailable": 1, "steps": [{"pods": 1}, {"pause": {}}, {"pods": "100%"}]}


def reconciler(bench: ControllerBench, **spec: Any) -> RolloutReconciler:
    create_rollout(bench.world, **{"drain": {"settleSeconds": 1}, **spec})
    bench.world.wait(lambda: bench.informers.rollout(KEY) is not None)
    return RolloutReconciler(bench.context, bench.rollout, lambda _seconds: None)


def run_until(
    bench: ControllerBench, made: RolloutReconciler, kind: type[RolloutState], command: RunCommand | None = None
) -> RolloutState:
    for _ in range(1000):
        result = made.reconcile(bench.rollout, command)
        command = None
        if isinstance(result.state, kind):
            return result.state
        bench.world.scheduler.run_for(0.1)
    raise AssertionError(f"never {kind}")


def holder(bench: ControllerBench) -> str:
    name = lease_name(TargetRef("Deployment", "shop", "web"))
    lease = bench.world.request("GET", bench.world.path("coordination.k8s.io", "leases", name))
    return str(lease["spec"].get("holderIdentity") or "")


def test_a_target_that_does_not_exist_is_waited_for(bench: ControllerBench) -> None:
    made = reconciler(bench, target={"kind": "Deployment", "name": "nothing"})
    result = made.reconcile(bench.rollout, None)
    assert isinstance(result.state, WaitingState)
    assert (result.state.reason, result.requeue_after) == ("TargetNotFound", REQUEUE_SECONDS)
    assert (made.run_id, made.has_finished, made.has_to_free) == ("", False, False)


def test_a_container_that_does_not_exist_is_rejected(bench: ControllerBench) -> None:
    made = reconciler(bench, images=[{"container": "nothing", "image": "reg/app:2"}])
    result = made.reconcile(bench.rollout, None)
    assert isinstance(result.state, RejectedState)
    assert made.has_finished


def test_a_run_is_driven_to_its_end_and_the_lease_let_go(bench: ControllerBench) -> None:
    made = reconciler(bench)
    assert made.reconcile(bench.rollout, None) == ReconcileResult(None, 0.0)
    assert (bool(made.run_id), made.has_to_free, holder(bench)) == (True, True, LEADER.holder)
    ended = run_until(bench, made, FinishedState)
    assert isinstance(ended, FinishedState)
    assert (ended.run.outcome, made.has_finished, made.run_id) == ("Succeeded", True, "")
    assert holder(bench) == ""


def test_the_cached_lease_shows_the_end_at_once(bench: ControllerBench) -> None:
    """So that a request that comes before the watch does finds the run ended."""
    made = reconciler(bench)
    run_until(bench, made, FinishedState)
    target = TargetRef("Deployment", "shop", "web")
    cached = run_from_lease(bench.informers.in_namespace("shop").leases.get_by_name("shop", lease_name(target)))
    assert cached is not None
    assert cached.outcome == "Succeeded"


def test_a_paused_run_keeps_its_lease_and_nothing_to_free(bench: ControllerBench) -> None:
    made = reconciler(bench, strategy=PAUSED)
    paused = run_until(bench, made, FinishedState)
    assert isinstance(paused, FinishedState)
    assert (paused.run.outcome, made.has_finished, made.has_to_free) == ("Paused", False, False)
    assert holder(bench) == LEADER.holder
    result = made.reconcile(bench.rollout, "abort")
    assert result.requeue_after == 0.0
    ended = run_until(bench, made, FinishedState)
    assert isinstance(ended, FinishedState)
    assert ended.run.outcome == "Aborted"
    assert {pod.obj["spec"]["containers"][0]["image"] for pod in bench.world.pods()} == {"reg/app:1"}


def test_a_deleted_rollout_that_is_paused_lets_the_lease_go(bench: ControllerBench) -> None:
    made = reconciler(bench, strategy=PAUSED)
    run_until(bench, made, FinishedState)
    assert made.reconcile_delete(bench.rollout) is None
    assert (holder(bench), made.run_id) == ("", "")


def test_closing_writes_nothing(bench: ControllerBench) -> None:
    made = reconciler(bench)
    made.reconcile(bench.rollout, None)
    before = dict(bench.world.transport.requests)
    made.close()
    assert (made.run_id, bench.world.transport.requests) == ("", before)
    assert holder(bench) == LEADER.holder


def test_a_run_is_claimed_before_its_lease_shows_it(bench: ControllerBench) -> None:
    """Another rollout may have had this run: it is enqueued by the Lease, and must find the claim."""
    made = reconciler(bench)
    claims: list[str] = []
    bench.informers.in_namespace("shop").leases.subscribe(lambda _old, new: claims.append(made.run_id) if new else None)
    made.reconcile(bench.rollout, None)
    assert claims
    assert all(claims), claims
