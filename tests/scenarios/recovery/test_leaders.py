"""Leaders that die, let go, or are asked again: whatever the next one finds, no pod stays closed for nobody."""

from __future__ import annotations

import signal

import pytest

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Running, kill
from tests.scenarios.facts import any_closed, any_patched
from tests.scenarios.manifests import GATE, container, deployment, pod, service
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import Scene


def leader_dies(scene: Scene, rollouts: Rollouts, target: str = "deploy/web") -> None:
    """With a pod closed, and the rollout's status told."""
    controller = rollouts.control()
    rollouts.apply("up", target, app="app:2", strategy=ONE, drain={"settleSeconds": 5}, onDelete="Abort")
    scene.until_seen(any_closed, "a pod is closed")
    scene.until(lambda: rollouts.status("up").get("runID"), "the status tells the run")
    kill(controller)


def publishes_all(scene: Scene) -> None:
    """A Service from now on goes on sending to pods that are closed: no run may begin."""
    scene.create(service("other", selector={"app": "web"}, publishNotReadyAddresses=True))


def closed_on(scene: Scene, ref: str) -> set[str]:
    """The pods that are closed now and run that image."""
    return scene.on_image(ref) & {p["metadata"]["name"] for p in scene.pods() if condition(p, GATE) == "False"}


def until_nothing_is_left(scene: Scene) -> None:
    scene.until(lambda: all(condition(p, GATE) == "True" for p in scene.pods()), "all gates are open", 60)
    scene.check_no_orphans()


def test_a_run_that_would_be_refused_now_fails_and_frees_pods(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    leader_dies(scene, rollouts)
    publishes_all(scene)
    rollouts.control()
    status = rollouts.until("up", "Failed")
    assert "Service other" in status["message"], status
    until_nothing_is_left(scene)
    assert not scene.holder()
    assert "finalizers" not in scene.get("ipr/up")["metadata"]


def test_an_adopted_run_that_would_be_refused_now_fails_too(scene: Scene, rollouts: Rollouts) -> None:
    """Another rollout's, for the same images, which had failed."""
    controller = failed(scene, rollouts)
    rollouts.apply("next", app="app:2", strategy=ONE, drain={"settleSeconds": 5})
    scene.until(lambda: rollouts.status("next").get("runID") == rollouts.status("up")["runID"], "it takes the run up")
    scene.until(lambda: closed_on(scene, "app:1"), "the second is closed")
    kill(controller)
    publishes_all(scene)
    rollouts.control()
    status = rollouts.until("next", "Failed")
    assert "Service other" in status["message"], status
    until_nothing_is_left(scene)


def test_a_rollout_deleted_while_nobody_leads_is_ended(scene: Scene, rollouts: Rollouts) -> None:
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


def test_what_befell_a_run_while_nobody_led_is_shown(scene: Scene, rollouts: Rollouts) -> None:
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
    scene.until(lambda: not scene.holder(), "it lets go", 30)
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
    scene.until(lambda: scene.holder(), "it is taken up", 30)
    kill(controller)
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
    assert not scene.request_on("ipr/up")


def test_deleted_while_nobody_leads_it_is_ended_by_the_next(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE)
    scene.until_seen(any_closed, "the first pod is closed")
    kill(first)
    scene.delete("ipr/up")
    assert scene.get("ipr/up")["metadata"]["deletionTimestamp"]
    rollouts.control()
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone", 120)
    scene.check_no_orphans()
    scene.check_same_pods()
    assert not scene.holder()


def test_a_lease_deleted_by_hand_does_not_leave_pods_closed(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, drain={"settleSeconds": 3})
    scene.until_seen(any_closed, "the first pod is closed")
    scene.delete("lease/inplace-deployment-web")
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone", 120)
    scene.check_no_orphans()
    scene.check_same_pods()


def test_a_controller_is_killed_and_the_next_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE)
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched")
    kill(first)
    run = scene.stored_run()
    rollouts.control()
    rollouts.until("up", "Succeeded")
    assert scene.stored_run()["id"] == run["id"]
    scene.check(upgraded=3, writes=None)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})


def test_what_was_asked_while_nobody_led_is_asked_of_the_next(scene: Scene, rollouts: Rollouts) -> None:
    """On the Lease, as the command does: taking it must not drop that."""
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    kill(first)
    scene.annotate("lease/inplace-deployment-web", {"inplace.dev/request": "promote"})
    rollouts.control()
    rollouts.until("up", "Succeeded")


def test_repair_leaves_alone_what_a_living_controller_holds(scene: Scene, rollouts: Rollouts) -> None:
    """It never renews the Leases of its runs, only its own."""
    scene.web(2)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    held = scene.get("lease/inplace-deployment-web")["spec"]
    for words in (("repair",), ("repair", "deploy/web")):
        repaired = scene.inplace(*words)
        assert repaired.code == 0, repaired
        assert f"{held['holderIdentity']} is at work: left alone" in repaired.stdout
    assert scene.get("lease/inplace-deployment-web")["spec"] == held
    rollouts.ask("up", "promote")
    rollouts.until("up", "Succeeded")
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


def test_a_restarted_leader_leaves_ended_and_holds_paused_runs(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("done", app="app:2", strategy=ONE)
    rollouts.until("done", "Succeeded")
    rollouts.apply("half", app="app:3", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("half", "Paused")
    first.send(signal.SIGTERM)
    first.wait()
    writes = scene.witness.version()
    rollouts.control()
    scene.until(lambda: scene.inplace("promote", "deploy/web").code == 0, "the new one obeys", 60)
    rollouts.until("half", "Succeeded")
    assert rollouts.phase("done") == "Succeeded"
    assert scene.witness.version() > writes
    scene.check_consistent("app:3", {1: "app:1", 2: "app:2", 3: "app:3"}, replicas=2)
    scene.check_same_pods()
