"""pytest's plugin for `pytest -m e2e` and `-m proof`: one real cluster for the whole session, and a namespace for each test.

The process that pytest was started in owns the cluster; xdist's workers are told how to reach it. INPLACE_E2E_INSTANCE
names an instance that runs already and is left running. Without `-m e2e` nothing is started.
"""

import json
import os
import re
import signal
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.paths import minor, release
from tests.cluster.processes import ClusterError, born
from tests.cluster.wait import eventually

NAME, SESSION = "e2e", "inplace-test/session"
STARTED = pytest.StashKey[Cluster]()


def is_wanted(config: pytest.Config) -> bool:
    """Whether this session tests on a real cluster."""
    return config.option.markexpr in ("e2e", "proof")


def is_proof(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "proof")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is `proof` takes too long for `-m e2e`; what is `at_rest` belongs to both; what needs a newer cluster is skipped."""
    for item in items if is_wanted(config) else ():
        if (newer := item.get_closest_marker("since")) and minor() < newer.args[0]:
            item.add_marker(pytest.mark.skip(reason=f"needs Kubernetes 1.{newer.args[0]}, this is {release()}"))
    if is_proof(config):
        for item in items:
            if item.get_closest_marker("at_rest"):
                item.add_marker(pytest.mark.proof)
    if config.option.markexpr == "e2e":
        long = [item for item in items if item.get_closest_marker("proof")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """xdist makes a worker."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    if is_wanted(config):
        node.workerinput["cluster"] = start(config).describe()  # type: ignore[attr-defined]


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
        for version in ("1", "2", "3", "4", "crash", "mute", "nocommand", "badcommand"):
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
            cluster.kubectl("delete", "namespace", namespace["metadata"]["name"], "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    worker = getattr(request.config, "workerinput", None)
    if worker is None:
        return start(request.config)
    if "cluster" not in worker:
        pytest.fail("for tests on a real cluster say `pytest -m e2e`, as `make e2e` does")
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
