"""The last ready endpoint of a Service is not drained unless an outage is allowed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import CloseGate
from inplace.engine.availability.outages import ServiceHeadroom
from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.preflight.checks import Accepted, Rejected, preflight
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.run import Run, RunOptions
from tests.builders import (
    LEASE,
    NEW,
    SPEC,
    deployment,
    endpoint,
    facts,
    observed,
    of_deployment,
    pod,
    record,
    replica_set,
    run,
    service,
    slice_of,
)

PRIMARY = {"app": "web", "role": "primary"}
ALL_AT_ONCE = RunOptions(max_unavailable="100%")


def seen(
    *pods: ObservedPod, services: tuple[Service, ...] = (), slices: tuple[EndpointSlice, ...] = (), **more: Any
) -> Snapshot:
    return observed(*pods, services=services, slices=slices, **more)


def served(*names: str, labels: dict[str, str] = PRIMARY, **fields: Any) -> list[ObservedPod]:
    """Pods that are the endpoints of Service web, and say so."""
    made = [pod(name, labels=labels, **fields) for name in names]
    return [facts(each, slice_of(endpoint(each.uid, each.is_ready))) for each in made]


def listing(*pods: ObservedPod, **fields: Any) -> EndpointSlice:
    return slice_of(*(endpoint(f.uid, f.is_ready) for f in pods), **fields)


def verdict(view: Snapshot, options: RunOptions = ALL_AT_ONCE, **fields: Any) -> Accepted | Rejected:
    judged = preflight(view, run(options, **fields), LEASE, False)
    assert isinstance(judged, (Accepted, Rejected))
    return judged


def one_of_three(**fields: Any) -> Snapshot:
    """Service web sends to the primary alone."""
    (primary,) = served("web-a")
    others = [facts(pod(name)) for name in ("web-b", "web-c")]
    return seen(primary, *others, services=(service("web", selector=PRIMARY),), slices=(listing(primary),), **fields)


def drained(made: Plan) -> list[str]:
    return [action.pod.name for action in made.actions if isinstance(action, CloseGate)]


def planned(view: Snapshot, options: RunOptions = ALL_AT_ONCE) -> Plan:
    return plan(view, SPEC, run(options), 100.0)


def cautions(view: Snapshot, options: RunOptions, reason: str) -> list[str]:
    found = verdict(view, options)
    assert isinstance(found, Accepted)
    return [str(caution) for caution in found.warnings if caution.reason == reason]


class TestAllAtOnce:
    @staticmethod
    def three() -> Snapshot:
        pods = served("web-a", "web-b", "web-c")
        return seen(*pods, services=(service("web", selector=PRIMARY),), slices=(listing(*pods),))

    def test_is_warned_of_with_the_services_that_it_would_thin_out(self) -> None:
        for options in (ALL_AT_ONCE, RunOptions(max_unavailable=20)):
            (said,) = cautions(self.three(), options, "AllAtOnce")
            assert said.startswith("all 3 pods may be out of service at once (maxUnavailable); each Service (web) keeps one")
        (said,) = cautions(self.three(), RunOptions(max_unavailable=3, allow_outage=True), "AllAtOnce")
        assert "requests to them (web) may fail meanwhile" in said

    def test_of_pods_that_serve_nobody_says_no_more(self) -> None:
        (said,) = cautions(observed(*(facts(pod(name)) for name in ("web-a", "web-b", "web-c"))), ALL_AT_ONCE, "AllAtOnce")
        assert said == "all 3 pods may be out of service at once (maxUnavailable): allow fewer"

    def test_fewer_are_no_news(self) -> None:
        assert cautions(self.three(), RunOptions(max_unavailable=2), "AllAtOnce") == []
        assert cautions(self.three(), RunOptions(), "AllAtOnce") == []


class TestAcceptedInVain:
    @staticmethod
    def said(*accepted: str, **fields: Any) -> list[str]:
        pods = served("web-a", "web-b", "web-c")
        services = (service("web", selector=PRIMARY, **fields), service("db", selector={"app": "db"}))
        view = seen(*pods, services=services, slices=(listing(*pods),))
        return cautions(view, RunOptions(accept_undrainable=accepted), "AcceptedInVain")

    def test_a_service_that_does_not_exist(self) -> None:
        (said,) = self.said("nope")
        assert said == "there is no Service nope in namespace default: --accept-undrainable nope changes nothing"

    def test_one_that_sends_to_other_pods(self) -> None:
        (said,) = self.said("db")
        assert said == "Service db sends to no pod of deploy/web: --accept-undrainable db changes nothing"

    def test_one_that_can_be_drained(self) -> None:
        (said,) = self.said("web")
        assert said.startswith("Service web can be drained: --accept-undrainable web only gives up waiting for it")

    def test_one_that_cannot_be_drained_is_what_it_is_for(self) -> None:
        assert self.said("web", publish=True) == []


class TestBeforeTheFirstWrite:
    def test_the_only_endpoint_is_refused(self) -> None:
        said = verdict(one_of_three())
        assert isinstance(said, Rejected)
        assert said.message == (
            "Service web has no other endpoint than pod/web-a, so its requests would fail while that restarts: let another pod"
            " serve it first, or say --allow-outage"
        )

    def test_the_last_endpoint_is_warned_of_if_outages_are_allowed(self) -> None:
        said = verdict(one_of_three(), RunOptions(allow_outage=True))
        assert isinstance(said, Accepted)
        (warning,) = said.warnings
        assert (warning.reason, str(warning)) == (
            "LastEndpoint",
            "Service web has no other endpoint than pod/web-a: its requests fail while that restarts",
        )

    def test_not_where_the_run_has_begun(self) -> None:
        assert isinstance(preflight(one_of_three(), run(), LEASE, True), Accepted)

    @pytest.mark.parametrize("is_ready", [True, False])
    def test_another_endpoint_is_waited_for_whatever_its_state(self, is_ready: bool) -> None:
        view = one_of_three()
        more = slice_of(endpoint("uid-of-others", is_ready), version=2)
        assert isinstance(verdict(seen(*view.pods, services=view.services, slices=(*view.slices, more))), Accepted)

    def test_a_selected_pod_without_an_address_is_waited_for(self) -> None:
        view = one_of_three()
        young = facts(pod("web-d", labels=PRIMARY, ready=False))
        assert isinstance(verdict(msgspec.structs.replace(view, pods=(*view.pods, young))), Accepted)

    @pytest.mark.parametrize(("selector", "refused"), [({"app": "web"}, False), (PRIMARY, True)])
    def test_a_replica_still_to_be_made_is_waited_for(self, selector: dict[str, str], refused: bool) -> None:
        """As where an InPlaceRollout and its target were applied together, and the first of two pods is there."""
        (first,) = served("web-a")
        target = of_deployment(deployment(replicas=2), replica_set(replicas=2))
        view = seen(first, services=(service("web", selector=selector),), slices=(listing(first),), target=target)
        assert isinstance(verdict(view), Rejected) is refused

    def test_an_endpoint_that_is_leaving_is_not_waited_for(self) -> None:
        view = one_of_three()
        gone = slice_of(endpoint("uid-of-others", False, terminating=True), version=2)
        assert isinstance(verdict(seen(*view.pods, services=view.services, slices=(*view.slices, gone))), Rejected)

    def test_two_families_of_addresses_are_one_endpoint(self) -> None:
        view = one_of_three()
        again = slice_of(endpoint(view.pods[0].uid, ip="fd00::1"), version=2)
        assert isinstance(verdict(seen(*view.pods, services=view.services, slices=(*view.slices, again))), Rejected)

    @pytest.mark.parametrize(
        "spec",
        [
            {"selector": {"app": "other"}},
            {"selector": False},
            {"selector": PRIMARY, "publish": True, "headless": True},
        ],
    )
    def test_services_that_do_not_count(self, spec: dict[str, Any]) -> None:
        view = one_of_three()
        assert isinstance(verdict(seen(*view.pods, services=(service("web", **spec),), slices=view.slices)), Accepted)

    @pytest.mark.parametrize("fields", [{"ready": False}, {"images": NEW}, {"deleting": True}])
    def test_pods_that_are_not_drained(self, fields: dict[str, Any]) -> None:
        (primary,) = served("web-a", **fields)
        view = seen(primary, facts(pod("web-b")), services=(service("web", selector=PRIMARY),), slices=(listing(primary),))
        assert isinstance(verdict(view), Accepted)

    def test_a_pod_without_the_gate_is_not_drained_at_all(self) -> None:
        (primary,) = served("web-a", gates=())
        view = seen(primary, services=(service("web", selector=PRIMARY),), slices=(listing(primary),))
        assert isinstance(verdict(view, RunOptions(without_gate=True)), Accepted)


class TestWhileItRuns:
    def all_three(self, *pods: ObservedPod, **fields: Any) -> Snapshot:
        return seen(*pods, services=(service("web", selector=PRIMARY),), slices=(listing(*pods),), **fields)

    def test_the_last_one_waits_for_another(self) -> None:
        made = planned(self.all_three(*served("web-a", "web-b", "web-c")))
        assert drained(made) == ["web-a", "web-b"]
        assert made.progress.waiting == "waiting for another endpoint of Service web than pod/web-c (or --allow-outage)"

    def test_unless_an_outage_is_allowed(self) -> None:
        view = self.all_three(*served("web-a", "web-b", "web-c"))
        assert drained(planned(view, RunOptions(max_unavailable="100%", allow_outage=True))) == ["web-a", "web-b", "web-c"]

    def test_closes_that_the_slices_do_not_show_yet_count(self) -> None:
        closed = served("web-a", record=record(), gate="False")
        closing = served("web-b")
        rest = served("web-c")
        view = self.all_three(*closed, *closing, *rest, closing=frozenset({closing[0].uid}))
        assert drained(planned(view)) == []

    def test_a_pod_that_serves_nobody_goes_first_and_costs_nothing(self) -> None:
        sick, well = served("web-a", ready=False), served("web-b")
        made = planned(self.all_three(*sick, *well))
        assert drained(made) == ["web-a"]

    def test_endpoints_of_others_keep_it_going(self) -> None:
        view = self.all_three(*served("web-a"))
        more = slice_of(endpoint("uid-of-others"), version=2)
        assert drained(planned(seen(*view.pods, services=view.services, slices=(*view.slices, more)))) == ["web-a"]

    def test_each_service_has_its_own_room(self) -> None:
        a, b = served("web-a")[0], served("web-b")[0]
        other = slice_of(endpoint(a.uid), service="other")
        two = facts(a.pod, listing(a), other)
        services = (service("web", selector=PRIMARY), service("other", selector=PRIMARY))
        room = ServiceHeadroom(seen(two, b, services=services, slices=(listing(a, b), other)), run())
        assert room.blocked_by(two) == "other"
        assert room.blocked_by(b) is None
        room.reserve(b)
        assert room.blocked_by(a) == "web"


def test_without_services_there_is_nothing_to_keep() -> None:
    view = seen(*served("web-a", "web-b"))
    asked: Run = run(ALL_AT_ONCE)
    room = ServiceHeadroom(view, asked)
    assert [room.blocked_by(each) for each in view.pods] == [None, None]
