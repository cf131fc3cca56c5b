"""When a pod is drained, and when it is back: what slices say, by uid or by address, and which Services count."""

import pytest

from inplace.engine.pods.drain import (
    drained_at,
    entries_by_pod,
    index_slices,
    is_in_service,
    services_not_awaited,
    services_still_sending,
    undrainable,
)
from inplace.engine.snapshot import EndpointEntry, Evidence
from inplace.model.objects.network import EndpointSlice
from tests.builders import endpoint, facts, pod, service, slice_of

NOTHING: frozenset[str] = frozenset()
DOWN = pod(ready=False, gate="False", ip="10.0.0.1")
UID = DOWN.uid


@pytest.mark.parametrize(("ready", "sends"), [(True, ("web",)), (None, ("web",)), (False, ())])
def test_a_slice_sends_unless_it_says_not_ready(ready: bool | None, sends: tuple[str, ...]) -> None:
    assert services_still_sending(facts(DOWN, slice_of(endpoint(UID, ready))), NOTHING) == sends


def test_serving_and_terminating_do_not_count_ready_does() -> None:
    quiet = slice_of(endpoint(UID, False, serving=True, terminating=False))
    loud = slice_of(endpoint(UID, True, serving=False), service="other")
    assert services_still_sending(facts(DOWN, quiet), NOTHING) == ()
    assert services_still_sending(facts(DOWN, quiet, loud), NOTHING) == ("other",)


def test_the_last_of_several_services_decides() -> None:
    slices = [slice_of(endpoint(UID, False), service="a"), slice_of(endpoint(UID, True), service="b")]
    assert services_still_sending(facts(DOWN, *slices), NOTHING) == ("b",)
    assert services_still_sending(facts(DOWN, *slices), frozenset({"b"})) == ()


def test_two_slices_of_one_service_are_named_once() -> None:
    slices = [slice_of(endpoint(UID, True)), slice_of(endpoint(UID, True))]
    assert services_still_sending(facts(DOWN, *slices), NOTHING) == ("web",)


def test_without_a_service_nothing_sends_and_nothing_is_missing() -> None:
    assert services_still_sending(facts(DOWN), NOTHING) == ()
    assert is_in_service(facts(DOWN), NOTHING)
    assert (
        services_still_sending(facts(DOWN, slice_of(endpoint("uid-other", True), endpoint("", False, ip="10.9.9.9"))), NOTHING)
        == ()
    )


def test_a_slice_without_a_service_label_counts_too() -> None:
    assert services_still_sending(facts(DOWN, slice_of(endpoint(UID, True), service="")), NOTHING) == ("a Service",)


def test_an_endpoint_without_target_stands_for_its_address() -> None:
    assert services_still_sending(facts(DOWN, slice_of(endpoint("", True, ip="10.0.0.1"), service="byhand")), NOTHING) == (
        "byhand",
    )


def test_an_endpoint_with_a_target_never_stands_for_another_pod() -> None:
    assert facts(DOWN, slice_of(endpoint("uid-other", True, ip="10.0.0.1"))).entries == ()


def test_an_old_pod_of_the_same_name_is_another_pod() -> None:
    assert facts(DOWN, slice_of(endpoint("uid-before", True))).entries == ()


def test_a_node_address_stands_for_no_pod() -> None:
    on_host = pod(ready=False, ip="10.0.0.1", host_network=True)
    assert facts(on_host, slice_of(endpoint("", True, ip="10.0.0.1"))).entries == ()
    assert facts(on_host, slice_of(endpoint(on_host.uid, True, ip="10.0.0.1"))).entries == (
        EndpointEntry("web", True, 1, slice_name="web-x", manager="endpointslice-controller.k8s.io"),
    )


@pytest.mark.parametrize("on_host", [False, True])
def test_the_index_kept_slice_by_slice_says_the_same(on_host: bool) -> None:
    p = pod(ready=False, ip="10.0.0.1", host_network=on_host)
    slices = [
        slice_of(endpoint(p.uid, False), service="a"),
        slice_of(endpoint("", True, ip="10.0.0.1"), service="b", version=3),
    ]
    by_uid: dict[str, dict[str, tuple[EndpointEntry, ...]]] = {}
    by_ip: dict[str, dict[str, tuple[EndpointEntry, ...]]] = {}
    for one in slices:
        index = index_slices([one])
        for wanted, found in ((by_uid, index.by_uid), (by_ip, index.by_ip)):
            for key, entries in found.items():
                wanted.setdefault(key, {})[one.metadata.name] = entries
    assert entries_by_pod(p, by_uid, by_ip) == index_slices(slices).entries_of(p)


def test_a_pod_is_back_when_every_slice_that_lists_it_sends() -> None:
    slices = [slice_of(endpoint(UID, True), service="a"), slice_of(endpoint(UID, False), service="b")]
    assert not is_in_service(facts(DOWN, *slices), NOTHING)
    assert is_in_service(facts(DOWN, *slices), frozenset({"b"}))


def test_peer_discovery_and_accepted_services_are_not_waited_for() -> None:
    services = [service("peers", headless=True, publish=True), service("plain"), service("stuck", publish=True)]
    assert services_not_awaited(services, ["legacy"]) == {"peers", "legacy"}


class TestUndrainable:
    LISTED = slice_of(endpoint(UID, True))

    def found(self, *services: object, slices: tuple[EndpointSlice, ...] = (), accepted: tuple[str, ...] = ()) -> list[str]:
        known = tuple(s for s in services)
        ignored = services_not_awaited(known, accepted)  # type: ignore[arg-type]
        return [f"{u.service} {u.why}" for u in undrainable([facts(DOWN, *slices)], known, ignored)]  # type: ignore[arg-type]

    def test_publishing_with_a_cluster_ip(self) -> None:
        assert self.found(service(publish=True), slices=(self.LISTED,)) == [
            "web has publishNotReadyAddresses, so clients keep a closed pod"
        ]

    def test_publishing_even_before_a_slice_lists_the_pod(self) -> None:
        assert len(self.found(service(publish=True))) == 1

    def test_publishing_for_other_pods_only(self) -> None:
        assert self.found(service("other", publish=True, selector=False)) == []

    def test_headless_publishing_is_peer_discovery(self) -> None:
        assert self.found(service(publish=True, headless=True), slices=(self.LISTED,)) == []

    def test_an_ordinary_service(self) -> None:
        assert self.found(service(), slices=(self.LISTED,)) == []

    def test_an_address_listed_by_hand(self) -> None:
        by_hand = slice_of(endpoint("", True, ip="10.0.0.1"), service="byhand")
        (only,) = self.found(slices=(by_hand,))
        assert only == "byhand lists the address of web-a by hand, without a targetRef, and would keep it"

    def test_accepted_ones(self) -> None:
        by_hand = slice_of(endpoint("", True, ip="10.0.0.1"), service="byhand")
        accepted = ("web", "byhand")
        assert self.found(service(publish=True), slices=(self.LISTED, by_hand), accepted=accepted) == []


@pytest.mark.parametrize(
    ("seen", "since"),
    [
        (Evidence(), None),
        (Evidence(quiet_since=5.0), None),
        (Evidence(quiet_since=5.0, saw_ready=True, saw_transition=True), 5.0),
        (Evidence(quiet_since=5.0, quiet_confirmed_at=7.0), 7.0),
        (Evidence(quiet_since=None, quiet_confirmed_at=7.0), None),
        (Evidence(quiet_since=None, saw_transition=True), None),
    ],
)
def test_drained_is_proven_by_a_turn_or_by_a_quorum_read(seen: Evidence, since: float | None) -> None:
    assert drained_at(seen) == since
