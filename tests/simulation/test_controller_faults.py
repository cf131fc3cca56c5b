"""A controller whose writes fail for a while, and one with much to wait for: nothing of it hangs, and nobody else pays."""

from __future__ import annotations

import re

import pytest

from inplace.kube.errors import ConnectionFailed
from inplace.sim.api.server import ApiRequest, ApiResponse, WatchAnswer
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import Scene

LEASE = "lease/inplace-deployment-web"


class Lost:
    """Once it is on, requests that match never arrive, for `seconds` from the first one."""

    def __init__(self, scene: Scene, pattern: str, seconds: float) -> None:
        self._scene, self._pattern, self._seconds = scene, re.compile(pattern), seconds
        self._ends_at: float | None = None
        self.is_on = False
        self.count = 0

    def __call__(self, command: Running, write: str, moment: Moment) -> None:
        if not self.is_on or moment == "after" or not self._pattern.match(write):
            return
        now = self._scene.stage.now()
        self._ends_at = now + self._seconds if self._ends_at is None else self._ends_at
        if now < self._ends_at:
            self.count += 1
            raise ConnectionFailed("lost")


def test_a_lease_that_cannot_be_let_go_at_once_is_let_go_later(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    lost = Lost(scene, r'PATCH .*/leases/inplace-deployment-web .*"holderIdentity":null', seconds=10)
    lost.is_on = True
    rollouts.control(on_write=lost)
    rollouts.apply("up", app="app:2", strategy=ONE)
    rollouts.until("up", "Succeeded")
    assert lost.count > 1
    assert scene.holder() == ""
    assert scene.stored_run()["outcome"] == "Succeeded"
    assert scene.upgrade("--max-unavailable", "1", app="app:3").report["outcome"] == "Succeeded"


@pytest.fixture
def in_a_pause(scene: Scene, rollouts: Rollouts) -> Lost:
    """A run in a long pause, and from now on its Lease cannot be written for a few seconds."""
    scene.web(3)
    lost = Lost(scene, r"PATCH .*/leases/inplace-deployment-web ", seconds=5)
    rollouts.control(on_write=lost)
    steps = [{"pods": 1}, {"pause": {"seconds": 7200}}, {"pods": "100%"}]
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": steps})
    scene.until(lambda: rollouts.status("up").get("stepIndex") == 1, "it pauses")
    lost.is_on = True
    return lost


def test_a_request_that_could_not_be_taken_in_at_once_is(scene: Scene, rollouts: Rollouts, in_a_pause: Lost) -> None:
    scene.merge(LEASE, {"metadata": {"annotations": {"inplace.dev/request": "abort"}}})
    rollouts.until("up", "Aborted")
    assert in_a_pause.count > 1


def test_a_lost_answer_to_a_request_on_the_rollout_is_retried(scene: Scene, rollouts: Rollouts, in_a_pause: Lost) -> None:
    rollouts.ask("up", "promote")
    rollouts.until("up", "Succeeded")
    assert in_a_pause.count > 1


def test_an_edit_that_could_not_be_taken_in_at_once_is(scene: Scene, rollouts: Rollouts, in_a_pause: Lost) -> None:
    rollouts.edit("up", strategy={**ONE, "steps": [{"pods": 1}, {"pods": "100%"}]})
    rollouts.until("up", "Succeeded")
    assert in_a_pause.count > 1


def test_a_deletion_that_could_not_be_taken_in_at_once_is(scene: Scene, rollouts: Rollouts, in_a_pause: Lost) -> None:
    in_a_pause.is_on = False
    rollouts.edit("up", onDelete="Abort")
    scene.until(lambda: scene.get("ipr/up")["metadata"].get("finalizers"), "it is kept for that")
    in_a_pause.is_on = True
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "the rollout is gone", 300)
    assert in_a_pause.count > 1
    assert scene.on_image("app:2") == set()
    scene.check_no_orphans()


@pytest.mark.parametrize("why", ["paused", "busy"])
def test_many_that_wait_cost_no_request(scene: Scene, rollouts: Rollouts, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that those that go on are not kept waiting for their turn."""
    scene.web(3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    for number in range(20):
        rollouts.apply(f"later-{number}", app="app:3", strategy=ONE, paused=why == "paused")
    scene.until(lambda: all(rollouts.phase(f"later-{n}") == "Waiting" for n in range(20)), "all wait")
    scene.stage.let_pass(10)
    asked: list[str] = []
    listen(scene, asked, monkeypatch)
    scene.stage.let_pass(60)
    assert [what for what in asked if "/leases/shop" not in what] == []
    assert rollouts.status("later-0")["message"].endswith("of InPlaceRollout up has not ended")


def listen(scene: Scene, asked: list[str], patch: pytest.MonkeyPatch) -> None:
    """What anybody but the cluster's own controllers asks the API server from now on, watches apart."""
    stage = scene.stage
    assert isinstance(stage, EmbeddedCluster)
    handle = stage.cluster.server.handle

    def heard(call: ApiRequest) -> ApiResponse | WatchAnswer:
        if "watch" not in call.query:
            asked.append(f"{call.method} {call.path}")
        return handle(call)

    patch.setattr(stage.cluster.server, "handle", heard)
