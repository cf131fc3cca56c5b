"""Writes that the API server refuses in the middle of a run: history that cannot be kept, a template that may not change, an
older ReplicaSet that does not go. From each there is a way on or back, and the owner's `paused` and strategy are his again."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation
from tests.scenarios.cluster_under_test import Moment, OnWrite, Result, Running
from tests.scenarios.facts import any_patched, images_in
from tests.scenarios.policies import Refuses
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import WEB, Scene
from tests.scenarios.workload_scenario import DEPLOYMENT, FAST, KINDS, Kind, WorkloadScenario

pytestmark = pytest.mark.sampled

WHY = "ask the platform team"
PLURALS = {"deploy": "deployments", "sts": "statefulsets", "ds": "daemonsets"}
FAILED = 1


def quota(scene: Scene) -> None:
    """As many ReplicaSets as there are: not one more."""
    hard = {"count/replicasets.apps": str(len(scene.all("rs")))}
    made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "objects"}, "spec": {"hard": hard}}
    scene.create(made)
    scene.until(lambda: scene.get("quota/objects").get("status", {}).get("hard") == hard, "the quota counts")


def only_controllers_create(scene: Scene) -> None:
    scene.enforce(Refuses("only-controllers", "replicasets", WHY, operations=("CREATE",), of_people=True))


NO_HISTORY = pytest.mark.parametrize("forbid", [quota, only_controllers_create])


def frozen(scene: Scene, kind: Kind, ref: str) -> Callable[[], None]:
    """No workload of this kind may ask for the image."""
    return scene.enforce(Refuses("unsigned", PLURALS[kind.short], WHY, image=scene.image(ref)))


def check_back(story: WorkloadScenario) -> None:
    """Before it all began: the same pods, and nothing of ours."""
    story.check("app:1")
    assert story.revisions() == {1: "app:1"}


@NO_HISTORY
def test_without_history_it_ends_well_and_warns(scene: Scene, forbid: Callable[[Scene], None]) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    running = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is worked on")
    forbid(scene)
    ended = running.wait()
    assert ended.code == 0, ended
    assert "warning: the images before are not in its history: the API server refuses: " in ended.stdout
    story.check("app:2")
    assert story.revisions() == {1: "app:2"}
    assert "history" in scene.stored_run()["forgone"]
    assert "not in its history" in story.run("status").stdout

    # What is not in the history is in the run.
    story.run("undo")
    story.check("app:1")


def test_without_history_by_a_controller(scene: Scene, rollouts: Rollouts) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is worked on")
    quota(scene)
    assert "not in its history" in rollouts.until("up", "Succeeded")["message"]
    story.check("app:2")
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone")


def when_it_comes_to(pattern: str, then: Callable[[], object]) -> OnWrite:
    """Right before the first such write of a command reaches the API server."""
    came: list[str] = []

    def met(_command: Running, write: str, moment: Moment) -> None:
        if moment == "before" and re.match(pattern, write) and not came:
            came.append(write)
            then()

    return met


TEMPLATE = r"PATCH .*/(deployments|statefulsets|daemonsets)/web .*template"


def refused_at(scene: Scene, kind: Kind, pattern: str) -> Result:
    """An upgrade in which templates are frozen when it comes to this write."""
    met = when_it_comes_to(pattern, lambda: frozen(scene, kind, "app:2"))
    return scene.stage.start("upgrade", kind.web, f"app={scene.image('app:2')}", *FAST, on_write=met).wait()


@KINDS
def test_a_template_that_is_refused_when_its_turn_comes(scene: Scene, kind: Kind) -> None:
    """Of a StatefulSet and a DaemonSet before the first pod, of a Deployment after the last."""
    story = WorkloadScenario(scene, kind)
    ended = refused_at(scene, kind, TEMPLATE)
    assert ended.code == FAILED, ended
    assert "the API server refuses: " in ended.stdout
    assert WHY in ended.stdout
    assert story.outcome == ("RolledBack" if kind is DEPLOYMENT else "Failed")
    check_back(story)


@pytest.mark.parametrize("write", [r"PATCH .*/pods/", r"PATCH .*/deployments/web .*paused", r"PATCH .*/replicasets/"])
def test_a_template_refused_at_some_moment_before_its_turn(scene: Scene, write: str) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    ended = refused_at(scene, DEPLOYMENT, write)
    assert ended.code == FAILED, ended
    assert WHY in ended.stdout
    check_back(story)


def test_a_replicasets_template_that_is_refused(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    running = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is worked on")
    scene.enforce(Refuses("unsigned", "replicasets", WHY, image=scene.image("app:2")))
    ended = running.wait()
    assert ended.code == FAILED, ended
    assert WHY in ended.stdout
    check_back(story)


def test_a_refused_template_by_a_controller(scene: Scene, rollouts: Rollouts) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is worked on")
    frozen(scene, DEPLOYMENT, "app:2")
    assert "rolled back, because the API server refuses: " in rollouts.until("up", "RolledBack")["message"]
    check_back(story)
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone")


def stuck(scene: Scene) -> Callable[[], None]:
    """A run that died with the ReplicaSet new and the Deployment not, whose template nobody may change to it."""
    scene.killed_at(TEMPLATE, 1, "before", *scene.command("--max-unavailable", "1", app="app:2"))
    assert scene.get(WEB)["spec"]["paused"] is True
    return frozen(scene, DEPLOYMENT, "app:2")


@pytest.mark.parametrize("verb", ["abort", "undo"])
def test_abort_and_undo_of_a_refused_commit_restore_everything(scene: Scene, verb: str) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    stuck(scene)
    story.run(verb)
    check_back(story)


def test_another_image_goes_on_from_there(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    stuck(scene)
    story.upgrade("app:3")
    story.check("app:3")
    assert story.revisions() == {1: "app:1", 2: "app:3"}


def test_repair_restores_paused_and_does_not_claim_to_be_done(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    lift = stuck(scene)
    repaired = scene.inplace("repair")
    assert repaired.code == FAILED, repaired
    assert "its commit was taken back instead" in repaired.stdout
    assert WHY in repaired.stdout
    assert "paused" not in scene.get(WEB)["spec"]
    assert templates(scene) == {scene.image("app:1")}
    assert scene.on_image("app:2") == set(scene.before)
    scene.check_same_pods()
    lift()
    story.run("abort")
    check_back(story)


def templates(scene: Scene) -> set[str]:
    found: list[Object] = [scene.get(WEB), *scene.all("rs")]
    return {image for obj in found for image in images_in(obj["spec"]["template"]["spec"]).values()}


@pytest.mark.parametrize("on_delete", ["Release", "Abort"])
def test_a_rollout_deleted_in_a_refused_commit_goes(scene: Scene, rollouts: Rollouts, on_delete: str) -> None:
    WorkloadScenario(scene, DEPLOYMENT)
    asked: list[bool] = []

    def then() -> None:
        frozen(scene, DEPLOYMENT, "app:2")
        scene.delete("ipr/up")
        asked.append(True)

    rollouts.control(on_write=when_it_comes_to(TEMPLATE, then))
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1}, onDelete=on_delete)
    scene.until(lambda: asked, "the commit has begun", 180)
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone", 180)
    assert "paused" not in scene.get(WEB)["spec"]
    assert templates(scene) == {scene.image("app:1")}
    assert not any(annotation(pod, RECORD) for pod in scene.pods())
    scene.check_same_pods()


def held_twin(scene: Scene) -> str:
    """The old ReplicaSet, which somebody holds by a finalizer, after an upgrade from app:1 to app:2."""
    scene.upgrade(app="app:2")
    (twin,) = [rs["metadata"]["name"] for rs in scene.all("rs") if not rs["spec"]["replicas"]]
    scene.merge(f"rs/{twin}", {"metadata": {"finalizers": ["example.com/hold"]}})
    scene.remember()
    scene.witness.mark()
    return str(twin)


def test_a_twin_that_is_held_for_a_while_is_waited_for(scene: Scene) -> None:
    """And deleted once."""
    story = WorkloadScenario(scene, DEPLOYMENT)
    twin = held_twin(scene)
    running = story.start("app:1")
    scene.until(lambda: scene.get(f"rs/{twin}")["metadata"].get("deletionTimestamp"), "it is to go", 60)
    scene.until(lambda: "which finalizers hold (example.com/hold)" in running.stdout, "and that is said", 60)
    scene.merge(f"rs/{twin}", {"metadata": {"finalizers": None}})
    assert running.wait().code == 0
    story.check("app:1")


@pytest.mark.proof
def test_a_twin_that_is_held_for_good_is_a_way_back(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    twin = held_twin(scene)
    running = story.start("app:1")
    scene.until(lambda: scene.get(f"rs/{twin}")["metadata"].get("deletionTimestamp"), "it is to go", 60)
    running.send(signal.SIGINT)  # a commit that has begun is none of its business
    ended = running.wait(900)
    assert "paused" not in scene.get(WEB)["spec"]
    assert ended.code == 130, ended
    story.run("abort")
    story.check("app:2")
    scene.merge(f"rs/{twin}", {"metadata": {"finalizers": None}})
