"""Death before and after every write of a run, renewals of the lock included, then `abort`: back, with nothing of ours left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import FAST, KINDS, Kind, WorkloadScenario


def killed_at(scene: Scene, words: tuple[str, ...], number: int, moment: Moment) -> bool:
    """False: it ended before it came to that write."""
    times = 0

    def met(command: Running, _write: str, when: Moment) -> None:
        nonlocal times
        times += when == moment
        if when == moment and times == number:
            command.send(signal.SIGKILL)

    return scene.stage.start(*words, on_write=met).wait().code == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before", "after"])
@KINDS
def test_killed_at_any_write_and_aborted(tmp_path: Path, kind: Kind, moment: Moment) -> None:
    number = 0
    while True:
        number += 1
        stage = EmbeddedCluster("shop", tmp_path / f"{number}.jsonl")
        scene = Scene(stage)
        story = WorkloadScenario(scene, kind)
        words = ("upgrade", kind.web, f"app={scene.image('app:2')}", *FAST)
        if not killed_at(scene, words, number, moment):
            break
        lease = scene.find(f"lease/{kind.lease}")
        if lease and (lease["spec"].get("holderIdentity") or story.outcome != "Succeeded"):
            aborted = scene.inplace("abort", kind.web)
            assert aborted.code == 0, (number, aborted)
            story.check("app:1")
        stage.close()
    stage.close()
    assert number > 12
