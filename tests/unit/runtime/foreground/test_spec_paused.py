"""A run whose InPlaceRollout has `spec.paused` is driven on by nobody, controller or command."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.spec_paused import find_rollout, require_not_paused
from tests.builders import run
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.rollouts import create_rollout, set_status

WEB = TargetRef("Deployment", "shop", "web")


def paused(**fields: Any) -> Run:
    return run(target=WEB, id="run-1", outcome="Paused", **fields)


def test_the_rollout_of_a_run_is_found_by_the_runs_id(with_rollouts: SimulatedCluster) -> None:
    create_rollout(with_rollouts)
    assert find_rollout(with_rollouts.api, WEB, paused()) is None
    set_status(with_rollouts, phase="Paused", runID="run-1")
    found = find_rollout(with_rollouts.api, WEB, paused())
    assert found is not None
    assert found.metadata.name == "up"


def test_a_cluster_without_rollouts_holds_nothing(world: SimulatedCluster) -> None:
    assert find_rollout(world.api, WEB, paused()) is None
    require_not_paused(world.api, WEB, paused())


@pytest.mark.parametrize(("is_paused", "is_refused"), [(True, True), (False, False)])
def test_a_run_held_by_spec_paused_is_refused_by_name(
    with_rollouts: SimulatedCluster, is_paused: bool, is_refused: bool
) -> None:
    create_rollout(with_rollouts, paused=is_paused)
    set_status(with_rollouts, phase="Paused", runID="run-1")
    if not is_refused:
        require_not_paused(with_rollouts.api, WEB, paused())
        return
    with pytest.raises(RefusedError, match="is held by InPlaceRollout up: "):
        require_not_paused(with_rollouts.api, WEB, paused())
