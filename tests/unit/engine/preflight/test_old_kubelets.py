"""Nodes may be three releases behind their API server; a kubelet older than 1.34 reports no observedGeneration."""

from typing import Any

import pytest

from inplace.engine.preflight.checks import Accepted, Rejected, Verdict, preflight
from inplace.engine.snapshot import ObservedPod
from tests.builders import LEASE, NEW, in_service, observed, pod, record, run


def blind(**fields: Any) -> ObservedPod:
    return in_service(pod("web-9", **{"observed": 0, "node": "old-1", **fields}))


def verdict_with(other: ObservedPod) -> Verdict:
    return preflight(observed(in_service(pod("web-0")), in_service(pod("web-1")), other), run(), LEASE, resuming=False)


def test_named_before_anything_is_written() -> None:
    verdict = verdict_with(blind())
    assert isinstance(verdict, Rejected)
    assert verdict.message.startswith("pod/web-9: its node old-1 has a kubelet that reports no status.observedGeneration")
    assert verdict.node == "old-1"


@pytest.mark.parametrize(
    "fields",
    [{"statuses": []}, {"images": NEW}, {"record": record(), "gate": "False"}, {"node": "", "statuses": []}],
    ids=["not begun", "updated", "ours already", "without a node"],
)
def test_not_for_a_pod_that_is_not_to_be_closed(fields: dict[str, Any]) -> None:
    """One that is ours is to be freed, by whatever proves its restart there."""
    assert isinstance(verdict_with(blind(**fields)), Accepted)
