"""An embedded cluster with the product's API client on it, for modules that read what controllers have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.simulation.simulated_cluster import SimulatedCluster

CRD: Any = yaml.safe_load((Path(__file__).parents[3] / "deploy/crds/inplace.dev_inplacerollouts.yaml").read_text())


@pytest.fixture
def world() -> SimulatedCluster:
    """A namespace `shop`, on virtual time."""
    return SimulatedCluster()


@pytest.fixture
def with_rollouts(world: SimulatedCluster) -> SimulatedCluster:
    """The same, where InPlaceRollouts are served."""
    world.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    world.scheduler.run_for(1)
    return world
