"""What a command tells of its run in Events, and what it says where it may not."""

from __future__ import annotations

from typing import Any

import msgspec

from inplace.engine.planning.plan import Plan, PodProgress, Progress, RunResult
from inplace.engine.pods.stages import Stage
from inplace.model.refs import TargetRef
from inplace.model.run import PodFailure
from inplace.runtime.foreground.run_events import RunEventReporter, target_reference
from inplace.runtime.observability.event_recorder import CLI, EventRecorder
from inplace.runtime.observability.frames import Frame
from tests.builders import observed, run
from tests.simulation.host import VirtualRecording
from tests.unit.kube.fakes import FakeClock, refusal
from tests.unit.runtime.fakes import Server, api

WEB = TargetRef("Deployment", "default", "web")


class Bench:
    def __init__(self, target: TargetRef = WEB, *, is_resumed: bool = False) -> None:
        self.server, self.said = Server(), list[str]()
        events = EventRecorder(api(self.server, FakeClock()), "me", by=CLI)
        recording = VirtualRecording(events)
        self.teller = RunEventReporter(
            events, recording, target_reference(target, "d1"), self.said.append, by="ann (root@vm)", is_resumed=is_resumed
        )

    def frame(self, stages: dict[str, Stage], *failures: PodFailure, **more: Any) -> None:
        of = run(failures=failures, created_by="jane", client="root@vm", **more)
        pods = tuple(PodProgress(name=n, uid=f"u-{n}", node="", stage=s, reason="", image="app:2") for n, s in stages.items())
        progress = Progress(len(pods), sum(p.stage == "Updated" for p in pods), 0, 0, 0, step=f"step {of.steps_passed + 1}")
        self.teller.add_frame(Frame(observed(), Plan(of, pods=pods, progress=progress), {}, 0.0, ""))

    def told(self) -> list[str]:
        found = [body for _, _, body in self.server.writes if "regarding" in body]
        return [f"{body['type']} {body['regarding']['name']} {body['reason']}: {body['note']}" for body in found]


def test_a_run_from_its_beginning_to_a_failure() -> None:
    bench, failure = Bench(), PodFailure(pod="a", uid="u-a", reason="ImagePullBackOff", message="no such image")
    with bench.teller as teller:
        bench.frame({"a": "Pending", "b": "Pending"})
        bench.frame({"a": "Closing", "b": "Pending"})
        bench.frame({"a": "Updated", "b": "Pending"}, steps_passed=1)
        bench.frame({"a": "Failed", "b": "Pending"}, failure, steps_passed=1)
        bench.frame({"a": "Failed", "b": "Pending"}, failure, steps_passed=1)
        teller.report_end(run(), RunResult("Failed", "a pod failed"))
    images = "app=repo/app:1 -> app=repo/app:2"
    assert bench.told() == [
        f"Normal web RunStarted: run run-1: upgrading 2 pods: {images} (by ann (root@vm))",
        "Normal a PodClosed: taken out of service to be upgraded (run run-1)",
        "Normal web StepFinished: run run-1: step 1 is done: 1 of 2 pods updated",
        "Normal a PodUpgraded: runs app:2, proven and back in service (run run-1)",
        "Warning a PodFailed: ImagePullBackOff: no such image (run run-1)",
        "Warning web RunFailed: run run-1: a pod failed",
    ]
    assert {body["reportingController"] for _, _, body in bench.server.writes} == {CLI}


def test_a_pod_drained_by_the_next_frame_was_closed_all_the_same() -> None:
    bench = Bench()
    with bench.teller:
        bench.frame({"a": "Pending"})
        bench.frame({"a": "Settling"})
        bench.frame({"a": "Restarting"})
    assert [line.split(": ")[0] for line in bench.told()] == ["Normal web RunStarted", "Normal a PodClosed"]


def test_a_resumed_run_repeats_nothing() -> None:
    bench, failure = Bench(is_resumed=True), PodFailure(pod="a", uid="u-a", reason="ImagePullBackOff", message="no such image")
    with bench.teller as teller:
        bench.frame({"a": "Failed", "b": "Closing"}, failure, steps_passed=1)
        bench.frame({"a": "Failed", "b": "Updated"}, failure, steps_passed=1)
        teller.report_end(run(), RunResult("Succeeded", ""))
    assert bench.told()[0] == "Normal web RunResumed: run run-1: 0 of 2 pods updated (by ann (root@vm))"
    assert [line.split(": ")[0] for line in bench.told()] == [
        "Normal web RunResumed",
        "Normal b PodUpgraded",
        "Normal web RunSucceeded",
    ]


def test_bare_pods_are_told_of_each_by_itself() -> None:
    bench = Bench(TargetRef("Pods", "default", selector="app=web"))
    with bench.teller as teller:
        bench.frame({"a": "Pending"})
        bench.frame({"a": "Closing"})
        teller.report_end(msgspec.structs.replace(run(), outcome="Succeeded"), RunResult("Succeeded", ""))
    assert bench.told() == ["Normal a PodClosed: taken out of service to be upgraded (run run-1)"]


def test_events_that_may_not_be_written_are_reported_once() -> None:
    bench = Bench()
    bench.server.refuse = refusal(403, "you may not create events", "Forbidden")
    with bench.teller as teller:
        bench.frame({"a": "Pending"})
        bench.frame({"a": "Closing"})
        teller.report_end(run(), RunResult("Succeeded", ""))
    bench.teller.__exit__()
    assert len(bench.said) == 1
    assert bench.said[0].startswith("note: no Events are written, and the run goes on without: ")
    assert "you may not create events" in bench.said[0]
    assert len(bench.server.requests) == 1
