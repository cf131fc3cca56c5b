"""How a target stands for those who only look: without a run, and after one."""

from __future__ import annotations

import pytest

from inplace.model.refs import TargetRef
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.target_status import history, read_status
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")
STRATEGIC = "application/strategic-merge-patch+json"


def test_without_a_run_there_are_pods_and_no_counts(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    status = read_status(world.api, WEB)
    assert (status.target, status.state, status.counts) == (str(WEB), None, None)
    assert [(pod.gate, pod.stage, pod.ready, pod.revision) for pod in status.pods] == [("Open", "", True, 1)] * 2


def test_after_a_run_its_counts_and_outcome_are_shown(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    status = read_status(world.api, WEB)
    assert status.state is not None
    assert status.counts is not None
    assert (status.state.standing, status.counts.desired, status.counts.updated) == ("Succeeded", 2, 2)
    assert [pod.images for pod in status.pods] == [{"app": "reg/app:2"}] * 2


def test_a_gate_closed_by_hand_is_named(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=1)
    (pod,) = world.pods()
    closed = {"status": {"conditions": [{"type": "inplace.dev/ready", "status": "False"}]}}
    world.request("PATCH", world.path("", "pods", pod.name, "status"), closed, STRATEGIC)
    (shown,) = read_status(world.api, WEB).pods
    assert (shown.gate, shown.closed_by) == ("Closed", "closed by hand")


def test_history_tells_which_run_made_a_revision(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    entries = history(world.api, WEB).items
    assert [(entry.images["app"], entry.run) for entry in entries] == [("reg/app:1", ""), ("reg/app:2", "run-1")]


def test_a_target_that_does_not_exist_is_refused(world: SimulatedCluster) -> None:
    for read in (read_status, history):
        with pytest.raises(RefusedError, match="does not exist"):
            read(world.api, WEB)
