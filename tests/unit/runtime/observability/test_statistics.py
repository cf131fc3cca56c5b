"""The summary of a run, on the embedded cluster: which pods were touched, how long each phase took, and what is left."""

from __future__ import annotations

from typing import Any

from inplace.engine.planning.plan import RunResult
from inplace.engine.snapshot import ObservedPod
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import PHASES, RunStatistics, Summary
from tests.simulation.simulated_cluster import SimulatedCluster


def summarize(world: SimulatedCluster, image: str, result: RunResult, **options: Any) -> Summary:
    """Upgrades `web`, and sums up the frames of that run."""
    frames: list[Frame] = []
    known: dict[str, ObservedPod] = {}
    statistics = RunStatistics(world.clock.monotonic())

    def add(frame: Frame) -> None:
        known.update({each.uid: each for each in frame.snapshot.pods})
        statistics.add_frame(frame, known)
        frames.append(frame)

    world.upgrade("web", {"app": image}, on_frame=add, settle_seconds=2.0, **options)
    last = frames[-1]
    return statistics.summary(last.plan.run, result, last, {each.uid: each for each in last.snapshot.pods})


def test_a_run_that_succeeded(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=3)
    summary = summarize(world, "reg/app:2", RunResult("Succeeded", "done"), max_unavailable=1)
    assert (summary.outcome, summary.message, summary.namespace) == ("Succeeded", "done", "shop")
    assert (summary.desired, summary.updated, summary.touched) == (3, 3, 3)
    assert (summary.same_uids, summary.same_ips, summary.restarts) == (3, 3, 3)
    assert (summary.left, summary.undrained, summary.failures) == ((), 0, ())
    assert set(summary.phases) == {*PHASES, "out"}
    settle, out = summary.phases["settle"], summary.phases["out"]
    assert 1.0 < settle.median <= settle.worst < out.worst < summary.seconds
    assert settle.worst_pod in {pod.name for pod in world.pods()}


def test_pods_without_a_gate_count_as_undrained(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2, gate=None)
    summary = summarize(world, "reg/app:2", RunResult("Succeeded"), without_gate=True)
    assert (summary.touched, summary.undrained) == (2, 2)
