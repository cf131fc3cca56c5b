"""Where a pod stands and what is done about it, one view at a time."""

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import CloseGate, OpenGate, PatchImages, RemoveRecord
from inplace.engine.pods.stages import PodAssessment, PodPolicy, assess_pod, release_failed
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.objects.pods import Pod, PodCondition
from inplace.model.record import PreviousContainer
from tests.builders import GATE, NEW, OLD, container, facts, in_service, patched, pod, record, rules, status

NOW = 100.0
OTHER = "example.com/other"
DRAINED = Evidence(quiet_since=90.0, saw_ready=True, saw_transition=True)
HOLD = '{"label":"closed by hand"}'


def judged(
    what: Pod | ObservedPod, seen: Evidence | None = None, rule: PodPolicy | None = None, now: float = NOW
) -> PodAssessment:
    return assess_pod(in_service(what) if isinstance(what, Pod) else what, rule or rules(), seen, now)


def closed(**fields: Any) -> Pod:
    return pod(**{"ready": False, "gate": "False", "record": record(), **fields})


def restarted(**fields: Any) -> Pod:
    shown = [status("app", "c2", NEW["app"], "sha-2")]
    base = {"images": NEW, "ready": False, "gate": "False", "record": patched(), "generation": 2, "statuses": shown}
    return pod(**{**base, **fields})


def of_two_gates(closed_by_us: str, **fields: Any) -> Pod:
    """A pod with two gates, of which an upgrade has closed this one, and somebody else nothing."""
    found = closed(**{"gates": (GATE, OTHER), **fields})
    states = {GATE: "True", OTHER: "True", closed_by_us: "False"}
    gates = tuple(PodCondition(type=t, status=s, reason="Upgrading" if s == "False" else "Upgraded") for t, s in states.items())
    rest = tuple(c for c in found.status.conditions or () if c.type != GATE)
    return msgspec.structs.replace(found, status=msgspec.structs.replace(found.status, conditions=(*rest, *gates)))


class TestAnotherGateThanTheRuns:
    """The run goes on with another `--gate` than it was begun with."""

    @pytest.mark.parametrize("gate", [OTHER, ""], ids=["recorded", "a record of an older version"])
    def test_a_pod_is_drained_and_opened_by_its_own(self, gate: str) -> None:
        waits = judged(of_two_gates(OTHER, record=record(gate=gate)), DRAINED)
        assert waits.stage == "Settling"
        shown = [status("app", "c2", NEW["app"], "sha-2")]
        done = of_two_gates(OTHER, record=patched(gate=gate), images=NEW, generation=2, statuses=shown)
        opening = judged(done).action
        assert isinstance(opening, OpenGate)
        assert opening.gate == OTHER

    def test_a_pod_that_failed_or_is_released_too(self) -> None:
        closed_by_other = of_two_gates(OTHER, record=record(gate=OTHER))
        released = judged(closed_by_other, rule=rules(stopping=True)).action
        freed = release_failed(judged(closed_by_other), rules())
        assert isinstance(released, OpenGate)
        assert released.gate == OTHER
        assert freed == msgspec.structs.replace(released, reason="Released")

    def test_what_somebody_opened_is_closed_by_the_runs_own(self) -> None:
        action = judged(pod(gates=(GATE, OTHER), record=record(gate=OTHER))).action
        assert isinstance(action, CloseGate)
        assert action.gate == action.record.gate == GATE


class TestPending:
    def test_old_images_and_no_record(self) -> None:
        assert judged(pod()).stage == "Pending"
        assert judged(pod(ready=False, gate="False")).stage == "Pending"

    def test_one_container_of_two_is_old(self) -> None:
        two = rules(images={"app": "app:2", "mesh": "mesh:2"})
        assert judged(pod(images={"app": "app:2", "mesh": "mesh:1"}), rule=two).stage == "Pending"
        assert judged(pod(images={"app": "app:2", "mesh": "mesh:2"}), rule=two).stage == "Updated"

    @pytest.mark.parametrize("what", [pod(deleting=True), restarted(deleting=True), closed(deleting=True, record="garbage")])
    def test_a_pod_that_is_being_deleted_is_gone_whatever_it_carries(self, what: Pod) -> None:
        found = judged(what)
        assert (found.stage, found.action) == ("Gone", None)


class TestClosing:
    def test_waits_for_the_kubelet(self) -> None:
        found = judged(closed(ready=True))
        assert (found.stage, found.reason) == ("Closing", "waiting for the kubelet to report it not ready")
        assert found.action is None
        assert found.deadline_seconds == 60.0

    def test_waits_for_the_slices_by_name(self) -> None:
        found = judged(in_service(closed(), ready=True))
        assert (found.stage, found.reason) == ("Closing", "waiting for the EndpointSlices of web")
        assert not found.needs_slice_list

    def test_asks_where_no_turn_was_seen(self) -> None:
        found = judged(closed(), Evidence(quiet_since=99.0))
        assert (found.stage, found.needs_slice_list) == ("Closing", True)

    def test_closes_again_what_somebody_opened(self) -> None:
        found = judged(closed(gate="True"), DRAINED)
        assert isinstance(found.action, CloseGate)
        assert (found.stage, found.action.record) == ("Closing", record(gate=GATE))
        assert not found.action.require_resource_version

    def test_closes_a_bare_pod_again_only_as_it_was_judged(self) -> None:
        found = judged(closed(gate="True"), rule=rules(is_bare_pods=True))
        assert isinstance(found.action, CloseGate)
        assert found.action.require_resource_version


class TestSettling:
    def test_waits_out_the_settle_time(self) -> None:
        found = judged(closed(), DRAINED, now=94.0)
        assert (found.stage, found.action, found.requeue_at) == ("Settling", None, 95.0)

    def test_a_settled_pod_is_patched_at_the_version_that_was_judged(self) -> None:
        found = judged(closed(version=33), DRAINED, now=95.0)
        assert isinstance(found.action, PatchImages)
        assert found.action.images == NEW
        assert found.action.pod.resource_version == "33"
        assert found.action.record == patched()

    def test_a_pod_that_was_not_ready_before_us_gets_time_to_show(self) -> None:
        quick, unready = rules(settle_seconds=0.0), Evidence(quiet_since=90.0, quiet_confirmed_at=99.0)
        assert judged(closed(), unready, quick, now=100.9).action is None
        assert isinstance(judged(closed(), unready, quick, now=101.0).action, PatchImages)
        assert isinstance(judged(closed(), DRAINED, quick, now=90.0).action, PatchImages)

    def test_container_ids_are_those_of_the_version_that_is_patched(self) -> None:
        """A drained container may have crashed meanwhile."""
        found = judged(closed(statuses=[status(id_="c7", image_id="x")], record=record(gate_before="False")), DRAINED)
        assert isinstance(found.action, PatchImages)
        was = PreviousContainer(container_id="c7", image_id="x", image=OLD["app"], restart_count=0)
        assert found.action.record.before == {"app": was}
        assert found.action.record.gate_before == "False"

    def test_only_what_differs_is_patched(self) -> None:
        two = rules(images={"app": "app:2", "mesh": "mesh:1"})
        p = closed(images={"app": "app:1", "mesh": "mesh:1"})
        found = judged(p, DRAINED, two)
        assert isinstance(found.action, PatchImages)
        assert found.action.images == {"app": "app:2"}
        assert list(found.action.record.before or {}) == ["app"]

    def test_the_first_from_images_win(self) -> None:
        """A new run adopts the pod of an old one: it goes from what the old one found."""
        adopted = closed(images={"app": "app:2"}, record=patched("c0", from_images={"app": "app:1"}))
        p = msgspec.structs.replace(adopted, status=restarted().status)
        found = judged(p, DRAINED, rules(images={"app": "app:3"}, run_id="run-2"))
        assert isinstance(found.action, PatchImages)
        assert found.action.record.from_images == {"app": "app:1"}
        assert found.action.record.run == "run-2"
        assert found.action.record.to_images == {"app": "app:3"}

    def test_waits_for_an_earlier_restart_to_end(self) -> None:
        """Its new container would pass for ours."""
        under_way = closed(images={"app": "app:2"}, record=patched("c1"), statuses=[status(id_="c1")], generation=2, observed=1)
        found = judged(under_way, DRAINED, rules(images={"app": "app:3"}))
        assert (found.stage, found.action, found.reason) == ("Settling", None, "waiting for an earlier restart to end")
        assert (found.timer, found.deadline_seconds) == ("uid-web-a/earlier", 330.0)

    def test_waits_for_the_template_where_that_goes_first(self) -> None:
        found = judged(closed(), DRAINED, rules(revision=""))
        assert (found.stage, found.action, found.reason) == ("Settling", None, "waiting for the template")

    def test_each_wait_of_a_drained_pod_has_a_clock_of_its_own(self) -> None:
        """So that one that was long takes nothing off the next."""
        under_way = closed(images={"app": "app:2"}, record=patched("c1"), statuses=[status(id_="c1")], generation=2, observed=1)
        waits = [
            judged(closed(ready=True)),
            judged(under_way, DRAINED, rules(images={"app": "app:3"})),
            judged(closed(), DRAINED, rules(revision="")),
            judged(closed(), DRAINED),
        ]
        assert len({wait.timer for wait in waits}) == len(waits)
        assert all(wait.timer and wait.deadline_seconds for wait in waits)

    @pytest.mark.parametrize(("id_", "waiting"), [("c1", "ImagePullBackOff"), ("c2", "CrashLoopBackOff")])
    def test_does_not_wait_for_a_restart_that_the_kubelet_gave_up(self, id_: str, waiting: str) -> None:
        p = closed(images=NEW, record=patched("c1"), statuses=[status(id_=id_, waiting=waiting)])
        assert isinstance(judged(p, DRAINED, rules(images=OLD)).action, PatchImages)

    @pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ErrImagePull"])
    def test_a_pod_is_not_reopened_while_the_kubelet_backs_off(self, reason: str) -> None:
        """The old container is gone, and the back-off lasts for minutes: an image that cannot be pulled is shown so most of
        the time."""
        backing_off = {"record": patched("c1"), "statuses": [status(id_="c1", waiting=reason)], "generation": 2}
        found = judged(closed(images=NEW, **backing_off, observed=2), DRAINED, rules(images=OLD))
        assert isinstance(found.action, PatchImages)
        assert found.action.record.before is not None
        assert found.action.record.before["app"].image == NEW["app"]
        assert judged(closed(images=NEW, **backing_off, observed=1), DRAINED, rules(images=OLD)).action is None


class TestRestarting:
    def test_until_it_is_proven(self) -> None:
        found = judged(restarted(statuses=[status(terminated=True)]), DRAINED)
        assert (found.stage, found.action) == ("Restarting", None)
        assert (found.timer, found.deadline_seconds) == ("uid-web-a/restart", 300.0)

    def test_min_ready_seconds_are_added_to_the_deadline(self) -> None:
        found = judged(restarted(statuses=[status(terminated=True)]), rule=rules(min_ready_seconds=30.0))
        assert found.deadline_seconds == 330.0

    @pytest.mark.parametrize("grace", [5, 600, None])
    def test_its_time_begins_when_the_old_container_has_ended(self, grace: int | None) -> None:
        found = judged(restarted(statuses=[status()], grace=grace), DRAINED)
        seconds = 30.0 if grace is None else float(grace)
        assert (found.stage, found.reason, found.at_most_seconds) == ("Restarting", "stopping app", seconds)
        assert (found.timer, found.deadline_seconds) == ("uid-web-a/stop", seconds + 300.0)

    def test_the_kubelet_stops_one_container_after_the_other(self) -> None:
        before = {name: PreviousContainer(container_id=name) for name in ("a", "b", "c")}
        shown = [status("a", "a"), status("b", "b"), status("c", "c2")]
        found = judged(restarted(statuses=shown, record=record(before=before), grace=20), DRAINED)
        assert (found.reason, found.at_most_seconds) == ("stopping a, b", 40.0)

    def test_an_image_the_kubelet_has_not_seen_stops_nothing(self) -> None:
        found = judged(restarted(statuses=[status()], observed=1, generation=2), DRAINED)
        assert (found.reason, found.at_most_seconds) == ("waiting for the kubelet to see the new image", 0.0)
        assert found.timer == "uid-web-a/stop"

    def test_trouble_is_told(self) -> None:
        found = judged(restarted(statuses=[status(waiting="ImagePullBackOff")]))
        assert found.problem is not None
        assert found.problem.reason == "ImagePullBackOff"


class TestReturning:
    def test_opens_what_is_proven(self) -> None:
        found = judged(restarted(version=44))
        assert isinstance(found.action, OpenGate)
        assert (found.stage, found.action.pod.resource_version, found.action.reason) == ("Returning", "44", "Upgraded")

    def test_opens_a_gate_that_had_no_condition_before_us(self) -> None:
        assert isinstance(judged(restarted(record=patched(gate_before="Missing"))).action, OpenGate)

    def test_waits_until_the_kubelet_can_be_trusted(self) -> None:
        found = judged(restarted(), rule=rules(min_ready_seconds=9.0))
        assert (found.stage, found.action) == ("Returning", None)

    def test_open_is_not_yet_back(self) -> None:
        opened = pod(images=NEW, ready=False)
        assert (judged(opened).stage, judged(opened).reason) == ("Returning", "waiting to be Ready")
        ready = in_service(pod(images=NEW), ready=False)
        slices = "EndpointSlice web-x (endpointslice-controller.k8s.io) of Service web"
        told = f"waiting for its EndpointSlices to list it as ready: {slices}"
        assert (judged(ready).stage, judged(ready).reason) == ("Returning", told)

    def test_a_new_pod_of_the_new_template(self) -> None:
        found = judged(pod(images=NEW, ready=False, gate=None))
        assert isinstance(found.action, OpenGate)
        assert found.action.reason == "GateAdded"

    def test_an_image_that_the_kubelet_has_not_seen(self) -> None:
        found = judged(pod(images=NEW, generation=2, observed=1))
        assert (found.stage, found.action) == ("Returning", None)


class TestHolds:
    """A gate that was closed before us stays closed after us, and so does one that something else holds."""

    @pytest.mark.parametrize(
        "fields",
        [{"record": patched(gate_before="False")}, {"holds": HOLD}, {"holds": "unreadable"}],
        ids=["before", "held", "odd"],
    )
    def test_a_proven_pod_with_containers_ready_keeps_its_held_gate(self, fields: dict[str, Any]) -> None:
        ready = judged(restarted(containers_ready=True, **fields))
        assert isinstance(ready.action, RemoveRecord)
        waiting = judged(restarted(containers_ready=False, **fields))
        assert (waiting.stage, waiting.action) == ("Returning", None)

    def test_a_held_pod_is_updated_though_not_ready(self) -> None:
        found = judged(pod(images=NEW, ready=False, gate="False", containers_ready=True, holds=HOLD))
        assert (found.stage, found.reason) == ("Updated", "kept closed: hold label (closed by hand)")
        by_hand = judged(pod(images=NEW, ready=False, gate="False", containers_ready=True))
        assert by_hand.reason == "was closed before the upgrade, and stays closed"

    def test_a_held_pod_is_not_updated_before_containers_are_ready(self) -> None:
        assert judged(pod(images=NEW, ready=False, gate="False", containers_ready=False)).stage == "Returning"

    def test_a_held_gate_without_condition_is_not_opened(self) -> None:
        found = judged(pod(images=NEW, ready=False, gate=None, containers_ready=True, holds=HOLD))
        assert (found.stage, found.action) == ("Updated", None)

    def test_release_keeps_it_closed_too(self) -> None:
        stop = rules(stopping=True)
        assert isinstance(judged(closed(holds=HOLD), rule=stop).action, RemoveRecord)
        assert isinstance(judged(closed(record=record(gate_before="False")), rule=stop).action, RemoveRecord)


class TestReleased:
    def test_stopping_reopens_what_was_not_patched(self) -> None:
        found = judged(closed(), DRAINED, rules(stopping=True))
        assert isinstance(found.action, OpenGate)
        assert (found.stage, found.action.reason) == ("Released", "Released")

    def test_stopping_finishes_what_was_patched(self) -> None:
        assert isinstance(judged(restarted(), rule=rules(stopping=True)).action, OpenGate)
        assert judged(restarted(statuses=[status()]), rule=rules(stopping=True)).stage == "Restarting"

    def test_a_pod_that_was_to_go_back_is_not_opened_unproven(self) -> None:
        """Before the template could be set back, the run is stopped: what the pod runs is another run's, or a bad image."""
        stop = rules(images=OLD, stopping=True, revision="")
        waiting = restarted(statuses=[status(waiting="ImagePullBackOff")])
        found = judged(waiting, DRAINED, stop)
        assert (found.stage, found.action, found.timer) == ("Restarting", None, "uid-web-a/restart")
        assert isinstance(judged(restarted(), DRAINED, stop).action, OpenGate)

    def test_an_image_that_needs_no_change_any_more(self) -> None:
        found = judged(closed(images=NEW))
        assert isinstance(found.action, OpenGate)
        assert (found.stage, found.reason) == ("Released", "needs no change")


class TestForeignRecords:
    @pytest.mark.parametrize("text", ["garbage", '{"v":2,"run":"r","lease":"l","fromImages":{},"toImages":{}}'])
    def test_what_cannot_be_read_is_not_touched(self, text: str) -> None:
        found = judged(closed(record=text), DRAINED)
        assert (found.stage, found.action) == ("Failed", None)
        assert found.problem is not None
        assert release_failed(found, rules()) is None

    def test_a_bare_pod_that_another_run_holds_is_not_touched(self) -> None:
        found = judged(closed(record=record(lease="other")), DRAINED, rules(is_bare_pods=True))
        assert (found.stage, found.reason) == ("Failed", "is being upgraded by another run (Lease other)")
        assert release_failed(found, rules(is_bare_pods=True)) is None

    def test_a_workloads_pod_is_adopted_from_whatever_run(self) -> None:
        assert judged(closed(record=record(lease="other", run="run-0")), DRAINED).stage == "Settling"


class TestUpdated:
    def test_ready_and_its_slices_back(self) -> None:
        assert judged(pod(images=NEW)).stage == "Updated"

    def test_ready_without_any_service(self) -> None:
        assert judged(facts(pod(images=NEW))).stage == "Updated"

    def test_services_that_are_ignored_need_not_be_back(self) -> None:
        found = judged(in_service(pod(images=NEW), ready=False), rule=rules(ignored_services=frozenset({"web"})))
        assert found.stage == "Updated"


class TestFailedPods:
    def test_not_patched_is_reopened_at_once(self) -> None:
        assert isinstance(release_failed(judged(closed()), rules()), OpenGate)

    def test_proven_is_reopened_since_the_probe_guards_it(self) -> None:
        assert isinstance(release_failed(judged(restarted()), rules()), OpenGate)

    def test_a_pod_without_a_probe_is_reopened_after_running_a_while(self) -> None:
        p = restarted(containers=[container(image=NEW["app"], readiness_probe=None)])
        assert release_failed(judged(p, Evidence(running_since={"c2": 98.0})), rules()) is None
        assert isinstance(release_failed(judged(p, Evidence(running_since={"c2": 90.0})), rules()), OpenGate)

    def test_not_proven_stays_closed_and_owned(self) -> None:
        assert release_failed(judged(restarted(statuses=[status(waiting="ImagePullBackOff")])), rules()) is None

    def test_without_a_record_there_is_nothing_to_free(self) -> None:
        assert release_failed(judged(pod()), rules()) is None


def test_a_startup_probe_alone_is_looked_at_again_in_time() -> None:
    p = restarted(containers=[container(image=NEW["app"], readiness_probe=None, startup_probe=container().readiness_probe)])
    found = judged(p, Evidence(running_since={"c2": 99.0}))
    assert (found.stage, found.action, found.requeue_at) == ("Returning", None, 102.0)
