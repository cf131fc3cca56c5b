"""What the parts of a repair are given, with the report that they make."""

from __future__ import annotations

import pytest

from inplace.runtime.repair.context import RepairContext, RepairEvent
from tests.simulation.simulated_cluster import SimulatedCluster


@pytest.fixture
def events() -> list[RepairEvent]:
    return []


@pytest.fixture
def context(world: SimulatedCluster, events: list[RepairEvent]) -> RepairContext:
    return RepairContext(world.api, "medic", events.append, lambda _session: None, world.host, dry_run=False)
