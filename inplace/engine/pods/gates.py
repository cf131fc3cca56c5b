"""Reads the state of a pod's readiness gates: the run's own, the one that an upgrade closed, and those of others."""

from __future__ import annotations

from typing import Literal

from inplace.model.objects.pods import Pod
from inplace.model.record import UpgradeRecord

GateState = Literal["Open", "Closed", "Missing", "Absent"]
"""`Missing`: the gate has no condition yet. `Absent`: the pod has no such gate."""

CLOSED_BY_US = "Upgrading"
"""The reason of a gate's condition while an upgrade keeps it closed."""
OPENED_BY_US = "Upgraded"
"""The reason of a gate's condition once the restart is proven."""


def gate_state(pod: Pod, gate: str) -> GateState:
    if not pod.spec.has_gate(gate):
        return "Absent"
    condition = pod.condition(gate)
    if condition is None:
        return "Missing"
    return "Open" if condition.status == "True" else "Closed"


def gate_closed_by_us(pod: Pod, record: UpgradeRecord) -> str:
    """Returns the gate that an upgrade closed on a pod with a record; empty if there is none.

    The record alone is not trusted: the condition's reason must agree. For a record of an older version, which names no gate,
    the reason is all there is."""
    gates = [gate.condition_type for gate in pod.spec.readiness_gates or ()]
    for gate in sorted(gates, key=lambda gate: gate != record.gate):
        condition = pod.condition(gate)
        if condition is not None and condition.status != "True" and condition.reason == CLOSED_BY_US:
            return gate
    return ""


def other_gates_closed(pod: Pod, gate: str) -> tuple[str, ...]:
    """Returns other readiness gates, such as a load balancer's, that keep the pod out of service."""
    others = (g.condition_type for g in pod.spec.readiness_gates or ())
    return tuple(other for other in others if other != gate and not pod.condition_is_true(other))
