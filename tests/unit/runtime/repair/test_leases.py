"""What a Lease whose holder is dead tells of: a run that is over, one whose target is gone, or none."""

from __future__ import annotations

import pytest

from inplace.kube.errors import NotFound
from inplace.kube.resources import LEASES
from inplace.model.constants import RUN_ANNOTATION
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.repair.context import RepairContext, RepairEvent
from inplace.runtime.repair.leases import repair_lease
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")
MERGE = "application/merge-patch+json"


def read_lease(world: SimulatedCluster) -> Lease:
    return world.api.get(LEASES, "shop", lease_name(WEB))


def change_lease(world: SimulatedCluster, **body: object) -> Lease:
    world.request("PATCH", world.path("coordination.k8s.io", "leases", lease_name(WEB)), body, MERGE)
    return read_lease(world)


@pytest.fixture
def upgraded(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    return world


def test_a_finished_run_that_nobody_holds_is_left(
    upgraded: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    assert not repair_lease(context, read_lease(upgraded))
    assert (events, context.is_clean) == ([], True)


def test_the_lock_of_a_finished_run_is_freed(
    upgraded: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    lease = change_lease(upgraded, spec={"holderIdentity": "dead"})
    assert not repair_lease(context, lease)
    assert [(event.about, event.text) for event in events] == [("done", "free the lock that dead has left")]
    assert not read_lease(upgraded).spec.holder_identity


def test_a_lease_that_changed_meanwhile_is_left(
    upgraded: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    lease = change_lease(upgraded, spec={"holderIdentity": "dead"})
    change_lease(upgraded, spec={"holderIdentity": "alive"})
    repair_lease(context, lease)
    assert [event.about for event in events] == ["done", "found"]
    assert read_lease(upgraded).spec.holder_identity == "alive"


def test_the_lease_of_a_target_that_is_gone_is_deleted(upgraded: SimulatedCluster, context: RepairContext) -> None:
    upgraded.request("DELETE", upgraded.path("apps", "deployments", "web"), propagationPolicy="Orphan")
    upgraded.scheduler.run_for(1)
    assert not repair_lease(context, read_lease(upgraded))
    with pytest.raises(NotFound):
        read_lease(upgraded)


def test_a_run_that_cannot_be_read_owns_its_pods(
    upgraded: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    lease = change_lease(upgraded, metadata={"annotations": {RUN_ANNOTATION: "{"}})
    assert repair_lease(context, lease)
    assert ([event.about for event in events], context.is_clean) == (["left"], False)
