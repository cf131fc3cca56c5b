"""What a run that nobody drives has left behind is freed; what somebody holds is not."""

from __future__ import annotations

import pytest

from inplace.kube.clock import format_micro_time
from inplace.model.constants import RECORD_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.model.run import lease_name
from inplace.runtime.observability.frames import Frame
from inplace.runtime.repair.context import RepairEvent
from inplace.runtime.repair.repair import Repair
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")
GATE = "inplace.dev/ready"


class Died(Exception):
    """As the process would, in the middle of a run."""


@pytest.fixture
def died(world: SimulatedCluster) -> SimulatedCluster:
    """An upgrade that ends without a word once its first pod is closed, or restarting."""
    world.app("web", "reg/app:1", replicas=2)

    def die(frame: Frame) -> None:
        if any(pod.stage in ("Settling", "Restarting") for pod in frame.plan.pods):
            raise Died

    with pytest.raises(Died):
        world.upgrade("web", {"app": "reg/app:2"}, max_unavailable=1, on_frame=die)
    assert len(closed(world)) == 1
    return world


def closed(world: SimulatedCluster) -> list[str]:
    is_open = {"type": GATE, "status": "True"}.items()
    return [p.name for p in world.pods() if not any(is_open <= c.items() for c in p.obj["status"]["conditions"])]


def repair(world: SimulatedCluster, *, dry_run: bool = False) -> tuple[bool, list[RepairEvent]]:
    events: list[RepairEvent] = []
    job = Repair(world.api, "medic", events.append, lambda _session: None, world.host, dry_run=dry_run)
    return job.repair("shop", None), events


def test_nothing_to_repair(world: SimulatedCluster) -> None:
    world.app("web", "reg/app:1", replicas=2)
    assert repair(world) == (True, [])


def test_pods_of_a_dead_holder_are_freed(died: SimulatedCluster) -> None:
    uids = {pod.uid for pod in died.pods()}
    is_clean, events = repair(died)
    died.scheduler.run_for(10)
    assert is_clean
    assert closed(died) == []
    assert {event.about for event in events} == {"done"}
    assert {pod.uid for pod in died.pods()} == uids
    assert not [pod for pod in died.pods() if RECORD_ANNOTATION in (pod.meta.get("annotations") or {})]


def test_a_dry_run_foretells_and_changes_nothing(died: SimulatedCluster) -> None:
    left = closed(died)
    _, events = repair(died, dry_run=True)
    died.scheduler.run_for(10)
    assert [event.about for event in events if event.about == "done"]
    assert closed(died) == left


def test_a_holder_that_renews_is_left_alone(died: SimulatedCluster) -> None:
    left = closed(died)

    def renew() -> None:
        body = {"spec": {"holderIdentity": "holder-1", "renewTime": format_micro_time(died.clock.utcnow())}}
        lease = died.path("coordination.k8s.io", "leases", lease_name(WEB))
        died.request("PATCH", lease, body, "application/merge-patch+json")
        died.scheduler.after(5, renew)

    renew()
    _, events = repair(died)
    assert [(event.about, event.text) for event in events] == [("found", "holder-1 is at work: left alone")]
    assert closed(died) == left
