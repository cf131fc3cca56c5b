"""What no Lease accounts for any more: recorded pods, held-back strategies and finalizers."""

from __future__ import annotations

import pytest

from inplace.kube.resources import LEASES
from inplace.model.constants import FINALIZER, RECORD_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.observability.frames import Frame
from inplace.runtime.repair.context import RepairContext, RepairEvent
from inplace.runtime.repair.orphans import remove_stale_finalizers, repair_orphaned_pods, restore_lost_strategies
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.rollouts import PATH, create_rollout, read_rollout

WEB = TargetRef("Deployment", "shop", "web")
LEASE = ("shop", lease_name(WEB))
MERGE = "application/merge-patch+json"


class Died(Exception):
    pass


@pytest.fixture
def orphaned(world: SimulatedCluster) -> SimulatedCluster:
    """One pod is closed by a run whose Lease is gone."""
    world.app("web", "reg/app:1", replicas=2)

    def die(frame: Frame) -> None:
        if any(pod.stage == "Settling" for pod in frame.plan.pods):
            raise Died

    with pytest.raises(Died):
        world.upgrade("web", {"app": "reg/app:2"}, max_unavailable=1, on_frame=die)
    return world


def recorded(world: SimulatedCluster) -> list[str]:
    return [pod.name for pod in world.pods() if RECORD_ANNOTATION in (pod.meta.get("annotations") or {})]


def test_recorded_pods_without_a_lease_are_freed(
    orphaned: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    orphaned.api.delete(LEASES, *LEASE)
    assert len(recorded(orphaned)) == 1
    repair_orphaned_pods(context, "shop", "", set(), set())
    assert (recorded(orphaned), context.is_clean) == ([], True)
    assert {event.about for event in events} == {"done"}
    orphaned.wait(lambda: orphaned.ready("web") == 2)


def test_pods_whose_lease_owns_them_are_left(
    orphaned: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    before = recorded(orphaned)
    repair_orphaned_pods(context, "shop", "", set(), {LEASE})
    assert (recorded(orphaned), events) == (before, [])


def test_an_unreadable_record_is_named_and_left(
    world: SimulatedCluster, context: RepairContext, events: list[RepairEvent]
) -> None:
    world.app("web", "reg/app:1", replicas=1)
    (pod,) = world.pods()
    body = {"metadata": {"annotations": {RECORD_ANNOTATION: "{"}}}
    world.request("PATCH", world.path("", "pods", pod.name), body, MERGE)
    repair_orphaned_pods(context, "shop", "", set(), set())
    assert [(event.about, event.where) for event in events] == [("left", f"pod/{pod.name} in shop")]
    assert not context.is_clean


def test_finalizers_without_a_living_holder_come_off(with_rollouts: SimulatedCluster, context: RepairContext) -> None:
    for name in ("up", "other"):
        target = {"kind": "Deployment", "name": {"up": "web"}.get(name, "api")}
        create_rollout(with_rollouts, name, target=target)
        with_rollouts.request("PATCH", f"{PATH}/{name}", {"metadata": {"finalizers": [FINALIZER]}}, MERGE)
    remove_stale_finalizers(context, "shop", None, {LEASE})
    assert read_rollout(with_rollouts, "up").metadata.finalizers == (FINALIZER,)
    assert not read_rollout(with_rollouts, "other").metadata.finalizers


def test_strategies_of_others_are_left(world: SimulatedCluster, context: RepairContext, events: list[RepairEvent]) -> None:
    """The user's own OnDelete looks like the one of a run, but nothing says that we wrote it."""
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "app", "image": "reg/app:1"}]}}
    spec = {"selector": {"matchLabels": {"app": "db"}}, "template": template, "updateStrategy": {"type": "OnDelete"}}
    world.request("POST", world.path("apps", "daemonsets"), {"metadata": {"name": "db"}, "spec": spec})
    restore_lost_strategies(context, "shop", None, set())
    found = world.request("GET", world.path("apps", "daemonsets", "db"))
    assert (found["spec"]["updateStrategy"]["type"], events) == ("OnDelete", [])
