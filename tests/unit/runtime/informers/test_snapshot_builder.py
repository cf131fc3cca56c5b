"""What arrives becomes the snapshot that a plan is judged on."""

from __future__ import annotations

import pytest

from inplace.kube.paging import ListResult
from inplace.model.objects.meta import OwnerReference
from inplace.model.objects.pods import Pod
from inplace.model.refs import TargetRef
from inplace.runtime.informers.inbox import ThreadInbox
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder, make_target
from inplace.runtime.informers.target_informers import TargetInformers
from tests.builders import DEPLOYMENT_UID, NS, deployment, endpoint, pod, record, replica_set, service, slice_of
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api

WEB = TargetRef("Deployment", NS, "web")


class Observed:
    """Caches that are filled by hand, and the builder that is fed with what they tell."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.inbox = ThreadInbox(self.clock)
        self.caches = TargetInformers(api(Server(), self.clock), self.inbox, WEB, "app=web", "inplace-deployment-web")
        self.builder = SnapshotBuilder(self.caches, WEB, DEPLOYMENT_UID)
        assert self.caches.workload is not None
        assert self.caches.replica_sets is not None
        self.caches.workload.replace(ListResult((deployment(),), "1"))
        owner = OwnerReference("Deployment", "web", DEPLOYMENT_UID, controller=True)
        self.caches.replica_sets.replace(ListResult((replica_set(owner=owner),), "1"))

    def take_in(self) -> None:
        for at, event in self.inbox.take():
            self.builder.handle(event, at)

    def pods(self, *pods: Pod, version: str = "20") -> None:
        self.caches.pods.replace(ListResult(pods, version))
        self.take_in()


@pytest.fixture
def seen() -> Observed:
    return Observed()


def test_pods_of_the_target_come_in_the_order_of_their_names(seen: Observed) -> None:
    seen.pods(pod("web-b"), pod("web-a"), pod("alien", owner=None), pod("web-c", phase="Succeeded"))
    snapshot = seen.builder.build(0.0, {})
    assert [facts.pod.name for facts in snapshot.pods] == ["web-a", "web-b"]
    assert snapshot.target.workload is not None


def test_slices_change_what_is_known_of_their_pods(seen: Observed) -> None:
    seen.pods(pod("web-a"))
    for is_ready, version in ((True, 1), (False, 2)):
        seen.caches.slices.replace(ListResult((slice_of(endpoint("uid-web-a", is_ready), version=version),), str(version)))
        seen.take_in()
        (facts,) = seen.builder.build(0.0, {}).pods
        assert [entry.ready for entry in facts.entries] == [is_ready]
    seen.caches.slices.replace(ListResult((), "3"))
    seen.take_in()
    assert seen.builder.build(0.0, {}).pods[0].entries == ()


def test_a_quorum_read_removes_pods_that_it_lacks(seen: Observed) -> None:
    seen.pods(pod("web-a"), pod("web-b", version=40))
    seen.builder.on_pods_listed(ListResult((), "30"), sent_at=5.0)
    seen.take_in()
    snapshot = seen.builder.build(9.0, {})
    assert [facts.pod.name for facts in snapshot.pods] == ["web-b"], "it is newer than the list"
    assert snapshot.pods_listed_at == 5.0


def test_a_quorum_read_of_slices_confirms_that_a_pod_is_drained(seen: Observed) -> None:
    seen.caches.services.replace(ListResult((service(),), "1"))
    seen.pods(pod("web-a", gate="False", ready=False, record=record()))
    seen.caches.slices.replace(ListResult((slice_of(endpoint("uid-web-a", False)),), "1"))
    seen.take_in()
    seen.builder.build(0.0, {})
    seen.builder.on_slices_listed(ListResult((slice_of(endpoint("uid-web-a", False)),), "2"), sent_at=2000.0)
    assert seen.builder.build(0.0, {}).evidence["uid-web-a"].quiet_confirmed_at == 2000.0


def test_a_target_recreated_under_its_name_is_gone(seen: Observed) -> None:
    other = SnapshotBuilder(seen.caches, WEB, "another-uid")
    assert other.build(0.0, {}).target.workload is None
    assert make_target("Deployment", None, (), ()).workload is None
