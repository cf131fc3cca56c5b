"""The controller under strain: many runs at once, killed again and again, and at rest for long."""

from __future__ import annotations

import pytest

from tests.recorder import Event, Rules
from tests.recorder.log import RECORD, annotation
from tests.scenarios.cluster_under_test import kill
from tests.scenarios.facts import living
from tests.scenarios.manifests import deployment, service
from tests.scenarios.rollouts import ONE, Rollouts
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.proof


def test_twenty_runs_at_once_over_a_hundred_pods(scene: Scene, rollouts: Rollouts) -> None:
    names = [f"web-{number}" for number in range(20)]
    for name in names:
        scene.create(deployment(name, scene.image("app:1"), replicas=5), service(name))
    scene.deploy(count=100)
    rollouts.control()
    for name in names:
        rollouts.apply(name, f"deploy/{name}", app="app:2", strategy=ONE)
    for name in names:
        rollouts.until(name, "Succeeded", 900)
    assert len(scene.on_image("app:2")) == 100
    scene.check_same_pods()
    scene.check_no_orphans()
    scene.check_restarts(*[{"app": 1}] * 100)
    scene.witness.check(Rules(20, None))
    scene.witness.check(Rules(1, "Deployment/web-0"))  # each takes long over so long a log: one stands for them all


def records(log: list[Event]) -> int:
    return len({(e.uid, annotation(e.object, RECORD)) for e in log if e.kind == "Pod" and e.type != "DELETED"})


def test_killed_twenty_times_in_one_run(scene: Scene, rollouts: Rollouts) -> None:
    """Each time as soon as it has done something to a pod; the next begins where it was left, once the Lease is old."""
    scene.web(30)
    controller = rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE)
    kills = 0
    while kills < 20 and rollouts.phase("up") != "Succeeded":
        seen = records(scene.witness.so_far())
        scene.until_seen(lambda log, seen=seen: records(log) > seen or rollouts.phase("up") == "Succeeded", "it works", 240)  # type: ignore[misc]
        kill(controller)
        kills += 1
        controller = rollouts.control()
    print(f"killed {kills} times")
    assert kills == 20
    rollouts.until("up", "Succeeded", 300)
    scene.check(upgraded=30, writes=None)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 30)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=30)
    assert not [p for p in living(scene.witness.log()) if annotation(p, RECORD)]


def test_idle_for_ten_minutes_it_writes_nothing(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(100)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 10})
    rollouts.until("up", "Succeeded", 900)
    scene.stage.let_pass(10)
    mark = scene.witness.version()
    scene.stage.let_pass(600)
    assert scene.our_writes(mark) == []
    assert scene.witness.writes_after(mark) == []
