"""A request by annotation that is none, such as a typing error: wherever it stands it is answered in words and removed, and
changes nothing else."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.scenarios.facts import any_closed
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import LEASE, Scene

LEASE_REF = f"lease/{LEASE}"
REQUEST = "inplace.dev/request"
SAID = "inplace.dev/request='resmue' is no request, and was removed: use pause, resume, promote or abort. Did you mean resume?"


def test_a_bad_request_stays_in_the_status_until_a_good_one(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")

    def refused() -> list[Any]:
        return [c for c in rollouts.status("up")["conditions"] if c["type"] == "RequestRefused"]

    rollouts.ask("up", "resmue")
    (said,) = scene.until(refused, "it is refused", 30)
    assert (said["status"], said["reason"]) == ("True", "UnknownRequest")
    assert said["message"] == SAID
    assert not scene.request_on("ipr/up")
    assert rollouts.phase("up") == "Paused"

    rollouts.ask("up", "resume")
    rollouts.until("up", "Succeeded")
    assert refused() == []
    rollouts.ask("up", "go")
    scene.until(refused, "also where it is over", 30)
    assert rollouts.phase("up") == "Succeeded"
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


@pytest.mark.parametrize("strategy", [{**ONE, "steps": ONE_PAUSE}, ONE], ids=["paused", "in flight"])
def test_on_a_lease_the_controller_answers(scene: Scene, rollouts: Rollouts, strategy: dict[str, Any]) -> None:
    scene.web(2)
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=strategy, drain={"settleSeconds": 3})
    if "steps" in strategy:
        rollouts.until("up", "Paused")
    else:
        scene.until_seen(any_closed, "a pod is closed")
    scene.annotate(LEASE_REF, {REQUEST: "resmue"})
    scene.until(lambda: not scene.request_on(LEASE_REF), "it is removed", 30)
    scene.until(lambda: SAID in controller.stdout, "it is answered", 30)
    if "steps" in strategy:
        assert rollouts.phase("up") == "Paused"
        scene.annotate(LEASE_REF, {REQUEST: "resume"})
    rollouts.until("up", "Succeeded")
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


def test_the_next_leader_answers_a_bad_request_on_the_lease(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    first = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    rollouts.until("up", "Paused")
    first.send(signal.SIGKILL)
    first.wait()
    scene.annotate(LEASE_REF, {REQUEST: "resmue"})
    second = rollouts.control()
    scene.until(lambda: SAID in second.stdout, "it is answered", 60)
    assert not scene.request_on(LEASE_REF)
    assert rollouts.phase("up") == "Paused"


def test_on_a_lease_the_command_answers(scene: Scene) -> None:
    scene.web(2)
    upgrade = scene.start("--max-unavailable", "1", settle="3s", app="app:2")
    scene.until_seen(any_closed, "a pod is closed")
    scene.annotate(LEASE_REF, {REQUEST: "resmue"})
    scene.until(lambda: not scene.request_on(LEASE_REF), "it is removed", 30)
    scene.end(upgrade)
    assert upgrade.stderr.count(f"warning: {SAID}\n") == 1
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)
