"""Every scenario takes a `scene`. `pytest -m e2e` runs them all on a real cluster, anything else on the embedded one.

There everything is a function of a seed: INPLACE_SEED, which is 1. Of a scenario that is marked `sampled` a real cluster, where
time is dear, runs only one of its parameter sets (other seeds, other ones); the embedded one and `make proof` run them all.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.plugin import is_proof, is_wanted
from tests.scenarios.real import real_stage
from tests.scenarios.scene import Scene
from tests.scenarios.stage import Stage
from tests.scenarios.virtual import VirtualStage

SEED = int(os.environ.get("INPLACE_SEED", "1"))
QUIET_SECONDS, PROVEN_QUIET_SECONDS = 3.0, 30.0
"""On a real cluster, for those that are to end at rest."""
VIRTUAL, REAL = pytest.param("virtual"), pytest.param("real", marks=pytest.mark.e2e)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", [REAL if is_wanted(metafunc.config) else VIRTUAL], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not is_wanted(config) or is_proof(config):
        return
    sampled: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            sampled.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out = {
        item
        for turn, those in enumerate(sampled.values(), SEED)
        for number, item in enumerate(those)
        if number != turn % len(those)
    }
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "virtual":
        name = re.sub("[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:30].strip("-")
        embedded = VirtualStage(name, tmp_path / "recorder.jsonl", SEED)
        yield embedded
        embedded.close()
        return
    cluster, ns = request.getfixturevalue("cluster"), request.getfixturevalue("ns")
    quiet_seconds = PROVEN_QUIET_SECONDS if is_proof(request.config) else QUIET_SECONDS
    with real_stage(cluster, ns, tmp_path, quiet_seconds) as real:
        yield real


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return Scene(stage)
