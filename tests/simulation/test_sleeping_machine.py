"""A machine that sleeps in the middle of a run, as a laptop does at night: whoever wakes renews its lock before it writes
anything else, and looks at everything afresh; whoever was replaced meanwhile has lost, and touches nothing more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.embedded_cluster import Command, EmbeddedCluster
from tests.scenarios.facts import any_closed, any_patched
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

HOUR = 3600.0
LEASE = re.compile(r"(PATCH \S*/leases/|POST \S*/events\b)")
"""Renewing, and Events, which tell what was done before: nothing that a run does to anybody."""


class Written:
    """Its writes, in their order, and how often it had asked for pods before each."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self.asked: list[int] = []

    def __call__(self, command: Running, write: str, moment: Moment) -> None:
        if moment == "before":
            assert isinstance(command, Command)
            self.all.append(write)
            self.asked.append(command.transport.requests.get("GET pods", 0))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(EmbeddedCluster("shop", tmp_path / "recorder.jsonl"))


def start(scene: Scene, written: Written, settle: str = "3s") -> Command:
    words = ("upgrade", "deploy/web", f"app={scene.image('app:2')}", "--settle", settle, "--max-unavailable", "1")
    command = scene.stage.start(*words, on_write=written)
    assert isinstance(command, Command)
    return command


def until_first_pod_is(scene: Scene, stage: str) -> None:
    match stage:
        case "Restarting":
            scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched")
        case _:
            scene.until_seen(any_closed, "the first pod is closed")
            scene.stage.let_pass(1.5 if stage == "Settling" else 0.0)


@pytest.mark.parametrize("when", ["Closing", "Settling", "Restarting"])
def test_a_driver_that_slept_an_hour_renews_first_and_goes_on(scene: Scene, when: str) -> None:
    scene.web(3)
    written = Written()
    command = start(scene, written)
    until_first_pod_is(scene, when)
    before = len(written.all)
    command.sleep(HOUR)
    scene.stage.let_pass(HOUR - 1)
    assert len(written.all) == before
    done = command.wait(900)
    assert done.code == 0, done
    assert LEASE.match(written.all[before]), written.all[before]
    first = next(n for n, write in enumerate(written.all) if n > before and not LEASE.match(write))
    assert written.asked[first] > written.asked[before]
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    scene.check(upgraded=3)


@pytest.mark.parametrize("when", ["Closing", "Settling", "Restarting"])
def test_a_driver_replaced_in_its_sleep_writes_nothing(scene: Scene, when: str) -> None:
    scene.web(3)
    written = Written()
    command = start(scene, written)
    until_first_pod_is(scene, when)
    before = len(written.all)
    command.sleep(HOUR)
    again = start(scene, Written()).wait(600)
    assert again.code == 0, again
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    ended = scene.witness.version()
    late = command.wait(2 * HOUR)
    assert late.code == 1, late
    assert "writes nothing more" in late.stderr
    assert all(LEASE.match(write) for write in written.all[before:]), written.all[before:]
    assert scene.our_writes(ended) == []


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_leader_that_slept(scene: Scene, is_replaced: bool) -> None:
    rollouts, written = Rollouts(scene), Written()
    scene.web(3)
    words = ("controller", "-n", "shop", "--listen", "", "--no-gate-rules")
    first = scene.stage.start(*words, on_write=written)
    assert isinstance(first, Command)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the first pod is closed", 120)
    before = len(written.all)
    first.sleep(HOUR)
    if is_replaced:
        scene.stage.start(*words)
    else:
        scene.stage.let_pass(HOUR - 1)
    rollouts.until("up", "Succeeded", 600)
    if is_replaced:
        late = first.wait(2 * HOUR)
        assert late.code == 1, late
        assert "was taken over by" in late.stderr
    assert all(LEASE.match(write) for write in written.all[before : None if is_replaced else before + 1])
    scene.check(upgraded=3)
