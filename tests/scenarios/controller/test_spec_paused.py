"""`spec.paused` is a brake: no verb and no request passes it but `abort`, and whatever holds a run is named."""

from __future__ import annotations

import pytest

from tests.scenarios.cluster_under_test import Running, kill
from tests.scenarios.facts import any_closed
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import LEASE, Scene


def braked(scene: Scene, rollouts: Rollouts) -> Running:
    """At a pause of its steps; its controller."""
    scene.web(2)
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    rollouts.edit("up", paused=True)
    scene.until(lambda: "spec.paused" in rollouts.status("up")["message"], "the brake is told")
    return controller


def check_stands(scene: Scene, rollouts: Rollouts, updated: int = 1) -> None:
    scene.stage.let_pass(5)
    assert rollouts.phase("up") == "Paused"
    assert len(scene.on_image("app:2")) == updated
    scene.check_no_orphans()


def test_every_reason_is_named(scene: Scene, rollouts: Rollouts) -> None:
    braked(scene, rollouts)
    message = rollouts.status("up")["message"]
    assert message == "spec.paused is true; waiting at step 2 of 3 for `inplace promote`"
    rollouts.edit("up", paused=False)
    scene.until(lambda: "spec.paused" not in rollouts.status("up")["message"], "the brake is released")
    check_stands(scene, rollouts)
    assert scene.inplace("promote", "deploy/web").code == 0
    rollouts.until("up", "Succeeded")


@pytest.mark.parametrize("verb", ["promote", "resume"])
def test_no_verb_passes_it(scene: Scene, rollouts: Rollouts, verb: str) -> None:
    braked(scene, rollouts)
    scene.check_refused(scene.inplace(verb, "deploy/web"), 5, "InPlaceRollout up", "spec.paused is true")
    check_stands(scene, rollouts)


@pytest.mark.parametrize("where", ["ipr/up", f"lease/{LEASE}"])
def test_no_request_passes_it(scene: Scene, rollouts: Rollouts, where: str) -> None:
    """Whoever may write it need not ask the command."""
    braked(scene, rollouts)
    scene.merge(where, {"metadata": {"annotations": {"inplace.dev/request": "promote"}}})
    scene.until(lambda: not scene.request_on(where), "it is taken in")
    check_stands(scene, rollouts)
    assert "waiting at step 2 of 3" in rollouts.status("up")["message"], "its pause is not passed either"


def test_no_request_passes_it_in_flight(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, drain={"settleSeconds": 3})
    scene.until_seen(any_closed, "a pod is closed")
    scene.merge("ipr/up", {"metadata": {"annotations": {"inplace.dev/request": "resume"}}, "spec": {"paused": True}})
    rollouts.until("up", "Paused")
    check_stands(scene, rollouts, updated=0)


@pytest.mark.parametrize("command", ["upgrade", "undo"])
def test_no_command_drives_past_it(scene: Scene, rollouts: Rollouts, command: str) -> None:
    kill(braked(scene, rollouts))
    args = scene.command(app="app:3") if command == "upgrade" else ("undo", "deploy/web")
    for refused in (scene.inplace(*args), scene.inplace("resume", "deploy/web")):
        assert refused.code == 5, refused
        assert "InPlaceRollout up: spec.paused is true" in refused.stderr, refused
    assert len(scene.on_image("app:2")) == 1


def test_abort_passes_it(scene: Scene, rollouts: Rollouts) -> None:
    braked(scene, rollouts)
    assert scene.inplace("abort", "deploy/web").code == 0
    assert rollouts.phase("up") == "Aborted"
    scene.check_runs(2, app="app:1")


def test_a_persons_pause_is_a_reason_of_its_own(scene: Scene, rollouts: Rollouts) -> None:
    """Whoever releases the brake does not release that."""
    scene.web(2)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, drain={"settleSeconds": 3})
    scene.until_seen(any_closed, "a pod is closed")
    rollouts.edit("up", paused=True)
    rollouts.until("up", "Paused")
    assert scene.inplace("pause", "deploy/web").code == 0
    scene.until(lambda: "; paused by " in rollouts.status("up")["message"], "both are named")
    rollouts.edit("up", paused=False)
    scene.until(lambda: "spec.paused" not in rollouts.status("up")["message"], "the brake is released")
    check_stands(scene, rollouts, updated=0)
    assert scene.inplace("resume", "deploy/web").code == 0
    rollouts.until("up", "Succeeded")
