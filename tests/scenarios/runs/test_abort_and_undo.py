"""`abort` and `undo` of every kind: back to the images before, the same pods, and nothing of ours left."""

from __future__ import annotations

import json

import pytest

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Running
from tests.scenarios.facts import any_patched
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DEPLOYMENT, FAST, KINDS, Kind, WorkloadScenario

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]


@KINDS
def test_abort_of_a_run_that_is_under_way(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    upgrade = story.start("app:2")
    story.one_is_done("app:2")
    aborted = story.run("abort")
    assert "is back at its previous images" in aborted.stdout
    ended = upgrade.wait()
    assert (ended.code, story.outcome) == (4, "Aborted"), ended
    story.check("app:1")


@KINDS
def test_abort_while_the_first_pod_is_out(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    upgrade = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "a pod is patched")
    story.run("abort")
    assert upgrade.wait().code == 4
    story.check("app:1")


@KINDS
def test_paused_and_then_aborted_without_a_process_of_ours(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    assert len(scene.on_image("app:2")) == 1
    story.run("abort")
    assert story.outcome == "Aborted"
    story.check("app:1")
    again = story.run("abort", code=5)
    assert "has no run to abort" in again.stderr


@KINDS
def test_undo_right_after_and_undo_of_that(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    story.upgrade("app:2")
    assert list(story.revisions()) == [1, 2]
    assert f"going back to app={scene.image('app:1')}\n" in story.run("undo").stderr
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}
    story.run("undo")
    story.check("app:2")
    assert story.revisions() == {3: "app:1", 4: "app:2"}


@KINDS
def test_undo_while_an_upgrade_is_under_way(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    upgrade = story.start("app:2")
    story.one_is_done("app:2")
    undone = story.run("undo")
    assert f"to pause {kind.web}" in undone.stderr
    assert upgrade.wait().code == 4
    assert story.outcome == "Succeeded"
    story.check("app:1")


@KINDS
def test_undo_to_a_revision(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    story.upgrade("app:2")
    story.upgrade("app:3")
    refused = story.run("undo", "--to-revision", "9", code=5)
    assert f"{kind.web} has no revision 9; it has: 1, 2, 3" in refused.stderr
    story.run("undo", "--to-revision", "1")
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:3", 4: "app:1"}


@KINDS
def test_undo_after_a_failed_run(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    story.upgrade("app:crash", code=1)
    story.run("undo")
    assert story.outcome == "Succeeded"
    story.check("app:1")


@KINDS
def test_undo_after_a_classic_rollout(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    scene.set_images(kind.web, app=scene.image("app:2"))
    scene.until(lambda: story.is_rolled_out("app:2"), "rolled out")
    scene.until(lambda: sum(bool(e["conditions"].get("ready")) for e in scene.endpoints()) == kind.pods, "they are endpoints")
    scene.remember()
    story.run("undo", "--settle", "0s")
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}


@KINDS
def test_a_pod_that_dies_in_a_pause_comes_back_and_all_is_undone(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    (done,) = scene.on_image("app:2")
    scene.delete(f"pod/{done}", grace=1)
    scene.until(lambda: scene.before[done] not in all_uids(scene) and len(serving(scene)) == kind.pods, "it came back")
    assert len(scene.on_image("app:2")) == (0 if kind is DEPLOYMENT else 1)
    scene.remember()
    story.run("undo")
    story.check("app:1")


def all_uids(scene: Scene) -> set[str]:
    return {p["metadata"]["uid"] for p in scene.all("pod")}


def serving(scene: Scene) -> list[str]:
    return [p["metadata"]["name"] for p in scene.pods() if condition(p, "Ready") == "True"]


def test_an_abort_request_after_the_commit_began_is_only_cleared(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    asked: list[str] = []

    def met(_command: Running, write: str, when: str) -> None:
        if when == "after" and "/deployments/web" in write and not asked:
            asked.append(write)
            scene.annotate(f"lease/{DEPLOYMENT.lease}", {"inplace.dev/request": "abort"})

    words = ("upgrade", "deploy/web", f"app={scene.image('app:2')}", *FAST)
    assert scene.stage.start(*words, on_write=met).wait().code == 0
    assert asked
    story.check("app:2")


def test_abort_of_a_half_done_commit_finishes_and_undoes_it(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    words = ("upgrade", "deploy/web", f"app={scene.image('app:2')}", *FAST)
    scene.killed_at(r"PATCH .*/deployments/web .*paused", 1, "after", *words)
    aborted = story.run("abort")
    assert "finishing the commit of app=" in aborted.stdout + aborted.stderr
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}
    assert scene.stored_run()["doing"] == "Undo"


@KINDS
def test_another_image_in_the_middle_of_a_run(scene: Scene, kind: Kind) -> None:
    """The template may have gone ahead to what the run before was taking the pods to."""
    story = WorkloadScenario(scene, kind)
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    story.upgrade("app:3")
    story.check("app:3")
    story.run("undo")
    assert story.outcome == "Succeeded"


@KINDS
def test_history(scene: Scene, kind: Kind) -> None:
    """Also runs that made no revision; and who, when and how."""
    story = WorkloadScenario(scene, kind)
    scene.annotate(kind.web, {"kubernetes.io/change-cause": "the first"})
    story.upgrade("app:crash", code=1)
    story.run("abort")
    story.upgrade("app:2")
    story.run("undo")
    listed = json.loads(story.run("history", "-o", "json").stdout)["items"]
    assert [entry["revision"] for entry in listed if entry["revision"]] == list(story.revisions())
    told = [(entry["images"]["app"].rpartition("/")[2], entry["doing"], entry["outcome"]) for entry in listed]
    assert told[-2:] == [("app:2", "Upgrade", "Succeeded"), ("app:1", "Undo", "Succeeded")]
    assert ("app:crash", "Upgrade", "Aborted") in told
    assert all(entry["by"] and entry["at"] and entry["how"] == "in place" for entry in listed[-2:])
    shown = story.run("history").stdout.splitlines()
    assert shown[0].split() == ["REVISION", "IMAGES", "HOW", "OUTCOME", "WHEN", "BY", "CHANGE-CAUSE"]
    assert "in place, undo" in shown[-1]
