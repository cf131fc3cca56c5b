"""Which holders of Leases are alive: those that renew within the time that a Lease lasts."""

from __future__ import annotations

from typing import Any

from inplace.kube.clock import format_micro_time
from inplace.model.constants import MANAGED_BY_SELECTOR
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS
from inplace.runtime.repair.holders import watch_holders
from tests.simulation.simulated_cluster import SimulatedCluster

KEY, _, VALUE = MANAGED_BY_SELECTOR.partition("=")


def create_lease(world: SimulatedCluster, name: str, holder: str = "", *, managed_by: str = VALUE) -> None:
    spec: dict[str, Any] = {"holderIdentity": holder, "renewTime": format_micro_time(world.clock.utcnow())} if holder else {}
    body = {"metadata": {"name": name, "labels": {KEY: managed_by}}, "spec": spec}
    world.request("POST", world.path("coordination.k8s.io", "leases"), body)


def keep_renewing(world: SimulatedCluster, name: str) -> None:
    body = {"spec": {"renewTime": format_micro_time(world.clock.utcnow())}}
    path = world.path("coordination.k8s.io", "leases", name)
    world.request("PATCH", path, body, "application/merge-patch+json")
    world.scheduler.after(5, lambda: keep_renewing(world, name))


def test_a_holder_that_renews_is_alive_and_another_is_not(world: SimulatedCluster) -> None:
    create_lease(world, "living", "me")
    create_lease(world, "dead", "other")
    create_lease(world, "foreign", "them", managed_by="somebody")
    keep_renewing(world, "living")
    leases, alive = watch_holders(world.api, "shop", "")
    assert set(leases) == {("shop", "living"), ("shop", "dead")}
    assert alive == {("shop", "living"): "me is at work"}


def test_leases_that_nobody_holds_are_not_waited_for(world: SimulatedCluster) -> None:
    create_lease(world, "free")
    began_at = world.scheduler.now
    leases, alive = watch_holders(world.api, None, "")
    assert (set(leases), alive, world.scheduler.now) == ({("shop", "free")}, {}, began_at)


def test_one_lease_can_be_named(world: SimulatedCluster) -> None:
    create_lease(world, "web", "me")
    create_lease(world, "api", "me")
    began_at = world.scheduler.now
    leases, alive = watch_holders(world.api, "shop", "web")
    assert (set(leases), alive) == ({("shop", "web")}, {})
    assert world.scheduler.now - began_at >= LEASE_DURATION_SECONDS
