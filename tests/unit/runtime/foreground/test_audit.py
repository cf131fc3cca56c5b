"""What is kept of the runs that InPlaceRollouts of a target asked for."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.model.constants import CLIENT_ANNOTATION, CREATED_BY_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.runtime.foreground.audit import audit_records
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.runtime.rollouts import create_rollout, set_status

WEB = TargetRef("Deployment", "shop", "web")


@pytest.fixture
def audited(with_rollouts: SimulatedCluster) -> SimulatedCluster:
    """Two rollouts of `web`, the later one created first, and one of another target."""
    signed = {CREATED_BY_ANNOTATION: "jane", CLIENT_ANNOTATION: "jane@laptop"}
    create_rollout(with_rollouts, "second")
    create_rollout(with_rollouts, "first", annotations=signed)
    create_rollout(with_rollouts, "other", target={"kind": "Deployment", "name": "api"})
    set_status(with_rollouts, "second", phase="Paused", startedAt="2026-01-02T00:00:00Z", message="by hand")
    set_status(with_rollouts, "first", phase="Succeeded", startedAt="2026-01-01T00:00:00Z", finishedAt="2026-01-01T00:05:00Z")
    return with_rollouts


def record_event(world: SimulatedCluster, name: str, note: str, at: str, **regarding: str) -> None:
    body: dict[str, Any] = {
        "metadata": {"name": name, "namespace": "shop"},
        "regarding": {"kind": "Pod", "namespace": "shop", "name": "web-1", **regarding},
        "reason": "PodUpgraded",
        "type": "Normal",
        "action": "Upgrade",
        "note": note,
        "eventTime": at,
        "reportingController": "inplace",
        "reportingInstance": "me",
    }
    world.request("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", body)


def test_the_oldest_rollout_of_the_target_comes_first(audited: SimulatedCluster) -> None:
    found = audit_records(audited.api, WEB)
    assert [(record.name, record.phase, record.by, record.client) for record in found] == [
        ("first", "Succeeded", "jane", "jane@laptop"),
        ("second", "Paused", "field manager kubectl", ""),
    ]
    assert found[0].images == {"app": "reg/app:2"}
    assert (found[0].finished_at, found[1].message) == ("2026-01-01T00:05:00Z", "by hand")


def test_pod_events_belong_to_the_rollout_that_they_name(audited: SimulatedCluster) -> None:
    record_event(audited, "b", "back in service (inplacerollout/first)", "2026-01-01T00:04:00.000000Z")
    record_event(audited, "a", "closed (inplacerollout/first)", "2026-01-01T00:01:00.000000Z")
    record_event(audited, "c", "closed", "2026-01-01T00:02:00.000000Z")
    first, second = audit_records(audited.api, WEB)
    assert [(event.pod, event.note) for event in first.pods] == [("web-1", "closed"), ("web-1", "back in service")]
    assert second.pods == ()


def test_a_cluster_without_rollouts_has_no_records(world: SimulatedCluster) -> None:
    assert audit_records(world.api, WEB) == ()
