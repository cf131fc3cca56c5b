"""An InPlaceRollout that expires by its ttl and stands in Git: it comes again after each sync."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.rollouts import ONE_PAUSE, Rollouts
from tests.scenarios.scene import WEB, Scene

pytestmark = [pytest.mark.at_rest, pytest.mark.sampled]


def applied(rollouts: Rollouts, name: str, **spec: Any) -> None:
    """As the sync does it, once the one before has expired."""
    rollouts.scene.until(lambda: rollouts.scene.find(f"ipr/{name}") is None, f"{name} has expired", 90)
    rollouts.apply(name, strategy={"maxUnavailable": 2}, ttlSecondsAfterFinished=3, **spec)


def check_refused(rollouts: Rollouts, name: str, word: str, ref: str) -> None:
    scene = rollouts.scene
    message = rollouts.until(name, "Refused")["message"]
    assert word in message
    assert "make another object" in message
    assert scene.on_image(ref) == set(scene.before)
    scene.check_same_pods()


@pytest.mark.parametrize("how", ["in place", "classic"])
def test_what_was_undone_stays_undone(scene: Scene, rollouts: Rollouts, how: str) -> None:
    scene.web(3)
    scene.run_gates()
    rollouts.control()
    applied(rollouts, "web-2", app="app:2")
    rollouts.until("web-2", "Succeeded")
    applied(rollouts, "web-2", app="app:2")
    assert "already" in rollouts.until("web-2", "Succeeded")["message"]
    if how == "in place":
        undone = scene.inplace("undo", WEB, "--settle", "1s")
        assert undone.code == 0, undone
    else:
        scene.undo(WEB, 1)
        scene.until_rolled_out()
        scene.remember()
    applied(rollouts, "web-2", app="app:2")
    check_refused(rollouts, "web-2", "was undone at" if how == "in place" else "somebody has rolled out other images", "app:1")
    applied(rollouts, "web-2", app="app:2")
    check_refused(rollouts, "web-2", "it ran already", "app:1")
    applied(rollouts, "again", app="app:2")
    rollouts.until("again", "Succeeded")
    scene.check_same_pods()


def test_what_was_aborted_stays_aborted(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    scene.run_gates()
    rollouts.control()
    rollouts.apply("web-2", app="app:2", strategy={"steps": ONE_PAUSE}, ttlSecondsAfterFinished=3)
    rollouts.until("web-2", "Paused")
    aborted = scene.inplace("abort", WEB)
    assert aborted.code == 0, aborted
    applied(rollouts, "web-2", app="app:2")
    check_refused(rollouts, "web-2", "was aborted at", "app:1")


def test_two_that_follow_each_other_do_not_fight(scene: Scene, rollouts: Rollouts) -> None:
    """Both still stand in Git, and an undo is not undone by itself."""
    scene.web(3)
    scene.run_gates()
    rollouts.control()
    for name, ref in (("web-2", "app:2"), ("web-3", "app:3")):
        applied(rollouts, name, app=ref)
        rollouts.until(name, "Succeeded")
    applied(rollouts, "web-2", app="app:2")
    check_refused(rollouts, "web-2", "was replaced by other images at", "app:3")
    applied(rollouts, "back", undo={})
    rollouts.until("back", "Succeeded")
    applied(rollouts, "back", undo={})
    check_refused(rollouts, "back", "a second undo would go forward again", "app:2")
