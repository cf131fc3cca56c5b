"""Whether a rollout may begin: another holder blocks it as long as that one lives, and `spec.paused` until a person says go."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.runs.rollouts import RejectedState, WaitingState, run_from_rollout
from inplace.kube.resources import LEASES
from inplace.model.objects.coordination import Lease
from inplace.runtime.controller.admission import RolloutAdmission
from tests.unit.runtime.controller.bench import KEY, LEADER, ControllerBench
from tests.unit.runtime.rollouts import create_rollout


def created(bench: ControllerBench, **spec: Any) -> RolloutAdmission:
    create_rollout(bench.world, **spec)
    bench.world.wait(lambda: bench.informers.rollout(KEY) is not None)
    return RolloutAdmission(bench.context)


def held_by(bench: ControllerBench, holder: str) -> Lease:
    body = {"metadata": {"name": "inplace-deployment-web"}, "spec": {"holderIdentity": holder}}
    bench.world.request("POST", bench.world.path("coordination.k8s.io", "leases"), body)
    return bench.world.api.get(LEASES, "shop", "inplace-deployment-web")


def blocked(bench: ControllerBench, admission: RolloutAdmission, lease: Lease | None) -> WaitingState | RejectedState | None:
    return admission.blocked_by(bench.rollout, run_from_rollout(bench.rollout), lease)


def test_a_free_target_blocks_nothing(bench: ControllerBench) -> None:
    assert blocked(bench, created(bench), None) is None


def test_a_living_holder_blocks_and_a_dead_one_does_not(bench: ControllerBench) -> None:
    admission = created(bench)
    lease = held_by(bench, "root@laptop")
    busy = blocked(bench, admission, lease)
    assert isinstance(busy, WaitingState)
    assert (busy.reason, "root@laptop" in busy.message) == ("TargetBusy", True)
    bench.world.scheduler.run_for(14)
    assert blocked(bench, admission, lease) == busy
    bench.world.scheduler.run_for(2)
    assert blocked(bench, admission, lease) is None, "it has not renewed for 15 s"


def test_a_lease_of_an_earlier_leader_is_ours(bench: ControllerBench) -> None:
    admission = created(bench)
    assert blocked(bench, admission, held_by(bench, LEADER.holder)) is None


@pytest.mark.parametrize(("on_busy", "kind"), [("Wait", WaitingState), ("Refuse", RejectedState)])
def test_a_busy_target_is_answered_as_the_rollout_says(bench: ControllerBench, on_busy: str, kind: type[object]) -> None:
    admission = created(bench, onBusy=on_busy)
    assert isinstance(blocked(bench, admission, held_by(bench, "root@laptop")), kind)


def test_a_rollout_created_paused_waits(bench: ControllerBench) -> None:
    waiting = blocked(bench, created(bench, paused=True), None)
    assert waiting == WaitingState("Paused", "spec.paused is true: the run has not begun")
