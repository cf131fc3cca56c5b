"""StatefulSets and DaemonSets: runs that go back, are left in the middle, or are cut short because somebody else has changed
the workload. The template is ahead of the pods then, and held back."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.facts import any_closed, any_patched, back, is_observed
from tests.scenarios.manifests import GATE
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DAEMON_SET, STATEFUL_SET, Kind, WorkloadScenario

pytestmark = pytest.mark.at_rest

REVISIONED = pytest.mark.parametrize("kind", [STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)


@pytest.mark.sampled
@REVISIONED
@pytest.mark.parametrize("bad", ["app:crash", "app:missing"])
def test_rollback_on_failure(scene: Scene, kind: Kind, bad: str) -> None:
    """The template, too: as an undo would have left it."""
    story = WorkloadScenario(scene, kind)
    story.upgrade(bad, "--on-failure", "rollback", code=1)
    assert story.outcome == "RolledBack"
    story.check("app:1")
    assert story.revisions() == {2: bad, 3: "app:1"}
    assert sum(bool(r["app"]) for r in scene.restarts().values()) == 1
    scene.witness.check(scene.rules(workload=None, one_restart=False))


@pytest.mark.sampled
@REVISIONED
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_left_in_the_middle(scene: Scene, kind: Kind, number: signal.Signals) -> None:
    """The pod at work is finished, the others stay as they are, held back; the same command goes on."""
    story = WorkloadScenario(scene, kind)
    upgrade = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "a pod is restarting")
    upgrade.send(number)
    ended = upgrade.wait()
    assert ended.code == 130, ended
    assert len(scene.on_image("app:2")) == 1
    assert kind.kept(scene.get(kind.web)) != story.kept
    scene.check_no_orphans()
    scene.check_quiet()
    scene.check_same_pods()
    story.upgrade("app:2")
    story.check("app:2")
    scene.check_restarts(*[{"app": 1}] * kind.pods)


def edit(story: WorkloadScenario) -> object:
    return story.scene.merge(story.kind.web, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}})


def undo(story: WorkloadScenario) -> object:
    """As `kubectl rollout undo`: the newest revision but one."""
    found = sorted(story.scene.all("ControllerRevision"), key=lambda r: int(r["revision"]))
    return story.scene.patch(story.kind.web, found[-2]["data"])


def set_image(story: WorkloadScenario) -> object:
    return story.scene.set_images(story.kind.web, app=story.scene.image("app:3"))


ACTS: dict[str, tuple[Callable[[WorkloadScenario], object], str, str]] = {
    "set image": (set_image, "somebody set container app of {} to {}/app:3 in the middle", "app:3"),
    "edit": (edit, "the template of {} was edited in the middle", "app:2"),
    "undo": (undo, "the template of {} was set back in the middle", "app:1"),
}
"""What they do, how it is told, and what it comes to."""


@pytest.mark.sampled
@REVISIONED
@pytest.mark.parametrize("moment", ["closed", "restarting", "one is back"])
@pytest.mark.parametrize("act", ACTS)
def test_somebody_changes_the_template(scene: Scene, kind: Kind, act: str, moment: str) -> None:
    """The run stops and says so, no pod stays closed, and the strategy is its owner's again: what they wanted is rolled out.
    The same command is judged afresh."""
    story, new = WorkloadScenario(scene, kind), scene.image("app:2")
    scene.run_gates()
    upgrade = story.start("app:2")
    scene.until_seen({"closed": any_closed, "restarting": any_patched(new), "one is back": back(new, 1)}[moment], moment)
    do, said, ref = ACTS[act]
    do(story)
    ended = upgrade.wait()
    assert ended.code == 1, ended
    assert said.format(kind.web, scene.stage.registry) in ended.stdout, ended
    assert "(field manager kubectl" in ended.stdout, ended
    assert story.outcome == "Failed"
    assert kind.kept(scene.get(kind.web)) == story.kept
    scene.until(lambda: is_rolled_out(story, ref), "what they wanted is rolled out")
    scene.remember()
    story.upgrade("app:2")
    story.check("app:2")


@pytest.mark.sampled
@REVISIONED
def test_somebody_changes_the_template_when_no_process_is_left(scene: Scene, kind: Kind) -> None:
    """It is held back still: the same command goes on to its own images, in place."""
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    held = kind.kept(scene.get(kind.web))
    (done,) = scene.on_image("app:2")
    set_image(story)
    assert "somebody else has changed it since" in story.run("status").stdout
    if kind is STATEFUL_SET:
        scene.until(lambda: scene.on_image("app:3") == {done} and all_serve(story), "what is above the front was recreated")
    assert kind.kept(scene.get(kind.web)) == held != story.kept
    scene.remember()
    story.upgrade("app:2")
    story.check("app:2")


def is_rolled_out(story: WorkloadScenario, ref: str) -> bool:
    """And its controller has nothing more to do."""
    found = story.scene.get(story.kind.web)
    labels = {p["metadata"]["labels"]["controller-revision-hash"] for p in story.scene.pods()}
    images = len(story.scene.on_image(ref)) == story.kind.pods
    return all_serve(story) and is_observed(found) and len(labels) == 1 and images and is_new(story, found)


def is_new(story: WorkloadScenario, workload: Object) -> bool:
    status = workload["status"]
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled"))
    return bool(updated == story.kind.pods and status.get("currentRevision") == status.get("updateRevision"))


def all_serve(story: WorkloadScenario) -> bool:
    found: list[Object] = story.scene.all("pod")
    return len(found) == story.kind.pods and all(
        condition(p, "Ready") == condition(p, GATE) == "True" and not annotation(p, RECORD) for p in found
    )
