"""Time that has passed has passed: who takes a run over goes on with its waits from when they began, not from its own start."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest

from inplace.sim.objects.kinds import PODS
from tests.recorder import Object
from tests.scenarios.cluster_under_test import kill
from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.facts import any_patched
from tests.scenarios.rollouts import ONE, Rollouts
from tests.scenarios.scene import Scene

PAUSE = 120
STEPS = [{"pods": 1}, {"pause": {"seconds": PAUSE}}, {"pods": "100%"}]


def crash(stage: EmbeddedCluster, name: str) -> None:
    pod = stage.cluster.store.get(PODS, stage.namespace, name)
    assert pod is not None
    kubelet = stage.cluster.kubelet_of(pod.obj)
    instance = kubelet.instance(pod.uid) if kubelet is not None else None
    assert kubelet is not None
    assert instance is not None
    worker = kubelet.workers[pod.uid]
    worker.exits_later(worker.containers["app"], instance, 0.1, 1)


def step_seconds(status: Object, index: int) -> float:
    times = status["steps"][index]
    return (datetime.fromisoformat(times["finishedAt"]) - datetime.fromisoformat(times["startedAt"])).total_seconds()


def test_a_timed_pause_goes_on_under_the_next_leader(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": STEPS})
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 1, "it pauses")
    scene.stage.let_pass(60)
    kill(first)
    scene.stage.let_pass(20)
    rollouts.control()
    rollouts.until("up", "Succeeded", 300)
    assert PAUSE - 2 <= step_seconds(rollouts.status("up"), 1) <= PAUSE + 15


def test_a_pause_that_ended_while_nobody_led_is_over(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": STEPS})
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 1, "it pauses")
    kill(first)
    scene.stage.let_pass(PAUSE + 60)
    rollouts.control()
    rollouts.until("up", "Succeeded", 60)


def test_a_brake_does_not_make_a_timed_pause_longer(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": STEPS})
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 1, "it pauses")
    scene.stage.let_pass(30)
    rollouts.edit("up", paused=True)
    rollouts.until("up", "Paused")
    scene.stage.let_pass(60)
    rollouts.edit("up", paused=False)
    rollouts.until("up", "Succeeded", 300)
    assert PAUSE - 2 <= step_seconds(rollouts.status("up"), 1) <= PAUSE + 15


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_commands_timed_pause_goes_on_after_its_death(scene: Scene, number: signal.Signals) -> None:
    scene.web(2)
    steps = ("--max-unavailable", "1", "--settle", "1s", "--steps", f"1,pause:{PAUSE}s,100%")
    first = scene.stage.start("upgrade", "deploy/web", f"app={scene.image('app:2')}", *steps)
    scene.until(lambda: "pausing for" in first.stdout + first.stderr, "it pauses")
    began_at = scene.stage.now()
    scene.stage.let_pass(60)
    first.send(number)
    first.wait()
    second = scene.inplace("upgrade", "deploy/web", f"app={scene.image('app:2')}", *steps)
    assert second.code == 0, second
    assert PAUSE - 2 <= scene.stage.now() - began_at <= PAUSE + 50
    scene.check_runs(2, app="app:2")


def test_a_long_min_ready_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, minReadySeconds=200)
    scene.until(lambda: "minReadySeconds" in str(rollouts.status("up").get("inFlight")), "it waits")
    began_at = scene.stage.now()
    scene.stage.let_pass(100)
    kill(first)
    rollouts.control()
    scene.until(lambda: rollouts.status("up").get("updated") == 1, "the first is updated", 300)
    assert 199 <= scene.stage.now() - began_at <= 220


def test_min_ready_begins_anew_if_the_container_crashed(stage: EmbeddedCluster, scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, minReadySeconds=200)
    scene.until(lambda: "minReadySeconds" in str(rollouts.status("up").get("inFlight")), "it waits")
    (name,) = scene.on_image("app:2")
    scene.stage.let_pass(100)
    kill(first)
    crash(stage, name)
    scene.stage.let_pass(20)
    rollouts.control()
    began_at = scene.stage.now()
    scene.until(lambda: rollouts.status("up").get("updated") == 1, "the first is updated", 400)
    assert scene.stage.now() - began_at >= 190


def test_a_restart_deadline_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:mute", strategy=ONE, restart={"timeoutSeconds": 300})
    scene.until_seen(any_patched(scene.image("app:mute")), "it is patched")
    began_at = scene.stage.now()
    scene.stage.let_pass(200)
    kill(first)
    rollouts.control()
    rollouts.until("up", "Failed", 400)
    assert 298 <= scene.stage.now() - began_at <= 400
