"""What is told of a controller's work: every change once, in stable words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from structlog.testing import capture_logs

from inplace.engine.planning.plan import Plan, PodProgress
from inplace.engine.pods.stages import Stage
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import ContainerImage, InPlaceRollout, Phase, RolloutSpec, RolloutStatus, RolloutTarget
from inplace.model.run import PodFailure, Run
from inplace.runtime.observability.event_recorder import EventRecorder, ObjectReference
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.metrics import Metrics
from inplace.runtime.observability.telemetry import TelemetryListener
from tests.builders import observed, run
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api
from tests.unit.runtime.observability.samples import values

ROLLOUT = InPlaceRollout(
    metadata=ObjectMeta(name="up", namespace="shop", uid="r1"),
    spec=RolloutSpec(target=RolloutTarget(kind="Deployment", name="web"), images=(ContainerImage("app", "app:2"),)),
)
WEB = ObjectReference("apps/v1", "Deployment", "shop", "web", "d1")


class Bench:
    def __init__(self) -> None:
        self.server, self.metrics = Server(), Metrics()
        self.events = EventRecorder(api(self.server, FakeClock()), "me")
        self.teller = TelemetryListener(self.metrics, self.events)
        self.teller.find_target = lambda _target: WEB

    def told(self) -> list[str]:
        """Kind of object, reason, note of every event so far."""
        while self.events.step():
            pass
        found = [body for _, _, body in self.server.writes]
        return [f"{body['regarding']['kind']} {body['reason']}: {body['note']}" for body in found if "regarding" in body]

    def goes(self, *phases: Phase, **status: object) -> None:
        last = RolloutStatus()
        for phase in phases:
            following = RolloutStatus(phase=phase, message=f"is {phase}", **status)  # type: ignore[arg-type]
            self.teller.changed(ROLLOUT, last, following)
            last = following

    def frame(self, now: float, stages: dict[str, Stage], failures: Sequence[PodFailure] = ()) -> None:
        of: Run = msgspec.structs.replace(run(), failures=tuple(failures))
        pods = tuple(PodProgress(name=n, uid=f"u-{n}", node="", stage=s, reason="", image="app:2") for n, s in stages.items())
        self.teller.on_frame(ROLLOUT, Frame(observed(), Plan(of, pods=pods), {}, now, ""))


def test_a_run_is_told_to_it_and_to_its_target() -> None:
    bench = Bench()
    before = (ContainerImage("app", "app:1"),)
    bench.goes("Pending", "Waiting", "Progressing", "Paused", "Progressing", "Succeeded", desired=6, from_images=before)
    assert bench.told() == [
        "InPlaceRollout RunWaiting: deploy/web: is Waiting",
        "InPlaceRollout RunStarted: deploy/web: upgrading 6 pods: app=app:1 -> app=app:2",
        "Deployment RunStarted: inplacerollout/up: upgrading 6 pods: app=app:1 -> app=app:2",
        "InPlaceRollout RunPaused: deploy/web: is Paused",
        "Deployment RunPaused: inplacerollout/up: is Paused",
        "InPlaceRollout RunResumed: deploy/web: is Progressing",
        "Deployment RunResumed: inplacerollout/up: is Progressing",
        "InPlaceRollout RunSucceeded: deploy/web: is Succeeded",
        "Deployment RunSucceeded: inplacerollout/up: is Succeeded",
    ]


def test_ends_that_a_person_should_see_are_warnings() -> None:
    for phase in ("Failed", "RolledBack", "Refused"):
        bench = Bench()
        bench.goes(phase)
        bench.told()
        assert {body["type"] for _, _, body in bench.server.writes} == {"Warning"}


def test_a_new_leader_repeats_nothing() -> None:
    bench = Bench()
    going_on = RolloutStatus(phase="Progressing", step="50%", step_index=0)
    bench.teller.changed(ROLLOUT, going_on, msgspec.structs.replace(going_on, updated=3))
    bench.frame(0.0, {"a": "Closing", "b": "Updated"}, [PodFailure(pod="c", uid="u-c", reason="DrainTimeout", message="late")])
    assert bench.told() == []
    assert "inplace_pod_failures_total DrainTimeout" not in values(bench.metrics)


def test_a_step_that_is_done() -> None:
    bench = Bench()
    before = RolloutStatus(phase="Progressing", step="10%", step_index=0, updated=1, desired=4)
    bench.teller.changed(ROLLOUT, before, msgspec.structs.replace(before, step="50%", step_index=1))
    assert "InPlaceRollout StepFinished: deploy/web: step 10% is done: 1 of 4 pods updated" in bench.told()


def test_a_pods_way_is_told_and_timed() -> None:
    bench = Bench()
    bench.frame(0.0, {"a": "Pending"})
    bench.frame(1.0, {"a": "Closing"})
    bench.frame(2.0, {"a": "Closing"})
    assert values(bench.metrics)["inplace_pods_out_of_service"] == 1
    bench.frame(4.0, {"a": "Settling"})
    bench.frame(9.0, {"a": "Restarting"})
    bench.frame(10.0, {"a": "Updated"})
    bench.frame(11.0, {"a": "Updated"})
    assert bench.told() == [
        "Pod PodClosed: taken out of service to be upgraded (inplacerollout/up)",
        "Pod PodUpgraded: runs app:2, proven and back in service (inplacerollout/up)",
    ]
    found = values(bench.metrics)
    assert found["inplace_pods_upgraded_total"] == 1
    assert found["inplace_pods_out_of_service"] == 0
    assert found["inplace_stage_duration_seconds_sum Closing"] == 3
    assert found["inplace_stage_duration_seconds_sum Settling"] == 5
    assert found["inplace_stage_duration_seconds_count Restarting"] == 1


def test_a_failure_is_told_once_with_its_reason() -> None:
    bench = Bench()
    failure = PodFailure(pod="a", uid="u-a", reason="RestartTimeout", message="not ready for 300s")
    bench.frame(0.0, {"a": "Restarting"})
    bench.frame(1.0, {"a": "Failed"}, [failure])
    bench.frame(2.0, {"a": "Failed"}, [failure])
    assert bench.told() == ["Pod PodFailed: RestartTimeout: not ready for 300s (inplacerollout/up)"]
    assert values(bench.metrics)["inplace_pod_failures_total RestartTimeout"] == 1


def test_what_is_driven_here_no_more_is_not_counted() -> None:
    bench = Bench()
    bench.frame(0.0, {"a": "Closing", "b": "Restarting"})
    assert values(bench.metrics)["inplace_pods_out_of_service"] == 2
    bench.teller.released("r1")
    assert values(bench.metrics)["inplace_pods_out_of_service"] == 0
    bench.frame(1.0, {"a": "Closing"})
    bench.goes("Progressing", "Failed")
    assert values(bench.metrics)["inplace_pods_out_of_service"] == 0


def test_a_warning_and_a_reconciliation() -> None:
    bench = Bench()
    bench.teller.warned(ROLLOUT, "the edit is left out of account")
    bench.teller.reconciled(0.1, None)
    assert bench.told()[0] == "InPlaceRollout RunWarning: deploy/web: the edit is left out of account"
    assert values(bench.metrics)["controller_runtime_reconcile_total inplacerollout success"] == 1


def test_the_log_names_run_pod_and_action() -> None:
    with capture_logs() as lines:
        bench = Bench()
        bench.frame(0.0, {"a": "Pending"})
        bench.frame(1.0, {"a": "Closing"})
        bench.frame(2.0, {"a": "Failed"}, [PodFailure(pod="a", uid="u-a", reason="DrainTimeout", message="late")])
        bench.goes("Progressing")
    facts = [(line["event"], line["log_level"], line["action"], line["rollout"]) for line in lines]
    assert facts == [
        ("pod", "info", "PodClosed", "shop/up"),
        ("pod", "warning", "PodFailed", "shop/up"),
        ("rollout", "info", "RunStarted", "shop/up"),
    ]
    assert (lines[0]["run"], lines[0]["pod"]) == ("run-1", "shop/a")
