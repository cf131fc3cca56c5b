"""`abort` and `undo` of every kind: back to the images before, the same pods, and nothing of ours left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.facts import any_patched, back, images_in, is_observed
from tests.scenarios.manifests import daemonset, deployment, service, statefulset
from tests.scenarios.scene import Scene
from tests.scenarios.stage import Result, Running

FAST = ("--settle", "0s", "--max-unavailable", "1")


@dataclass(frozen=True)
class Kind:
    """A workload `web` of this kind. `kept`: what its owner has chosen, and must find again."""

    short: str
    lease: str
    pods: int
    make: Callable[[str], Object]
    kept: Callable[[Object], Any]

    @property
    def web(self) -> str:
        return f"{self.short}/web"


PARTITIONED = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}}
DEPLOYMENT = Kind("deploy", "inplace-deployment-web", 3, lambda i: deployment("web", i), lambda o: o["spec"].get("paused"))
STATEFUL_SET = Kind(
    "sts",
    "inplace-statefulset-web",
    3,
    lambda image: statefulset("web", image, parallel=True),
    lambda o: o["spec"]["updateStrategy"],
)
DAEMON_SET = Kind(
    "ds", "inplace-daemonset-web", 2, lambda image: daemonset("web", image), lambda o: o["spec"]["updateStrategy"]
)
KINDS = pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)


class Story:
    """One workload of a kind, upgraded and brought back."""

    def __init__(self, scene: Scene, kind: Kind) -> None:
        self.scene, self.kind = scene, kind
        scene.deploy(kind.make(scene.image("app:1")), service("web"), count=kind.pods)
        self.kept = kind.kept(scene.get(kind.web))

    def start(self, ref: str, *options: str) -> Running:
        return self.scene.stage.start("upgrade", self.kind.web, f"app={self.scene.image(ref)}", *FAST, *options)

    def run(self, verb: str, *options: str, code: int = 0) -> Result:
        result = self.scene.inplace(verb, self.kind.web, *options)
        assert result.code == code, result
        return result

    def upgrade(self, ref: str, *options: str, code: int = 0) -> None:
        result = self.start(ref, *options).wait()
        assert result.code == code, result

    def one_is_done(self, ref: str) -> None:
        self.scene.until_seen(back(self.scene.image(ref), 1), f"one pod on {ref}")

    def check(self, ref: str) -> None:
        """The same pods run the image in service, the template asks for it, the owner's choices are his own, no record, no
        lock; and nobody moves any more."""
        scene, image = self.scene, self.scene.image(ref)
        scene.until(lambda: is_observed(scene.get(self.kind.web)), "the controller has seen it")
        scene.check_same_pods()
        assert scene.on_image(ref) == set(scene.before)
        found = scene.get(self.kind.web)
        assert images_in(found["spec"]["template"]["spec"]) == {"app": image}
        assert self.kind.kept(found) == self.kept
        for pod in scene.pods():
            assert condition(pod, "Ready") == "True"
            assert not annotation(pod, RECORD)
        lease = scene.get(f"lease/{self.kind.lease}")
        assert not lease["spec"].get("holderIdentity")
        assert "inplace.dev/request" not in lease["metadata"]["annotations"]
        scene.check_quiet(5)
        scene.check_same_pods()

    @property
    def outcome(self) -> str:
        return str(self.scene.stored_run(self.kind.lease)["outcome"])

    def revisions(self) -> dict[int, str]:
        if self.kind is DEPLOYMENT:
            return self.scene.history()
        prefix = f"{self.scene.stage.registry}/"
        found = {r["revision"]: r["data"]["spec"]["template"]["spec"] for r in self.scene.all("ControllerRevision")}
        return {number: images_in(spec)["app"].removeprefix(prefix) for number, spec in sorted(found.items())}


@KINDS
def test_abort_of_a_run_that_is_under_way(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    upgrade = story.start("app:2")
    story.one_is_done("app:2")
    aborted = story.run("abort")
    assert "is back at its images before" in aborted.stdout
    ended = upgrade.wait()
    assert (ended.code, story.outcome) == (4, "Aborted"), ended
    story.check("app:1")


@KINDS
def test_abort_while_the_first_pod_is_out(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    upgrade = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "a pod is patched")
    story.run("abort")
    assert upgrade.wait().code == 4
    story.check("app:1")


@KINDS
def test_paused_and_then_aborted_without_a_process_of_ours(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    assert len(scene.on_image("app:2")) == 1
    story.run("abort")
    assert story.outcome == "Aborted"
    story.check("app:1")
    again = story.run("abort", code=5)
    assert "has no run to abort" in again.stderr


@KINDS
def test_undo_right_after_and_undo_of_that(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    story.upgrade("app:2")
    assert list(story.revisions()) == [1, 2]
    story.run("undo")
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}
    story.run("undo")
    story.check("app:2")
    assert story.revisions() == {3: "app:1", 4: "app:2"}


@KINDS
def test_undo_while_an_upgrade_is_under_way(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    upgrade = story.start("app:2")
    story.one_is_done("app:2")
    undone = story.run("undo")
    assert f"to pause {kind.web}" in undone.stderr
    assert upgrade.wait().code == 4
    assert story.outcome == "Succeeded"
    story.check("app:1")


@KINDS
def test_undo_to_a_revision(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    story.upgrade("app:2")
    story.upgrade("app:3")
    refused = story.run("undo", "--to-revision", "9", code=5)
    assert f"{kind.web} has no revision 9; it has: 1, 2, 3" in refused.stderr
    story.run("undo", "--to-revision", "1")
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:3", 4: "app:1"}


@KINDS
def test_undo_after_a_failed_run(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    story.upgrade("app:crash", code=1)
    story.run("undo")
    assert story.outcome == "Succeeded"
    story.check("app:1")


@KINDS
def test_undo_after_a_classic_rollout(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
    scene.run_gates()
    scene.set_images(kind.web, app=scene.image("app:2"))
    scene.until(lambda: is_rolled_out(story, "app:2"), "rolled out")
    scene.remember()
    story.run("undo", "--settle", "0s")
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}


def is_rolled_out(story: Story, ref: str) -> bool:
    found = story.scene.pods()
    serving = sum(condition(p, "Ready") == "True" for p in found)
    return len(found) == len(story.scene.all("pod")) == serving == len(story.scene.on_image(ref)) == story.kind.pods


@KINDS
def test_a_pod_that_dies_in_a_pause_comes_back_and_all_is_undone(scene: Scene, kind: Kind) -> None:
    story = Story(scene, kind)
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


def test_abort_when_the_commit_has_begun_finishes_and_undoes_it(scene: Scene) -> None:
    story = Story(scene, DEPLOYMENT)
    asked: list[Running] = []

    def met(_command: Running, write: str, when: str) -> None:
        if when == "after" and "/deployments/web" in write and not asked:
            asked.append(scene.stage.start("abort", "deploy/web"))
            scene.annotate(f"lease/{DEPLOYMENT.lease}", {"inplace.dev/request": "abort"})

    words = ("upgrade", "deploy/web", f"app={scene.image('app:2')}", *FAST)
    assert scene.stage.start(*words, on_write=met).wait().code == 0
    aborted = asked[0].wait()
    assert aborted.code == 0, aborted
    story.check("app:1")
    assert story.revisions() == {2: "app:2", 3: "app:1"}
    assert json.loads(json.dumps(scene.stored_run()))["doing"] == "Undo"


@KINDS
def test_another_image_in_the_middle_of_a_run(scene: Scene, kind: Kind) -> None:
    """The template may have gone ahead to what the run before was taking the pods to."""
    story = Story(scene, kind)
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    story.upgrade("app:3")
    story.check("app:3")
    story.run("undo")
    assert story.outcome == "Succeeded"


@KINDS
def test_history(scene: Scene, kind: Kind) -> None:
    """Also runs that made no revision; and who, when and how."""
    story = Story(scene, kind)
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
