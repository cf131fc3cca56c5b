"""One real cluster for the whole session, and for each test a namespace, a witness and the command.

The process that pytest was started in owns the cluster; xdist's workers are told how to reach it. INPLACE_E2E_INSTANCE
names an instance that runs already and is left running.
"""

import json
import os
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.processes import ClusterError, born
from tests.e2e.command import Inplace
from tests.e2e.scenarios import Scene
from tests.e2e.support import eventually
from tests.recorder import Recorder

NAME, SESSION = "e2e", "inplace-test/session"
STARTED = pytest.StashKey[Cluster]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """xdist makes a worker."""
    node.workerinput["cluster"] = start(node.config).describe()  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    if (cluster := config.stash.get(STARTED, None)) and "INPLACE_E2E_INSTANCE" not in os.environ:
        cluster.down()


def start(config: pytest.Config) -> Cluster:
    """The cluster of this session, started at the first call."""
    if STARTED not in config.stash:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the cluster is taken down then too
        try:
            reused = os.environ.get("INPLACE_E2E_INSTANCE")
            cluster = Cluster.load(reused) if reused else Cluster.up(NAME, nodes=2, owned=True)
        except ClusterError as error:
            pytest.exit(f"no test cluster: {error}", returncode=3)
        config.stash[STARTED] = cluster
        delete_leftovers(cluster)
        for version in ("1", "2", "3", "4", "crash", "mute"):
            cluster.image(f"app:{version}", version)
        for ref, version in (("app:2b", "2"), ("side:1", "1"), ("side:2", "2")):
            cluster.image(ref, version)
    return config.stash[STARTED]


def session() -> str:
    """Names this process: the cluster is confined to the machine as well."""
    return f"{os.getpid()}-{born(os.getpid())}"


def delete_leftovers(cluster: Cluster) -> None:
    """Namespaces of sessions that were killed."""
    for namespace in json.loads(cluster.kubectl("get", "namespaces", "-l", SESSION, "-o", "json"))["items"]:
        pid, _, start_time = namespace["metadata"]["labels"][SESSION].partition("-")
        if born(int(pid)) != start_time:
            cluster.kubectl("delete", "namespace", namespace["metadata"]["name"], "--wait=false")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    worker = getattr(request.config, "workerinput", None)
    if worker is None:
        return start(request.config)
    if "cluster" not in worker:
        pytest.fail("name tests/e2e on pytest's command line, as `make e2e` does: its conftest must load before the workers")
    return Cluster.parse(worker["cluster"])


@pytest.fixture
def ns(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace; its deletion is not waited for."""
    test = re.sub("[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:30].strip("-")
    name = f"{test}-{uuid.uuid4().hex[:6]}"
    meta = {"name": name, "labels": {SESSION: session()}}
    cluster.kubectl("create", "-f-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
    eventually(lambda: cluster.kubectl("-n", name, "get", "serviceaccount", "default", "--ignore-not-found"), "service account")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


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
