"""Nothing that is left behind keeps others from deleting: a rollout has our finalizer only while there is something to free."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Moment, Running, kill
from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import GATE
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import Scene


def paused(scene: Scene, rollouts: Rollouts, seconds: int | None = None, **spec: Any) -> Running:
    scene.web(2)
    controller = rollouts.control()
    pause = {"seconds": seconds} if seconds else {}
    steps = [{"pods": 1}, {"pause": pause}, {"pods": "100%"}]
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": steps}, **spec)
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 1 and rollouts.status("up")["updated"] == 1, "it pauses")
    return controller


def finalizers(scene: Scene) -> list[str]:
    return list(scene.get("ipr/up")["metadata"].get("finalizers", []))


def until_free(scene: Scene) -> None:
    scene.until(lambda: not finalizers(scene), "nothing keeps it")


def test_a_waiting_rollout_can_be_deleted_without_a_controller(scene: Scene, rollouts: Rollouts) -> None:
    controller = paused(scene, rollouts)
    until_free(scene)
    kill(controller)
    scene.delete("ipr/up")
    assert scene.find("ipr/up") is None


@pytest.mark.parametrize("phase", ["Paused", "Succeeded"])
def test_a_rollout_can_be_deleted_as_soon_as_its_status_says_so(scene: Scene, rollouts: Rollouts, phase: str) -> None:
    """Also where the controller dies right after it has told it."""
    scene.web(2)

    def dies(command: Running, write: str, moment: Moment) -> None:
        if moment == "after" and "/inplacerollouts/up/status" in write and f'"phase":"{phase}"' in write:
            command.send(signal.SIGKILL)

    controller = rollouts.control(on_write=dies)
    steps = ONE_PAUSE if phase == "Paused" else []
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": steps})
    controller.wait()
    assert rollouts.phase("up") == phase
    scene.delete("ipr/up")
    assert scene.find("ipr/up") is None


def test_a_timed_pause_frees_it_until_it_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts, seconds=20)
    until_free(scene)
    scene.until(lambda: any(condition(p, GATE) == "False" for p in scene.pods()), "the second pod is closed")
    assert finalizers(scene) == ["inplace.dev/run"]
    rollouts.until("up", "Succeeded")
    until_free(scene)


@pytest.mark.parametrize(("seconds", "outcome"), [(None, "Paused"), (7200, "Interrupted")], ids=["by hand", "timed"])
def test_deleted_at_a_pause_its_lease_is_let_go(scene: Scene, rollouts: Rollouts, seconds: int | None, outcome: str) -> None:
    paused(scene, rollouts, seconds)
    until_free(scene)
    scene.delete("ipr/up")
    scene.until(lambda: not scene.holder(), "the lock is free", 30)
    assert len(scene.on_image("app:2")) == 1
    assert scene.stored_run()["outcome"] == outcome


def test_a_successor_of_the_same_name_begins_at_once(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts)
    until_free(scene)
    scene.delete("ipr/up")
    rollouts.apply("up", app="app:3", strategy=ONE)
    rollouts.until("up", "Succeeded")
    scene.check_runs(2, app="app:3")


def check_goes_back_when_deleted(scene: Scene) -> None:
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone")
    scene.check_runs(2, app="app:1")


def test_a_rollout_that_would_roll_back_is_kept(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts, onDelete="Abort")
    scene.stage.let_pass(3)
    assert finalizers(scene) == ["inplace.dev/run"]
    check_goes_back_when_deleted(scene)


def test_a_rollout_edited_to_roll_back_is_kept(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts, seconds=7200)
    until_free(scene)
    rollouts.edit("up", onDelete="Abort")
    scene.until(lambda: finalizers(scene), "it is kept")
    check_goes_back_when_deleted(scene)


def test_an_edit_right_before_its_end_counts(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts, seconds=7200)
    until_free(scene)
    rollouts.edit("up", onDelete="Abort")
    scene.delete("ipr/up")
    scene.until(lambda: scene.stored_run().get("outcome") == "Aborted", "its pods go back")
    scene.check_runs(2, app="app:1")


def test_repair_frees_one_whose_controller_died_in_the_middle(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, drain={"settleSeconds": 20})
    scene.until_seen(any_closed, "a pod is closed")
    assert finalizers(scene) == ["inplace.dev/run"]
    kill(controller)
    scene.delete("ipr/up")
    assert scene.get("ipr/up")["metadata"]["deletionTimestamp"]
    dry = scene.inplace("repair", "--dry-run")
    assert "inplacerollout/up" in dry.stdout, dry
    assert finalizers(scene) == ["inplace.dev/run"]
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    assert "inplacerollout/up" in repaired.stdout, repaired
    assert scene.find("ipr/up") is None
    scene.check_no_orphans()


def test_repair_leaves_that_of_a_living_controller(scene: Scene, rollouts: Rollouts) -> None:
    paused(scene, rollouts, onDelete="Abort")
    repaired = scene.inplace("repair")
    assert "inplacerollout/up" not in repaired.stdout, repaired
    assert finalizers(scene) == ["inplace.dev/run"]
