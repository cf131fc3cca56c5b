"""Explains to a waiting user which pods use up what may be unavailable, why, and how to go on."""

from __future__ import annotations

from collections.abc import Iterable

from inplace.engine.availability.budget import is_available
from inplace.engine.pods.drain import disagreeing_slices, is_in_service
from inplace.engine.pods.gates import gate_state, other_gates_closed
from inplace.engine.pods.stages import PodAssessment, PodPolicy
from inplace.engine.snapshot import ObservedPod
from inplace.model.objects.pods import Pod
from inplace.model.record import UpgradeRecord, format_holds, holds_for_gate, read_holds

_MAX_NAMES = 3


def explain_no_headroom(assessments: Iterable[PodAssessment], policy: PodPolicy, limit: int, desired: int) -> str:
    """Explains why no pod may be closed, for a run with no pods in flight."""
    everyone = list(assessments)
    unavailable = [j.facts for j in everyone if not is_available(j.facts, frozenset(), policy.ignored_services)]
    named = [f"pod/{facts.pod.name} {_why(facts, policy)}" for facts in unavailable[:_MAX_NAMES]]
    more = len(unavailable) - len(named)
    missing = max(0, desired - len(everyone))
    rest = [f"{more} more are unavailable"] * bool(more) + [f"{missing} pods do not exist"] * bool(missing)
    way_out = f"to go on: --max-unavailable {len(unavailable) + missing + 1}"
    return f"waiting, since at most {limit} may be unavailable at once: {', '.join([*named, *rest])} ({way_out})"


def _why(facts: ObservedPod, policy: PodPolicy) -> str:
    pod = facts.pod
    if pod.is_terminating:
        return "is being deleted"
    if isinstance(facts.record, UpgradeRecord):
        return "is out of service for an upgrade"
    if is_cut_off(pod):
        return f"is on node {pod.spec.node_name}, which does not report"
    if gate_state(pod, policy.gate) == "Closed":
        holds = holds_for_gate(read_holds(pod), policy.gate)
        return f"is kept closed ({format_holds(holds)})" if holds else f"was closed by hand (gate {policy.gate})"
    closed = other_gates_closed(pod, policy.gate)
    if closed and pod.condition_is_true("ContainersReady"):
        return f"is kept out of service by gate {', '.join(closed)}"
    if facts.is_ready and not is_in_service(facts, policy.ignored_services):
        return f"is Ready, but {disagreeing_slices(facts, policy.ignored_services)} says otherwise"
    return f"on node {pod.spec.node_name} is not Ready" if pod.spec.node_name else "has no node"


def is_cut_off(pod: Pod) -> bool:
    """Whether the pod's node does not report: it is not Ready although its containers and all its gates are. No kubelet reports
    that; the node controller does (kubernetes, MarkPodsNotReady). A kubelet that does not report restarts nothing."""
    conditions = ("ContainersReady", *(gate.condition_type for gate in pod.spec.readiness_gates or ()))
    return (
        pod.condition("Ready") is not None
        and not pod.is_ready
        and all(pod.condition_is_true(condition) for condition in conditions)
    )
