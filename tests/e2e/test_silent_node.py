"""A node whose kubelet falls silent in the middle of an upgrade, with a real one's leases, taints and late news.

Each test has a node of its own, which takes no other's pods. More such scenarios are in tests/simulation/test_silent_nodes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.cluster.node import taint
from tests.recorder.log import condition
from tests.scenarios.facts import any_patched, back, recorded
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.proof
HISTORY = {1: "app:1", 2: "app:2"}


def falls_silent(cluster: Cluster, scene: Scene, node: int, pod: str) -> None:
    """Until the cluster has noticed."""
    cluster.signal_kubelet(node, signal.SIGSTOP)
    scene.until(lambda: condition(scene.get(f"pod/{pod}"), "Ready") == "False", "it is noticed", 180)


@pytest.fixture
def node(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[int]:
    cluster.add_node(request.param)
    yield request.param
    cluster.signal_kubelet(request.param, signal.SIGCONT)


@pytest.mark.parametrize("node", [3], indirect=True)
def test_its_pod_waits_and_the_others_go_on(cluster: Cluster, scene: Scene, node: int) -> None:
    """One pod on each of three nodes."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    scene.web(3, topologySpreadConstraints=[spread], tolerations=[taint(node)])
    (lost,) = (p["metadata"]["name"] for p in scene.pods() if p["spec"]["nodeName"] == f"node{node}")
    falls_silent(cluster, scene, node, lost)
    run = scene.stage.start(*scene.command("--max-unavailable", "2", app="app:2"))
    scene.until(lambda: f"(node{node}), which does not report" in run.stdout, "it says what it waits for", 60)
    scene.until_seen(back(scene.image("app:2"), 2), "the others are back", 120)
    assert scene.on_image("app:2") == set(scene.before) - {lost}
    assert not recorded(scene.pods())
    cluster.signal_kubelet(node, signal.SIGCONT)
    ended = run.wait()
    assert ended.code == 0, ended
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    scene.check_consistent("app:2", HISTORY)


@pytest.mark.parametrize("node", [4], indirect=True)
def test_a_pod_that_restarts_on_a_lost_node_fails_and_ends_later(cluster: Cluster, scene: Scene, node: int) -> None:
    scene.web(2, nodeSelector={"kubernetes.io/hostname": f"node{node}"}, tolerations=[taint(node)])
    command = scene.command("--max-unavailable", "1", "--restart-timeout", "60s", app="app:2")
    run = scene.stage.start(*command)
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    cluster.signal_kubelet(node, signal.SIGSTOP)
    ended = run.wait()
    (name,) = scene.on_image("app:2")
    assert ended.code == 1, ended
    assert f"pod/{name} RestartTimeout: waiting" in ended.stdout, ended
    assert f"pod/{name} is still closed" in ended.stdout, ended
    cluster.signal_kubelet(node, signal.SIGCONT)
    again = scene.stage.start(*command).wait()
    assert again.code == 0, again
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 2)
    scene.check_consistent("app:2", HISTORY, replicas=2)
