"""Runs as their Leases tell of them: who drives each, whether that one seems alive, and how the run stands."""

from __future__ import annotations

from typing import Any

from inplace.kube.clock import format_micro_time
from inplace.model.constants import MANAGED_BY_SELECTOR, RUN_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.lease.run_states import list_run_states, read_run_state
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")
MERGE = "application/merge-patch+json"


def change_lease(world: SimulatedCluster, **body: Any) -> None:
    world.request("PATCH", world.path("coordination.k8s.io", "leases", lease_name(WEB)), body, MERGE)


def hold(world: SimulatedCluster, renewed_seconds_ago: float) -> None:
    world.scheduler.run_for(renewed_seconds_ago)
    renewed = format_micro_time(world.clock.utcnow())
    change_lease(world, spec={"holderIdentity": "somebody", "renewTime": renewed})
    world.scheduler.run_for(renewed_seconds_ago)


def test_a_target_without_a_run_has_no_state(world: SimulatedCluster) -> None:
    world.deployment("web", "reg/app:1", replicas=1)
    assert read_run_state(world.api, WEB) is None
    assert list_run_states(world.api, "shop") == []


def test_a_run_that_has_ended_is_listed_with_its_outcome(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    (state,) = list_run_states(world.api, "shop")
    assert (state.lease, state.holder, state.renewed_seconds_ago) == (lease_name(WEB), "", None)
    assert (state.standing, state.seems_alive) == ("Succeeded", False)
    assert state.run is not None
    assert state.run.images == {"app": "reg/app:2"}
    assert [each.lease for each in list_run_states(world.api, None)] == [state.lease]


def test_a_holder_seems_alive_as_long_as_it_renews(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    hold(world, 5.0)
    alive = read_run_state(world.api, WEB)
    assert alive is not None
    assert (alive.holder, alive.seems_alive) == ("somebody", True)
    hold(world, 60.0)
    dead = read_run_state(world.api, WEB)
    assert dead is not None
    assert (dead.holder, dead.seems_alive) == ("somebody", False)


def test_a_run_that_cannot_be_read_is_named(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    world.upgrade("web", {"app": "reg/app:2"})
    change_lease(world, metadata={"annotations": {RUN_ANNOTATION: "{"}})
    (state,) = list_run_states(world.api, "shop")
    assert (state.standing, state.run) == ("Unreadable", None)
    assert state.problem
    assert state.description == state.problem


def test_leases_of_others_are_not_listed(world: SimulatedCluster) -> None:
    key, _, value = MANAGED_BY_SELECTOR.partition("=")
    for name, label in (("ours", value), ("theirs", "somebody")):
        body = {"metadata": {"name": name, "labels": {key: label}}, "spec": {}}
        world.request("POST", world.path("coordination.k8s.io", "leases"), body)
    assert [(state.lease, state.standing) for state in list_run_states(world.api, "shop")] == [("ours", "Empty")]
