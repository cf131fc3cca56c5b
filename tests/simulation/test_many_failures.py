"""A bad image that costs more pods than a Lease could name: the run ends in order all the same."""

from __future__ import annotations

import json

from inplace.model.constants import RUN_ANNOTATION
from inplace.model.run import MAX_FAILURES
from inplace.runtime.observability.statistics import Summary
from inplace.sim.objects import kinds
from tests.simulation.simulated_cluster import SimulatedCluster

PODS = 1000


def test_nine_hundred_failures_are_counted_and_the_run_ends() -> None:
    world = SimulatedCluster(1, nodes=4)
    world.app("web", "reg/app:1", replicas=PODS)
    ended = world.upgrade("web", {"app": "reg/app:missing"}, max_unavailable="90%")
    assert isinstance(ended, Summary)
    assert ended.outcome == "Failed"
    assert len(ended.failures) == 900
    lease = world.cluster.store.get(kinds.LEASES, world.namespace, "inplace-deployment-web")
    assert lease is not None
    assert not lease.obj["spec"].get("holderIdentity")
    text = lease.obj["metadata"]["annotations"][RUN_ANNOTATION]
    assert len(text) < 32 * 1024
    stored = json.loads(text)
    assert len(stored["failures"]) == MAX_FAILURES
    assert stored["moreFailed"] == 900 - MAX_FAILURES
    assert stored["outcome"] == "Failed"
