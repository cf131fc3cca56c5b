"""What is for a real cluster alone: each file here says why. Everything else is in tests/scenarios."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.scenarios.real_cluster import RealCluster, real_stage
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def stage(cluster: Cluster, ns: str, tmp_path: Path) -> Iterator[RealCluster]:
    with real_stage(cluster, ns, tmp_path, quiet_seconds=3.0) as made:
        yield made


@pytest.fixture
def inplace(stage: RealCluster) -> Inplace:
    """The installed command, as admin or with another token, in the test's namespace."""
    return stage.inplace


@pytest.fixture
def scene(stage: RealCluster) -> Scene:
    return Scene(stage)


@pytest.fixture
def rollouts(scene: Scene) -> Rollouts:
    return Rollouts(scene)


@pytest.fixture
def definition(cluster: Cluster) -> None:
    """The CustomResourceDefinition, which stays: others use it, too."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(DEPLOY / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/inplacerollouts.inplace.dev", "--timeout=60s")


@pytest.fixture(scope="session")
def program(cluster: Cluster) -> str:
    """The full name of the project's own image, made from this very checkout; or of one that Docker has built, by hand."""
    return os.environ.get("INPLACE_IMAGE") or cluster.program()
