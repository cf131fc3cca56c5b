"""What a leader that dies in the middle of a run leaves to the next: whatever that finds, no pod stays closed for nobody."""

from __future__ import annotations

import signal

import pytest

from tests.recorder.log import condition
from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import GATE, container, deployment, pod, service
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene
from tests.scenarios.stage import Running

ONE = {"maxUnavailable": 1}


@pytest.fixture
def rollouts(scene: Scene) -> Rollouts:
    return Rollouts(scene)


def leader_dies(scene: Scene, rollouts: Rollouts, target: str = "deploy/web") -> None:
    """With a pod closed, and the rollout's status told."""
    controller = rollouts.control()
    rollouts.apply("up", target, app="app:2", strategy=ONE, drain={"settleSeconds": 5}, onDelete="Abort")
    scene.until_seen(any_closed, "a pod is closed")
    scene.until(lambda: rollouts.status("up").get("runID"), "the status tells the run")
    controller.send(signal.SIGKILL)
    controller.wait()


def publishes_all(scene: Scene) -> None:
    """A Service from now on goes on sending to pods that are closed: no run may begin."""
    scene.create(service("other", selector={"app": "web"}, publishNotReadyAddresses=True))


def until_nothing_is_left(scene: Scene) -> None:
    scene.until(lambda: all(condition(p, GATE) == "True" for p in scene.pods()), "all gates are open", 60)
    scene.check_no_orphans()


def test_what_would_be_refused_now_fails_and_frees_its_pods(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    leader_dies(scene, rollouts)
    publishes_all(scene)
    rollouts.control()
    status = rollouts.until("up", "Failed")
    assert "Service other" in status["message"], status
    until_nothing_is_left(scene)
    assert not scene.get("lease/inplace-deployment-web")["spec"].get("holderIdentity")
    assert "finalizers" not in scene.get("ipr/up")["metadata"]


def test_it_is_deleted_meanwhile(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    leader_dies(scene, rollouts)
    publishes_all(scene)
    scene.delete("ipr/up")
    rollouts.control()
    scene.until(lambda: scene.find("ipr/up") is None, "the rollout is gone")
    until_nothing_is_left(scene)
    assert scene.on_image("app:2") == set()


def test_a_bare_pod_of_it_is_deleted_meanwhile(scene: Scene, rollouts: Rollouts) -> None:
    scene.deploy(*(pod(name, scene.image("app:1")) for name in "abc"), count=3)
    leader_dies(scene, rollouts, "pod/a,b,c")
    (other,) = sorted(p["metadata"]["name"] for p in scene.pods() if condition(p, GATE) == "True")[:1]
    scene.delete(f"pod/{other}")
    scene.until(lambda: len(scene.pods()) == 2, "it is gone")
    rollouts.control()
    status = rollouts.until("up", "Failed")
    assert f"pod/{other}" in status["message"], status
    until_nothing_is_left(scene)


def test_what_was_done_to_its_run_meanwhile_is_shown_though_it_was_edited_too(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    controller = rollouts.control()
    rollouts.apply("up", app="app:crash", strategy=ONE)
    rollouts.until("up", "Failed")
    controller.send(signal.SIGTERM)
    controller.wait()
    aborted = scene.inplace("abort", "deploy/web")
    assert aborted.code == 0, aborted
    rollouts.edit("up", failure={"maxFailed": 3})
    rollouts.control()
    generation = scene.get("ipr/up")["metadata"]["generation"]
    scene.until(lambda: rollouts.status("up")["observedGeneration"] == generation, "the edit is seen")
    assert rollouts.phase("up") == "Aborted"


def failed(scene: Scene, rollouts: Rollouts) -> Running:
    """A rollout whose first pod did not come back in time: its image is as good as any, once nobody is in a hurry."""
    slow = container("app", scene.image("app:1"), boot=6)
    scene.deploy(deployment("web", [slow], replicas=2), service("web"), count=2)
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, restart={"timeoutSeconds": 1})
    rollouts.until("up", "Failed")
    scene.until(lambda: not scene.get("lease/inplace-deployment-web")["spec"].get("holderIdentity"), "it lets go", 30)
    rollouts.edit("up", restart={"timeoutSeconds": 300})
    return controller


@pytest.mark.parametrize(("verb", "phase", "ref"), [("resume", "Succeeded", "app:2"), ("abort", "Aborted", "app:1")])
def test_a_failed_run_goes_on_or_back_where_it_belongs(
    scene: Scene, rollouts: Rollouts, verb: str, phase: str, ref: str
) -> None:
    """The verb is passed to the controller, though it has let go of the run."""
    failed(scene, rollouts)
    asked = scene.inplace(verb, "deploy/web")
    assert asked.code == 0, asked
    assert f"asked inplacerollout/up to {verb}" in asked.stderr, asked
    scene.until(lambda: rollouts.phase("up") == phase, f"it is {phase}")
    scene.check_runs(2, app=ref)
    scene.check_no_orphans()
    scene.check_same_pods()


def test_its_leader_dies_before_the_status_says_that_it_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    controller = failed(scene, rollouts)
    rollouts.ask("up", "resume")
    scene.until(lambda: scene.get("lease/inplace-deployment-web")["spec"].get("holderIdentity"), "it is taken up", 30)
    controller.send(signal.SIGKILL)
    controller.wait()
    rollouts.control()
    scene.until(lambda: rollouts.phase("up") == "Succeeded", "the next goes on")
    scene.check_runs(2, app="app:2")
    scene.check_no_orphans()


def test_a_failed_run_goes_on_here_where_no_controller_answers(scene: Scene, rollouts: Rollouts) -> None:
    """As the run was stored: the edit is for a controller."""
    controller = failed(scene, rollouts)
    controller.send(signal.SIGTERM)
    controller.wait()
    asked = scene.inplace("resume", "deploy/web")
    assert "no controller answers for inplacerollout/up" in asked.stderr, asked
    assert (asked.code, "RestartTimeout" in asked.stdout) == (1, True), asked
    assert "inplace.dev/request" not in scene.get("ipr/up")["metadata"].get("annotations", {})
