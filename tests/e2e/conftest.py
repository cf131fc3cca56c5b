"""What is for a real cluster alone: each test here says why. Everything else is in tests/scenarios."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.e2e.scenarios import Scene
from tests.recorder import Recorder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def recorder(cluster: Cluster, ns: str, tmp_path: Path) -> Iterator[Recorder]:
    """Witnesses the namespace from now on; the test asks for its verdict with `recorder.check(Rules(...))`."""
    with Recorder(cluster, ns, tmp_path / "recorder.jsonl") as witness:
        yield witness


@pytest.fixture
def inplace(cluster: Cluster, ns: str, tmp_path: Path) -> Iterator[Inplace]:
    """The installed command, as admin, with the test's namespace as the kubeconfig's own."""
    command = Inplace(cluster, ns, tmp_path)
    yield command
    command.stop_all()


@pytest.fixture
def scene(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> Scene:
    return Scene(cluster, ns, recorder, inplace)
