"""The target is another than the run was begun on: rolled out by somebody else since, or deleted and created again.

Every verb says so, takes nobody's pods anywhere, and frees what the run has left.
"""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.facts import back, images_in
from tests.scenarios.manifests import GATE, deployment, partition, pod, service, statefulset
from tests.scenarios.objects import ApiRefused
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import LEASE, WEB, Scene
from tests.scenarios.workload_scenario import KINDS, STATEFUL_SET, Kind, WorkloadScenario

pytestmark = [pytest.mark.at_rest, pytest.mark.sampled]

ROLLED_OUT = "somebody rolled out app={} since the run was begun (ReplicaSet "
AGAIN = "{} was deleted and created again since the run was begun"
RESTART = r"PATCH .*/pods/[^/]+ "
"""The image patch of a pod."""
VERBS = pytest.mark.parametrize("verb", ["abort", "resume", "pause"])


def killed(scene: Scene, target: str = WEB) -> None:
    """A run to app:2 that dies with one pod closed and patched."""
    scene.killed_at(RESTART, 1, "after", *scene.command("--max-unavailable", "1", target=target, app="app:2"))


def delete(scene: Scene, target: str, propagation: str) -> None:
    """As `kubectl delete --cascade=...`."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
    scene.send("DELETE", scene.path(*target.split("/")), options)
    scene.until(lambda: scene.find(target) is None, "it is gone")


def check_untouched(scene: Scene, target: str, ref: str, spec: object) -> None:
    """Nobody has taken a pod or the workload anywhere, and nothing of a run is left on them."""
    assert scene.get(target)["spec"] == spec
    assert scene.on_image(ref) == set(scene.before)
    scene.check_same_pods()
    for found in scene.pods():
        assert not annotation(found, RECORD)
        assert condition(found, GATE) == "True"


@VERBS
def test_somebody_rolled_out_the_same_image(scene: Scene, verb: str) -> None:
    scene.web(3)
    scene.run_gates()
    killed(scene)
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until_rolled_out()
    scene.remember()
    spec = scene.get(WEB)["spec"]
    status = scene.inplace("status", WEB)
    assert ROLLED_OUT.format(scene.image("app:2")) in status.stdout
    assert "a pod recreated now starts with" not in status.stdout
    refused = scene.inplace(verb, WEB)
    assert refused.code == 5, refused
    assert ROLLED_OUT.format(scene.image("app:2")) in refused.stderr
    assert f"`inplace upgrade {WEB}`" in refused.stderr
    check_untouched(scene, WEB, "app:2", spec)
    assert scene.history() == {1: "app:1", 2: "app:2"}


def test_undo_of_what_somebody_rolled_out_keeps_the_history(scene: Scene) -> None:
    scene.web(3)
    scene.run_gates()
    killed(scene)
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until_rolled_out()
    scene.remember()
    undone = scene.inplace("undo", WEB, "--settle", "1s")
    assert undone.code == 0, undone
    scene.check_same_pods()
    scene.check_consistent("app:1", {2: "app:2", 3: "app:1"})


def test_a_sync_of_the_same_image_in_the_middle_of_a_rollout(scene: Scene, rollouts: Rollouts) -> None:
    """And then somebody asks to abort it."""
    scene.web(3)
    rollouts.control()
    scene.run_gates()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(back(scene.image("app:2"), 1), "one is back")
    scene.set_images(WEB, app=scene.image("app:2"))
    rollouts.until("up", "Failed")
    scene.until_rolled_out()
    scene.remember()
    spec = scene.get(WEB)["spec"]
    rollouts.ask("up", "abort")
    said = ROLLED_OUT.format(scene.image("app:2"))
    scene.until(lambda: said in rollouts.status("up").get("message", ""), "it says who has its pods")
    assert rollouts.phase("up") == "Failed"
    check_untouched(scene, WEB, "app:2", spec)
    assert scene.history() == {1: "app:1", 2: "app:2"}
    by_verb = scene.inplace("abort", WEB)
    assert by_verb.code == 5, by_verb
    assert said in by_verb.stderr
    check_untouched(scene, WEB, "app:2", spec)


def test_rolled_out_while_the_controller_was_away(scene: Scene, rollouts: Rollouts) -> None:
    """Whoever leads next takes the run up: not on other pods than it was begun on."""
    scene.web(3)
    scene.run_gates()
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    controller.send(signal.SIGKILL)
    scene.set_images(WEB, app=scene.image("app:3"))
    scene.until_rolled_out()
    scene.remember()
    spec = scene.get(WEB)["spec"]
    rollouts.control()
    message = rollouts.until("up", "Failed")["message"]
    assert f"somebody set container app of {WEB} to {scene.image('app:3')}" in message
    check_untouched(scene, WEB, "app:3", spec)


@pytest.mark.parametrize("verb", ["abort", "resume"])
@KINDS
def test_edited_and_rolled_out_since(scene: Scene, kind: Kind, verb: str) -> None:
    """More than images, so that every pod carries another revision, with the run's own image."""
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    spec = {
        "template": {
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": scene.image("app:2")}]}
        }
    }
    strategy = {} if kind.short == "deploy" else {"updateStrategy": story.kept}
    scene.patch(kind.web, {"spec": {**spec, **strategy}})
    scene.until(
        lambda: story.is_rolled_out("app:2") and not set(scene.uids().values()) & set(scene.before.values()), "rolled out"
    )
    scene.remember()
    found = scene.get(kind.web)["spec"]
    refused = scene.inplace(verb, kind.web)
    assert refused.code == 5, refused
    assert "since the run was begun" in refused.stderr
    check_untouched(scene, kind.web, "app:2", found)


@pytest.mark.parametrize("cascade", ["Orphan", "Background"])
@VERBS
def test_created_again_under_its_name(scene: Scene, verb: str, cascade: str) -> None:
    """With --cascade=orphan the Lease of the run outlives its target; otherwise it goes with it."""
    scene.web(3)
    scene.run_gates()
    killed(scene)
    delete(scene, WEB, cascade)
    for rs in scene.all("rs"):
        with suppress(ApiRefused):  # the garbage collector may be faster
            scene.delete(f"rs/{rs['metadata']['name']}")
    scene.until(lambda: not scene.all("pod"), "its pods are gone")
    scene.deploy(deployment("web", scene.image("app:4"), replicas=3), count=3, gate=None)
    spec = scene.get(WEB)["spec"]
    outlived = scene.find(f"lease/{LEASE}") is not None
    refused = scene.inplace(verb, WEB)
    assert refused.code == 5, refused
    assert (AGAIN.format(WEB) in refused.stderr) == outlived
    assert scene.find(f"lease/{LEASE}") is None
    check_untouched(scene, WEB, "app:4", spec)
    again = scene.inplace(*scene.command("--max-unavailable", "1", app="app:2"))
    assert again.code == 0, again
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:4", 2: "app:2"})


@VERBS
def test_created_again_around_the_pods_that_the_run_has_closed(scene: Scene, verb: str) -> None:
    """--cascade=orphan, as people move a workload between tools: the pods live on, and the verb opens them."""
    scene.web(3)
    killed(scene)
    delete(scene, WEB, "Orphan")
    scene.create(deployment("web", scene.image("app:1"), replicas=3))
    scene.until(lambda: scene.get(WEB).get("status", {}).get("updatedReplicas") == 3, "it has adopted them")
    images = scene.images()
    ended = scene.inplace(verb, WEB)
    assert ended.code == 1, ended
    assert AGAIN.format(WEB) in ended.stdout + ended.stderr
    scene.check_no_orphans()
    scene.check_same_pods()
    assert scene.images() == images
    assert images_in(scene.get(WEB)["spec"]["template"]["spec"]) == {"app": scene.image("app:1")}
    assert scene.find(f"lease/{LEASE}") is None


@VERBS
def test_a_stateful_set_created_again_keeps_its_partition(scene: Scene, verb: str) -> None:
    story = WorkloadScenario(scene, STATEFUL_SET)
    scene.run_gates()
    killed(scene, "sts/web")
    delete(scene, "sts/web", "Orphan")
    for what in ("pod", "ControllerRevision"):
        for found in scene.all(what):
            scene.delete(f"{what}/{found['metadata']['name']}")
    scene.until(lambda: not scene.all("pod"), "its pods are gone")
    again = statefulset("web", scene.image("app:1"), parallel=True, strategy=partition(2))
    scene.deploy(again, count=story.kind.pods, gate=None)
    spec = scene.get("sts/web")["spec"]
    refused = scene.inplace(verb, "sts/web")
    assert refused.code == 5, refused
    assert AGAIN.format("sts/web") in refused.stderr
    check_untouched(scene, "sts/web", "app:1", spec)


def test_repair_of_a_run_whose_target_was_created_again(scene: Scene) -> None:
    scene.web(3)
    killed(scene)
    delete(scene, WEB, "Orphan")
    scene.create(deployment("web", scene.image("app:1"), replicas=3))
    scene.until(lambda: scene.get(WEB).get("status", {}).get("updatedReplicas") == 3, "it has adopted them")
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    scene.check_no_orphans()
    scene.check_same_pods()
    assert scene.find(f"lease/{LEASE}") is None


def test_bare_pods_made_anew_with_another_image_go_nowhere(scene: Scene) -> None:
    made = [pod(f"game-{i}", scene.image("app:1")) for i in range(2)]
    for each in made:
        each["metadata"]["labels"] = {"app": "game"}
    scene.deploy(*made, service("game"), count=2)
    words = scene.command("--max-unavailable", "1", "--steps", "1,pause,100%", target="pods -l app=game", app="app:2")
    assert scene.inplace(*words).code == 4
    (old,) = scene.on_image("app:1")
    scene.delete(f"pod/{old}")
    scene.until(lambda: scene.find(f"pod/{old}") is None, "it is gone")
    anew = pod(old, scene.image("app:3"))
    anew["metadata"]["labels"] = {"app": "game"}
    scene.deploy(anew, count=2)
    images = scene.images()
    refused = scene.inplace("abort", "pods", "-l", "app=game")
    assert refused.code == 5, refused
    assert f"somebody set container app of pod/{old} to {scene.image('app:3')}" in refused.stderr
    assert scene.images() == images
