"""A controller's parts on an embedded cluster with a Deployment `web` of two pods."""

from __future__ import annotations

import pytest

from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.controller.bench import ControllerBench


@pytest.fixture
def bench(with_rollouts: SimulatedCluster) -> ControllerBench:
    with_rollouts.app("web", "reg/app:1", replicas=2)
    made = ControllerBench(with_rollouts)
    made.watch()
    return made
