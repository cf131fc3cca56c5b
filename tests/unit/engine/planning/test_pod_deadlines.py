"""Every wait of a pod on its way has a deadline, and what is told when it has passed."""

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import OpenGate
from inplace.engine.planning.plan import Plan
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from tests.builders import (
    NS,
    OLD,
    closed_evidence,
    in_service,
    observed,
    of_revision,
    partition,
    patched,
    pod,
    record,
    revision,
    run,
    stateful_set,
)
from tests.unit.engine.flights import NOW, closed, draining, options, others, planned, restarting, returning


class TestDeadlines:
    @pytest.mark.parametrize(
        ("what", "timer", "seconds", "reason"),
        [
            (draining(), "drain", 60, "DrainTimeout"),
            (restarting(), "restart", 300, "RestartTimeout"),
            (returning(), "restart", 300, "RestartTimeout"),
        ],
    )
    def test_a_pod_that_takes_too_long_has_failed(self, what: ObservedPod, timer: str, seconds: int, reason: str) -> None:
        began = {f"uid-web-0/{timer}": NOW - seconds}
        early = planned(observed(what, *others(), timers=began), now=NOW - 1)
        assert early.run.failures == ()
        assert early.requeue_after_seconds == 1.0
        (failure,) = planned(observed(what, *others(), timers=began)).run.failures
        assert (failure.pod, failure.uid, failure.reason) == ("web-0", "uid-web-0", reason)
        assert failure.message

    def test_a_deadline_begins_when_the_plan_first_names_it(self) -> None:
        made = planned(observed(draining(), *others()))
        assert "uid-web-0/drain" in made.timers
        assert made.requeue_after_seconds == 60.0

    def test_min_ready_seconds_are_added(self) -> None:
        made = planned(observed(restarting(), *others()), run(options(min_ready_seconds=45.0)))
        assert made.requeue_after_seconds == 345.0

    def test_the_wait_for_an_earlier_restart_has_one(self) -> None:
        stuck = restarting(record=patched(to_images={"app": "x"}), images={"app": "x"})
        view = observed(stuck, *others(), evidence=closed_evidence(stuck), timers={"uid-web-0/earlier": NOW - 330})
        (failure,) = planned(view).run.failures
        assert (failure.reason, failure.message) == ("RestartTimeout", "waiting for an earlier restart to end (for 5m30s)")

    def test_an_image_that_the_api_server_does_not_take_has_one(self) -> None:
        """However often it is tried, and whether or not a try is under way: then the pod is back in service."""
        drained = closed()
        view = observed(drained, *others(), evidence=closed_evidence(drained))
        first = planned(view)
        assert (first.run.failures, first.requeue_after_seconds) == ((), 300.0)
        later = msgspec.structs.replace(view, timers=dict.fromkeys(first.timers, NOW))
        trying = planned(msgspec.structs.replace(later, keys_in_progress=frozenset({"uid-web-0"})), now=NOW + 299)
        assert (trying.run.failures, trying.timers) == ((), first.timers)
        late = planned(later, now=NOW + 300)
        (failure,) = late.run.failures
        assert failure.reason == "PatchTimeout"
        assert failure.message == "waiting for the API server to accept the image (for 5m)"
        (action,) = late.actions
        assert isinstance(action, OpenGate)

    def test_a_pod_that_will_never_have_our_gate_is_told_at_once(self) -> None:
        (failure,) = planned(observed(in_service(pod("web-0", gates=())), *others())).run.failures
        assert failure.reason == "NoGate"

    def test_a_record_that_cannot_be_read_is_told_at_once(self) -> None:
        (failure,) = planned(observed(in_service(pod("web-0", record="garbage")), *others())).run.failures
        assert failure.reason == "BadRecord"


class TestWaitingForTheTemplate:
    """A pod that an earlier run has closed is out of service while this one prepares the template."""

    STS = TargetRef(kind="StatefulSet", namespace=NS, name="web")
    OURS = partition(2**31 - 1)

    def view(self, *, strategy: dict[str, Any], observed_: int = 1, **fields: Any) -> Snapshot:
        pods = (of_revision("web-0", "web-1", ready=False, gate="False", record=record()), of_revision("web-1", "web-1"))
        target = stateful_set(
            OLD, revision(1), replicas=2, update="web-1", updated=2, strategy=strategy, generation=1, observed=observed_
        )
        return observed(*pods, target=target, evidence=closed_evidence(pods[0]), **fields)

    def planned(self, view: Snapshot, now: float = NOW, stored: Run | None = None) -> Plan:
        return planned(view, stored or run(options(), target=self.STS, saved_strategy=partition(0)), now=now)

    def test_the_controller_has_five_minutes_for_each_of_its_answers(self) -> None:
        view = self.view(strategy=self.OURS, observed_=0)
        first = self.planned(view)
        assert (first.actions, first.requeue_after_seconds) == ((), 300.0)
        timers = {**dict.fromkeys(first.timers, NOW), "uid-web-0/template": NOW - 290}
        late = self.planned(msgspec.structs.replace(view, timers=timers), NOW + 299)
        assert (late.run.failures, late.actions) == ((), ())

    def test_when_it_is_given_up_the_pod_is_reopened_first(self) -> None:
        view = self.view(strategy=self.OURS, observed_=0)
        timers = dict.fromkeys(self.planned(view).timers, NOW)
        given_up = self.planned(msgspec.structs.replace(view, timers=timers), NOW + 300)
        (action,) = given_up.actions
        assert isinstance(action, OpenGate)
        assert given_up.finished is None
        opened = (of_revision("web-0", "web-1"), view.pods[1])
        ended = self.planned(msgspec.structs.replace(view, pods=opened, timers={}), NOW + 301, given_up.run)
        assert ended.finished is not None
        assert ended.finished.message == "gave up after 5 minutes: waiting for the StatefulSet controller to see the change"

    def test_a_write_that_is_refused_for_good_keeps_no_pod_closed(self) -> None:
        view = self.view(strategy=partition(0))
        timers = dict.fromkeys(self.planned(view).timers, NOW)
        late = self.planned(msgspec.structs.replace(view, timers=timers), NOW + 600)
        (failure,) = late.run.failures
        assert (failure.reason, failure.message) == ("TemplateTimeout", "waiting for the template (for 10m)")
        (action,) = late.actions
        assert isinstance(action, OpenGate)
