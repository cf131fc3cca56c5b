"""The write of a gate's condition, on an API server that merges lists as the real one does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inplace.kube.protocols import STRATEGIC_MERGE
from inplace.kube.resources import PODS
from inplace.runtime.conditions import conditions_body
from tests.builders import GATE
from tests.simulation.simulated_cluster import SimulatedCluster

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("existing", [(), ("False",), ("False", "False")])
def test_exactly_one_condition_of_the_gate_is_left(world: SimulatedCluster, existing: tuple[str, ...]) -> None:
    world.deployment("web", "reg/app:1", replicas=1, gate=GATE)
    world.scheduler.run_for(5)
    name = world.pods()[0].name
    doubled = [{"op": "add", "path": "/status/conditions/-", "value": {"type": GATE, "status": each}} for each in existing]
    world.request("PATCH", world.path("", "pods", name, "status"), doubled, "application/json-patch+json")
    before = {c.type: c.status for c in world.api.get(PODS, "shop", name).status.conditions or () if c.type != GATE}

    body = {"status": {"conditions": conditions_body(GATE, True, "Upgraded", "proven", NOW)}}
    world.api.patch(PODS, "shop", name, body, STRATEGIC_MERGE, subresource="status")

    after = world.api.get_raw(PODS, "shop", name)["status"]["conditions"]
    assert [c for c in after if c["type"] == GATE] == [
        {
            "type": GATE,
            "status": "True",
            "reason": "Upgraded",
            "message": "proven",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
    ]
    assert before.items() <= {c["type"]: c["status"] for c in after}.items() | {("Ready", before["Ready"])}
