"""`abort` against `promote` in either order, and the same upgrade again after an abort, as often as one likes."""

from __future__ import annotations

import pytest

from tests.scenarios.facts import any_patched
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DEPLOYMENT, WorkloadScenario

pytestmark = pytest.mark.sampled

REQUEST = "inplace.dev/request"
STEPS = ("--steps", "1,pause,100%")
NO_MORE = "asked to resume, but its run has gone back: create a new one"
ORDERS = pytest.mark.parametrize("verbs", [("promote", "abort"), ("abort", "promote")], ids="-".join)


@ORDERS
def test_by_verb_while_the_first_pod_never_gets_ready(scene: Scene, verbs: tuple[str, str]) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    upgrade = story.start("app:mute", *STEPS)
    scene.until_seen(any_patched(scene.image("app:mute")), "the first pod is patched")
    for verb in verbs:
        asked = scene.inplace(verb, DEPLOYMENT.web)
        assert asked.code == (0 if verb == "abort" else 5), asked
    assert upgrade.wait().code == 4
    assert story.outcome == "Aborted"
    story.check("app:1")


@ORDERS
def test_by_annotation_within_a_moment(scene: Scene, verbs: tuple[str, str]) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    upgrade = story.start("app:mute", *STEPS)
    scene.until_seen(any_patched(scene.image("app:mute")), "the first pod is patched")
    for verb in verbs:
        scene.annotate(f"lease/{DEPLOYMENT.lease}", {REQUEST: verb})
        scene.until(lambda: not scene.request_on(f"lease/{DEPLOYMENT.lease}"), "taken in")
    assert upgrade.wait().code == 4
    story.check("app:1")


@ORDERS
def test_by_request_to_a_rollout(scene: Scene, rollouts: Rollouts, verbs: tuple[str, str]) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    rollouts.control()
    rollouts.apply("up", app="app:mute", strategy={**ONE, "steps": ONE_PAUSE})
    scene.until_seen(any_patched(scene.image("app:mute")), "the first pod is patched")
    for verb in verbs:
        rollouts.ask("up", verb)
        scene.until(lambda: not scene.request_on("ipr/up"), "taken in")
    rollouts.until("up", "Aborted")
    story.check("app:1")


def test_a_verb_does_not_replace_an_abort_that_is_pending(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    words = ("upgrade", DEPLOYMENT.web, f"app={scene.image('app:2')}", "--settle", "0s", "--max-unavailable", "1", *STEPS)
    scene.killed_at(r"PATCH .*/pods/", 1, "after", *words)
    scene.annotate(f"lease/{DEPLOYMENT.lease}", {REQUEST: "abort"})
    resumed = scene.inplace("resume", DEPLOYMENT.web)
    assert resumed.code == 5, resumed
    assert "has already been asked to abort, which takes precedence over resume" in resumed.stderr
    story.run("abort")
    story.check("app:1")


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.proof)])
def test_the_same_upgrade_again_and_again_after_an_abort(scene: Scene, times: int) -> None:
    """Each way back meets the kubelet's back-off for an image that it has started before, which doubles."""
    story = WorkloadScenario(scene, DEPLOYMENT)
    patient = ("--restart-timeout", "15m")
    for _ in range(times):
        paused = story.start("app:2", *STEPS, *patient).wait(1200)
        assert paused.code == 4, paused
        aborted = scene.stage.start("abort", DEPLOYMENT.web).wait(1200)
        assert aborted.code == 0, aborted
        assert "has no run to resume" in story.run("resume", code=5).stderr
    assert story.revisions() == {1: "app:1"}
    done = story.start("app:2", *patient).wait(1200)
    assert done.code == 0, done
    story.check("app:2")
    assert story.revisions() == {1: "app:1", 2: "app:2"}


def test_rollouts_again_and_again_after_an_abort(scene: Scene, rollouts: Rollouts) -> None:
    """Under the same name, and under another one."""
    story = WorkloadScenario(scene, DEPLOYMENT)
    controller = rollouts.control()
    for ended, name in enumerate(("up", "up", "other")):
        rollouts.apply(name, app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
        rollouts.until(name, "Paused")
        rollouts.ask(name, "abort")
        rollouts.until(name, "Aborted")
        rollouts.ask(name, "resume")
        scene.until(lambda ended=ended: controller.stdout.count(NO_MORE) > ended, "resume is refused in words")  # type: ignore[misc]
        assert rollouts.phase(name) == "Aborted"
        if name == "up":
            scene.delete("ipr/up")
            scene.until(lambda: scene.find("ipr/up") is None, "it is gone")
    rollouts.apply("last", app="app:2", strategy=ONE)
    rollouts.until("last", "Succeeded")
    story.check("app:2")
    assert story.revisions() == {1: "app:1", 2: "app:2"}
