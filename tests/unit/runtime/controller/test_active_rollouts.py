"""Which rollout has claimed a run: in a reconciler, in a status, or by the run's own name."""

from __future__ import annotations

from inplace.model.rollout import InPlaceRollout
from inplace.runtime.controller.active_rollouts import ActiveRollouts
from inplace.runtime.controller.reconciler import RolloutReconciler
from tests.unit.runtime.controller.bench import KEY, ControllerBench
from tests.unit.runtime.rollouts import PATH, create_rollout, set_status


def create(bench: ControllerBench, name: str) -> InPlaceRollout:
    create_rollout(bench.world, name)
    bench.world.wait(lambda: bench.informers.rollout(("shop", name)) is not None)
    found = bench.informers.rollout(("shop", name))
    assert found is not None
    return found


def test_a_status_claims_a_run_until_it_has_ended(bench: ControllerBench) -> None:
    first, second = create(bench, "first"), create(bench, "second")
    set_status(bench.world, "first", phase="Progressing", runID="run-1")
    bench.world.scheduler.run_for(1)
    assert bench.active.claimant("run-1", second) == "first"
    assert bench.active.claimant("run-1", first) == ""
    set_status(bench.world, "first", phase="Succeeded", runID="run-1")
    bench.world.scheduler.run_for(1)
    assert bench.active.claimant("run-1", second) == ""


def test_a_reconciler_claims_before_the_status_does(bench: ControllerBench) -> None:
    up, other = create(bench, "up"), create(bench, "other")
    reconciler = RolloutReconciler(bench.context, up, lambda _seconds: None)
    bench.active.add(up, reconciler)
    reconciler.reconcile(up, None)
    assert bench.active.claimant(reconciler.run_id, other) == "up"


def test_a_rollout_created_again_has_no_reconciler(bench: ControllerBench) -> None:
    before = create(bench, "up")
    bench.active.add(before, RolloutReconciler(bench.context, before, lambda _seconds: None))
    bench.world.request("DELETE", f"{PATH}/up")
    bench.world.wait(lambda: bench.informers.rollout(KEY) is None)
    after = create(bench, "up")
    assert bench.active.get(before) is not None
    assert bench.active.get(after) is None
    assert bench.active.at(KEY) is bench.active.get(before)
    assert bench.active.close(KEY) == before.metadata.uid
    assert bench.active.close(KEY) == ""


def test_a_rollout_that_nobody_reconciles_has_no_reconciler(bench: ControllerBench) -> None:
    active = ActiveRollouts(bench.informers)
    assert (active.get(create(bench, "up")), active.at(KEY), active.close(KEY)) == (None, None, "")
