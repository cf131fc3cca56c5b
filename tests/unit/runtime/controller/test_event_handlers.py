"""Which changes of watched objects enqueue a rollout."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.runtime.controller.event_handlers import EventHandlers
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.controller.bench import KEY, ControllerBench
from tests.unit.runtime.rollouts import PATH, create_rollout, set_status

MERGE = "application/merge-patch+json"


@pytest.fixture
def bench(with_rollouts: SimulatedCluster) -> ControllerBench:
    made = ControllerBench(with_rollouts)
    EventHandlers(made.informers, made.queue, made.active).register()
    made.watch()
    create_rollout(with_rollouts)
    assert enqueued(made) == [KEY]
    return made


def enqueued(bench: ControllerBench) -> list[tuple[str, str]]:
    """The keys that are waiting, after a moment for the watches."""
    bench.world.scheduler.run_for(1)
    keys = []
    while (key := bench.queue.try_get()) is not None:
        keys.append(key)
        bench.queue.done(key)
    return keys


def put_lease(bench: ControllerBench, name: str, **body: Any) -> None:
    labels = {"app.kubernetes.io/managed-by": "inplace"}
    path = bench.world.path("coordination.k8s.io", "leases")
    bench.world.request("POST", path, {"metadata": {"name": name, "labels": labels}, **body})


def test_an_edit_of_the_spec_enqueues_and_a_status_does_not(bench: ControllerBench) -> None:
    set_status(bench.world, phase="Pending")
    assert enqueued(bench) == []
    bench.world.request("PATCH", f"{PATH}/up", {"spec": {"paused": True}}, MERGE)
    assert enqueued(bench) == [KEY]


def test_a_deletion_enqueues(bench: ControllerBench) -> None:
    bench.world.request("DELETE", f"{PATH}/up")
    assert enqueued(bench) == [KEY]


def test_a_lease_enqueues_the_rollouts_of_its_target(bench: ControllerBench) -> None:
    put_lease(bench, "inplace-deployment-other")
    assert enqueued(bench) == []
    put_lease(bench, "inplace-deployment-web")
    assert enqueued(bench) == [KEY]


def test_a_renewal_enqueues_nothing(bench: ControllerBench) -> None:
    put_lease(bench, "inplace-deployment-web")
    enqueued(bench)
    path = bench.world.path("coordination.k8s.io", "leases", "inplace-deployment-web")
    bench.world.request("PATCH", path, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}, MERGE)
    assert enqueued(bench) == []
    bench.world.request("PATCH", path, {"metadata": {"annotations": {"inplace.dev/request": "pause"}}}, MERGE)
    assert enqueued(bench) == [KEY]
