"""Scenarios that only the simulator can play: faults and hours that no real cluster can be given. The others are in
tests/scenarios."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[EmbeddedCluster]:
    made = EmbeddedCluster("shop", tmp_path / "recorder.jsonl")
    yield made
    made.close()


@pytest.fixture
def scene(stage: EmbeddedCluster) -> Scene:
    return Scene(stage)


@pytest.fixture
def rollouts(scene: Scene) -> Rollouts:
    return Rollouts(scene)
