"""`inplace watch`: the view of a run from another terminal, to its end, whoever drives it."""

from __future__ import annotations

import signal

import pytest

from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import pod
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import WEB, Scene


def test_watch_shows_a_run_of_another_terminal_across_its_pause(scene: Scene) -> None:
    scene.web(3)
    first = scene.start("--steps", "1,pause,100%", app="app:2")
    scene.until_seen(any_closed, "a pod is closed")
    watching = scene.stage.start("watch", WEB)
    assert first.wait().code == 4
    scene.until(lambda: "promote" in watching.stdout, "the pause is told")
    assert scene.inplace("promote", WEB).code == 0
    ended = watching.wait()
    assert ended.code == 0, ended
    assert "Updated (3 of 3)" in ended.stdout
    assert f"{WEB} in {scene.ns} runs app={scene.image('app:2')}" in ended.stdout
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})


def test_what_has_ended_is_told_at_once_with_its_exit_code(scene: Scene) -> None:
    scene.web(3)
    assert scene.inplace("watch", WEB).code == 5
    scene.upgrade(app="app:2")
    done = scene.inplace("status", "-w", WEB)
    assert (done.code, done.stdout.strip()) == (0, f"{WEB} in {scene.ns}: Succeeded")
    scene.upgrade("--steps", "1,pause,100%", app="app:3", code=4)
    assert scene.inplace("abort", WEB).code == 0
    assert scene.inplace("watch", WEB).code == 4


def test_watching_writes_nothing(scene: Scene) -> None:
    scene.web(3)
    scene.upgrade("--steps", "1,pause,100%", app="app:2", code=4)
    since = scene.witness.version()
    watching = scene.stage.start("watch", WEB, "--timeout", "20s")
    ended = watching.wait()
    assert (ended.code, "Paused: waiting at step 2 of 3" in ended.stdout) == (3, True), ended
    assert scene.our_writes(since) == []


def test_interrupting_watch_stops_no_run(scene: Scene) -> None:
    scene.web(3)
    command = scene.start("--steps", "1,pause:45s,100%", app="app:2")
    scene.until_seen(any_closed, "a pod is closed")
    stopped = scene.inplace("watch", WEB, "--timeout", "15s")
    assert stopped.code == 3
    assert "the run goes on in the cluster" in stopped.stderr
    again = scene.stage.start("watch", WEB)
    scene.until(lambda: "pod/" in again.stdout, "it shows pods")
    again.send(signal.SIGINT)
    assert again.wait().code == 130
    assert command.wait().code == 0
    scene.check_each_restarted_once()


@pytest.mark.sampled
@pytest.mark.parametrize("words", [("ipr/up",), ("ipr", "up"), (WEB,)], ids=" ".join)
def test_watch_finds_a_controllers_run_by_rollout_or_target(scene: Scene, rollouts: Rollouts, words: tuple[str, ...]) -> None:
    scene.web(3)
    rollouts.control("--no-gate-rules")
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    watching = scene.stage.start("watch", *words)
    scene.until(lambda: "promote" in watching.stdout, "the pause is told")
    assert scene.inplace("promote", WEB).code == 0
    ended = watching.wait()
    assert ended.code == 0, ended
    assert "Updated (3 of 3)" in ended.stdout


def test_watch_says_when_nobody_drives_a_run_and_goes_on(scene: Scene) -> None:
    scene.web(3)
    scene.killed_at(r"PATCH .*/pods/", 1, "after", *scene.command(app="app:2"))
    watching = scene.stage.start("watch", WEB)
    scene.until(lambda: "only `inplace resume` goes on" in watching.stdout, "it is said")
    assert scene.inplace("resume", WEB).code == 0
    assert watching.wait().code == 0


def test_bare_pods_whose_lease_goes_with_the_run(scene: Scene) -> None:
    scene.deploy(pod("a", scene.image("app:1")), pod("b", scene.image("app:1")), count=2)
    command = scene.start(target="pods a b", app="app:2")
    scene.until_seen(any_closed, "a pod is closed")
    watching = scene.stage.start("watch", "pods", "a", "b")
    assert command.wait().code == 0
    assert watching.wait().code == 0
