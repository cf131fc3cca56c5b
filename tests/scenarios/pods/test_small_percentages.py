"""A small share of few pods is one pod, never none: the plan, the command and an InPlaceRollout agree to the pod."""

import pytest

from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import WEB, Scene

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]


@pytest.mark.parametrize(("share", "replicas", "at_once", "in_step"), [("5%", 5, 1, 1), ("33%", 7, 2, 3), ("1%", 1, 1, 1)])
def test_all_count_alike(scene: Scene, rollouts: Rollouts, share: str, replicas: int, at_once: int, in_step: int) -> None:
    scene.web(replicas, serve=replicas > 1)
    options = ("--max-unavailable", share, "--steps", f"{share},pause,100%")
    planned = scene.inplace("plan", WEB, f"app={scene.image('app:2')}", *options)
    assert f"at most {at_once} of {replicas} pod" in planned.stdout, planned

    paused = scene.inplace(*scene.command(*options, app="app:2"))
    assert paused.code == 4, paused
    assert len(scene.on_image("app:2")) == in_step
    scene.check(upgraded=in_step, max_unavailable=at_once)
    assert scene.inplace("abort", WEB).code == 0

    scene.remember()
    rollouts.control()
    steps = [{"pods": share}, {"pause": {}}, {"pods": "100%"}]
    rollouts.apply("web-3", app="app:3", strategy={"maxUnavailable": share, "steps": steps})
    rollouts.until("web-3", "Paused")
    assert len(scene.on_image("app:3")) == in_step
    scene.check(upgraded=in_step, max_unavailable=at_once)
