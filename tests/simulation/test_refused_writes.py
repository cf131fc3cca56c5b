"""A controller whose writes the API server refuses, such as by an admission policy or a Role that lost a verb. On the embedded
cluster alone: there the refusal is of any request, from any moment to any other, and hours take no time."""

from __future__ import annotations

import re

import pytest

from inplace.kube.protocols import Request, Response
from tests.recorder import Rules
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.embedded_cluster import Command, EmbeddedCluster
from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import GATE
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

WHY = "admission webhook policy.example denied the request: this image is not allowed"
DENIED = Response(
    status=403, body=b'{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"%s"}' % WHY.encode()
)


def no_image(request: Request) -> Response | None:
    """In the middle: what is refused from the first is known before it begins."""
    is_image = request.method == "PATCH" and re.search(r"/pods/[^/]+$", request.path) and b":2" in (request.body or b"")
    return DENIED if is_image and not request.is_dry_run else None


def no_status(request: Request) -> Response | None:
    return DENIED if re.search(r"/pods/[^/]+/status$", request.path) and not request.is_dry_run else None


def refusing(rollouts: Rollouts) -> Command:
    """A controller that may not give a pod the image `app:2`."""
    command = rollouts.control()
    assert isinstance(command, Command)
    command.transport.interfere = no_image
    return command


def apply(scene: Scene, rollouts: Rollouts, action: str = "Pause") -> None:
    """Until the first pod is closed and its image refused."""
    scene.web(3)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1}, failure={"action": action})
    scene.until_seen(any_closed, "the first pod is closed")
    scene.until(lambda: rollouts.status("up").get("message") == WHY, "the status says what is refused")


@pytest.mark.parametrize(("action", "phase"), [("Pause", "Failed"), ("Rollback", "RolledBack"), ("Continue", "Failed")])
def test_a_pod_whose_image_is_refused_for_good_is_reopened(stage: EmbeddedCluster, action: str, phase: str) -> None:
    scene = Scene(stage)
    rollouts = Rollouts(scene)
    refusing(rollouts)
    apply(scene, rollouts, action)
    ended = rollouts.until("up", phase, 3600)
    assert "PatchTimeout" in str(ended)
    assert len(ended.get("failures", ())) == {"Pause": 1, "Rollback": 0, "Continue": 3}[action]
    scene.until(lambda: all(condition(pod, "Ready") == "True" for pod in scene.pods()), "every pod serves")
    assert all(condition(pod, GATE) == "True" and not annotation(pod, RECORD) for pod in scene.pods())
    assert scene.on_image("app:2") == set()
    scene.check_same_pods()
    scene.check_no_orphans()
    scene.witness.check(Rules(1, "Deployment/web", upgraded=None, writes_per_pod=None))


def test_a_right_that_comes_back_in_time_is_all_it_waited_for(stage: EmbeddedCluster) -> None:
    """And since when the pod is out of service is said the same all the while."""
    scene = Scene(stage)
    rollouts = Rollouts(scene)
    command = refusing(rollouts)
    apply(scene, rollouts)
    (flying,) = rollouts.status("up")["inFlight"]
    stage.let_pass(240)
    assert rollouts.status("up")["inFlight"] == [flying]
    command.transport.interfere = lambda _request: None
    rollouts.until("up", "Succeeded")
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    scene.check_same_pods()


def test_a_command_frees_the_pods_it_closed_before_it_gives_up(stage: EmbeddedCluster) -> None:
    scene = Scene(stage)
    scene.web(3)
    run = stage.start(*scene.command("--max-unavailable", "2", app="app:2"))
    assert isinstance(run, Command)
    run.transport.interfere = no_image
    ended = run.wait()
    assert ended.code == 1, ended
    assert f"the API server refuses: {WHY}" in ended.stdout, ended
    scene.check_no_orphans()
    assert scene.on_image("app:2") == set()
    assert not scene.holder()
    scene.witness.check(Rules(2, "Deployment/web", upgraded=None, writes_per_pod=None))


def test_what_is_refused_for_long_is_tried_until_it_is_not(stage: EmbeddedCluster) -> None:
    """The closing of a gate, which keeps no pod out of service."""
    scene = Scene(stage)
    scene.web(3)
    rollouts = Rollouts(scene)
    command = rollouts.control()
    assert isinstance(command, Command)
    command.transport.interfere = no_status
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    stage.let_pass(1200)
    assert rollouts.status("up")["message"] == WHY
    assert "a bug" not in command.stdout
    command.transport.interfere = lambda _request: None
    rollouts.until("up", "Succeeded")
