"""Where an InPlaceRollout stands and what lets it go on: its steps, `spec.paused`, and verbs."""

from __future__ import annotations

from tests.scenarios.facts import any_patched, back
from tests.scenarios.manifests import container, deployment, service
from tests.scenarios.rollouts import ONE, Rollouts
from tests.scenarios.scene import Scene


def test_steps_with_pauses_and_every_way_past_them(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(4)
    rollouts.control("--no-gate-rules")
    steps = [{"pods": 1}, {"pause": {}}, {"pods": 2}, {"pause": {}}, {"pods": 3}, {"pause": {}}, {"pods": "100%"}]
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": steps})

    status = rollouts.until("up", "Paused")
    assert (status["updated"], status["stepIndex"]) == (1, 1)
    rollouts.check_conditions("up", "Paused", "Stalled")
    closed = min(scene.before)
    scene.set_gate(closed, "False")
    scene.until(lambda: rollouts.status("up")["ready"] == 3, "the counts are kept while it stands", 30)
    scene.set_gate(closed, "True")
    scene.until(lambda: rollouts.status("up")["ready"] == 4, "and again", 30)
    shown = scene.inplace("status", "deploy/web")
    assert "Paused" in shown.stdout
    assert "inplace promote deploy/web" in shown.stderr
    refused = scene.inplace(*scene.command(app="app:3"))
    assert refused.code == 5, "the controller holds the lock of what it has paused"

    refused = scene.inplace("undo", "deploy/web")
    assert (refused.code, "inplace abort deploy/web" in refused.stderr) == (5, True), refused

    promoted = scene.inplace("promote", "deploy/web")
    assert (promoted.code, "resumed (run by controller/" in promoted.stdout) == (0, True), promoted
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 3 and rollouts.phase("up") == "Paused", "the second pause")
    assert len(scene.on_image("app:2")) == 2

    rollouts.ask("up", "promote")
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 5 and rollouts.phase("up") == "Paused", "the third pause")
    assert len(scene.on_image("app:2")) == 3
    assert not scene.request_on("ipr/up")

    rollouts.edit("up", strategy={**ONE, "steps": [*steps[:5], {"pods": "100%"}]})
    rollouts.until("up", "Succeeded")
    scene.check(upgraded=4)
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=4)
    times = rollouts.status("up")["steps"]
    assert [step["step"] for step in times] == ["up to 1", "pause", "up to 2", "pause", "up to 3", "up to 100%"]
    assert all(step["startedAt"] <= step["finishedAt"] for step in times)
    told = scene.inplace("history", "deploy/web", "--runs")
    assert told.code == 0, told
    assert "inplacerollout/up: Succeeded" in told.stdout
    assert f"app={scene.image('app:2')}" in told.stdout
    assert all(step["finishedAt"] in told.stdout for step in times)


def test_paused_by_the_spec_and_by_a_verb(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(4)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, paused=True)
    rollouts.until("up", "Waiting")
    assert scene.our_writes() == []
    rollouts.edit("up", paused=False)
    scene.until_seen(back(scene.image("app:2"), 1), "the first pod is back")
    rollouts.edit("up", paused=True)
    rollouts.until("up", "Paused")
    assert len(scene.on_image("app:2")) < 4
    scene.check_no_orphans()
    rollouts.edit("up", paused=False)
    rollouts.until("up", "Progressing")
    paused = scene.inplace("pause", "deploy/web")
    assert paused.code == 0, paused
    rollouts.until("up", "Paused")
    resumed = scene.inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    rollouts.until("up", "Succeeded")
    scene.check(upgraded=4, writes=None)  # a pod that is drained only when the pause comes is reopened, and closed again
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=4)


def test_a_pause_taken_back_before_it_came_about(scene: Scene, rollouts: Rollouts) -> None:
    """By an edit, and by a verb: while a pod that boots is waited for."""
    slow = container("app", scene.image("app:1"), boot=4)
    scene.deploy(deployment("web", [slow], replicas=3), service("web"), count=3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE)
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched")
    rollouts.edit("up", paused=True)
    scene.until(lambda: rollouts.status("up")["observedGeneration"] == 2, "the edit is seen", 30)
    assert rollouts.phase("up") == "Progressing", "it finishes the pod that is out"
    rollouts.edit("up", paused=False)
    scene.until(lambda: len(scene.on_image("app:2")) == 2, "it goes on", 120)
    rollouts.ask("up", "pause")
    scene.until(lambda: not scene.request_on("ipr/up"), "it is told", 30)
    rollouts.ask("up", "resume")
    rollouts.until("up", "Succeeded")
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
