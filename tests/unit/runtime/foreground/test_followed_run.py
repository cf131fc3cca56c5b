"""What is followed, by its Lease or by its InPlaceRollout, and when that is over."""

from __future__ import annotations

import msgspec
import pytest

from inplace.engine.planning.plan import RunResult
from inplace.kube.errors import ApiError
from inplace.kube.resources import LEASES
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.followed_run import NOT_SEEN, LeaseRun, RolloutRun
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.rollouts import PATH, create_rollout, read_rollout, set_status

WEB = TargetRef("Deployment", "shop", "web")


@pytest.fixture
def lines() -> list[str]:
    return []


def upgraded(world: SimulatedCluster) -> Lease:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    return world.api.get(LEASES, "shop", lease_name(WEB))


class TestByLease:
    def test_the_outcome_counts_once_nobody_holds_the_lease(self, world: SimulatedCluster, lines: list[str]) -> None:
        lease = upgraded(world)
        followed = LeaseRun(world.api, WEB, lines.append)
        held = msgspec.structs.replace(lease, spec=msgspec.structs.replace(lease.spec, holder_identity="somebody"))
        assert followed.poll(held, is_synced=True) is None
        assert followed.poll(lease, is_synced=False) is None
        finished = followed.poll(lease, is_synced=True)
        assert finished is not None
        assert finished.outcome == "Succeeded"

    def test_a_target_without_a_run_is_refused(self, world: SimulatedCluster, lines: list[str]) -> None:
        with pytest.raises(RefusedError, match="has no run to watch"):
            LeaseRun(world.api, WEB, lines.append).poll(None, is_synced=True)

    def test_a_lease_that_goes_with_its_target_is_a_failure(self, world: SimulatedCluster, lines: list[str]) -> None:
        lease = upgraded(world)
        followed = LeaseRun(world.api, WEB, lines.append)
        held = msgspec.structs.replace(lease, spec=msgspec.structs.replace(lease.spec, holder_identity="somebody"))
        followed.poll(held, is_synced=True)
        assert followed.poll(None, is_synced=True) == RunResult("Failed", f"{WEB} was deleted")


class TestByRollout:
    def test_a_rollout_that_no_controller_sees_is_mentioned_once(
        self, with_rollouts: SimulatedCluster, lines: list[str]
    ) -> None:
        create_rollout(with_rollouts)
        followed = RolloutRun(with_rollouts.api, read_rollout(with_rollouts), lines.append)
        assert followed.poll(None, is_synced=True) is None
        assert lines == []
        for _ in range(2):
            with_rollouts.scheduler.run_for(15)
            assert followed.poll(None, is_synced=True) is None
        assert lines == [NOT_SEEN]

    def test_what_it_waits_for_is_told_when_it_changes(self, with_rollouts: SimulatedCluster, lines: list[str]) -> None:
        create_rollout(with_rollouts)
        followed = RolloutRun(with_rollouts.api, read_rollout(with_rollouts), lines.append)
        for message in ("busy", "busy", "still busy"):
            set_status(with_rollouts, phase="Waiting", message=message)
            assert followed.poll(None, is_synced=True) is None
        assert lines == ["waiting: busy", "waiting: still busy"]

    @pytest.mark.parametrize(("through_pauses", "finished"), [(False, RunResult("Paused", "a step")), (True, None)])
    def test_a_pause_ends_it_unless_pauses_are_passed(
        self, with_rollouts: SimulatedCluster, lines: list[str], through_pauses: bool, finished: RunResult | None
    ) -> None:
        create_rollout(with_rollouts)
        followed = RolloutRun(with_rollouts.api, read_rollout(with_rollouts), lines.append, through_pauses=through_pauses)
        set_status(with_rollouts, phase="Paused", message="a step")
        assert followed.poll(None, is_synced=True) == finished

    def test_a_refused_or_deleted_rollout_is_an_error(self, with_rollouts: SimulatedCluster, lines: list[str]) -> None:
        create_rollout(with_rollouts)
        followed = RolloutRun(with_rollouts.api, read_rollout(with_rollouts), lines.append)
        set_status(with_rollouts, phase="Refused", message="no such container")
        with pytest.raises(RefusedError, match="no such container"):
            followed.poll(None, is_synced=True)
        with_rollouts.request("DELETE", f"{PATH}/up")
        with pytest.raises(ApiError, match="InPlaceRollout up was deleted"):
            followed.poll(None, is_synced=True)
