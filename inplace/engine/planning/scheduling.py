"""Decides which pods to start now: within the step, maxUnavailable and PodDisruptionBudgets, and only from a settled view."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import DISRUPTIVE_ACTIONS, Action, ClaimBudget, CloseGate, OpenGate, PatchIdleImages
from inplace.engine.availability.blockers import explain_no_headroom, is_cut_off
from inplace.engine.availability.budget import DisruptionBudgets, Headroom, headroom, upgrade_order
from inplace.engine.availability.outages import ServiceHeadroom
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import PlanContext
from inplace.engine.pods.drain import disagreeing_slices
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.stages import (
    IN_FLIGHT,
    SETTLED_VIEW_SECONDS,
    PodAssessment,
    PodPolicy,
    changed_images,
    patch_images,
    restarted_containers,
)
from inplace.engine.snapshot import NO_EVIDENCE, ObservedPod, Snapshot
from inplace.engine.timers import Timers
from inplace.model.record import PreviousGateState, UpgradeRecord, holds_for_gate, read_holds
from inplace.model.run import Run

_NO_ROOM = "waiting for a free slot (maxUnavailable)"


class StartDecision(msgspec.Struct, frozen=True):
    """`waiting`: why nothing more is started, in words; empty if nothing is left to start. `claim`: asked for
    the next pod, which may not be started without it."""

    actions: tuple[Action, ...]
    uids: frozenset[str]
    waiting_for: str
    claim: ClaimBudget | None = None


class _Rooms:
    """How many pods may still go out of service by maxUnavailable, PodDisruptionBudgets and Services; less with each start."""

    def __init__(self, snapshot: Snapshot, run: Run, assessments: list[PodAssessment], policy: PodPolicy) -> None:
        self.limit = workload.max_unavailable(snapshot, run)
        strategy = strategy_for(snapshot)
        desired = strategy.desired_replicas()
        self.disruptions = DisruptionBudgets(snapshot, desired, policy.ignored_services)
        creatable = desired - strategy.blocked_replicas()
        self._pods = headroom(assessments, creatable, self.limit, snapshot.closing, policy.ignored_services)
        self._services = ServiceHeadroom(snapshot, run)

    @property
    def are_left(self) -> bool:
        return self._pods.unready > 0

    def blocker(self, facts: ObservedPod) -> str:
        """Why there is no room for this pod; empty: there is."""
        if self._pods.unready <= 0 or (facts.is_ready and self._pods.ready <= 0):
            return _NO_ROOM
        if facts.is_ready and (budget := self.disruptions.blocked_by(facts)) is not None:
            return f"waiting for PodDisruptionBudget {budget}"
        if facts.is_ready and (service := self._services.blocked_by(facts)) is not None:
            return f"waiting for another endpoint of Service {service} than pod/{facts.pod.name} (or --allow-outage)"
        return ""

    def take(self, facts: ObservedPod) -> None:
        if facts.is_ready:
            self.disruptions.reserve(facts)
            self._services.reserve(facts)
        self._pods = Headroom(self._pods.ready - facts.is_ready, self._pods.unready - 1)


def select_pods(
    snapshot: Snapshot,
    run: Run,
    assessments: list[PodAssessment],
    policy: PodPolicy,
    failed: frozenset[str],
    target: int,
    timers: Timers,
    context: PlanContext,
) -> StartDecision:
    """Chooses the pods to start, at most up to `target` updated ones.

    A pod without a node takes no slot, since nothing of it runs: its image is changed at once, if the step has one to spare.
    """
    if snapshot.stale_reason:
        return StartDecision((), frozenset(), f"waiting for the API server: {snapshot.stale_reason}")
    not_begun = [a for a in assessments if a.stage == "Pending" and a.uid not in failed]
    pending = [a for a in not_begun if a.facts.pod.is_scheduled]
    unscheduled = [a for a in not_begun if not a.facts.pod.is_scheduled]
    under_way = sum(a.stage not in ("Pending", "Gone", "Kept") and a.uid not in failed for a in assessments)
    to_do = target - under_way
    allowed = max(0, to_do - sum(a.uid in snapshot.closing for a in pending))
    rooms = _Rooms(snapshot, run, assessments, policy)
    picked = _pick(pending, allowed, rooms, snapshot, run, policy, timers, context)
    idle = tuple(patch_idle(a.facts, policy) for a in unscheduled[: max(0, to_do - len(pending))])
    gates = _missing_gates(pending, picked.uids, policy)
    waiting = picked.waiting_for
    if waiting == _NO_ROOM:
        # While pods of this run are in flight that is normal, and there is nothing to report.
        in_flight = any(a.stage in IN_FLIGHT and a.uid not in failed for a in assessments)
        ours = bool(picked.actions) or bool(snapshot.closing) or in_flight
        desired = strategy_for(snapshot).desired_replicas()
        waiting = "" if ours else explain_no_headroom(assessments, policy, rooms.limit, desired)
    return StartDecision(idle + picked.actions + gates, picked.uids, waiting, picked.claim)


def _pick(
    pending: list[PodAssessment],
    allowed: int,
    rooms: _Rooms,
    snapshot: Snapshot,
    run: Run,
    policy: PodPolicy,
    timers: Timers,
    context: PlanContext,
) -> StartDecision:
    """Goes through the pods in upgrade order and starts those for which there is room, at most `allowed`."""
    if allowed <= 0 or not rooms.are_left:
        return StartDecision((), frozenset(), _NO_ROOM if pending and allowed > 0 else "")
    started: dict[str, Action] = {}
    claim: ClaimBudget | None = None
    waiting, silent = "", False
    for a in upgrade_order(pending, snapshot):
        if len(started) >= allowed:
            break
        if a.uid in snapshot.keys_in_progress or a.uid in snapshot.closing:
            continue
        if why_not := rooms.blocker(a.facts) or _unsettled(a, snapshot, timers, policy.ignored_services):
            # A pod that waits for its node is already named among those that take the room.
            silent = silent or is_cut_off(a.facts.pod)
            waiting = _NO_ROOM if silent and why_not == _NO_ROOM else waiting or why_not
            continue
        action = _first_action(a.facts, run, policy, context, rooms.disruptions)
        missing = rooms.disruptions.claim_for(a.facts) if a.facts.is_ready and isinstance(action, DISRUPTIVE_ACTIONS) else None
        if missing is not None:
            claim = claim or missing
            waiting = waiting or f"waiting for its turn at PodDisruptionBudget {missing.budget.metadata.name}"
            continue
        started[a.uid] = action
        rooms.take(a.facts)
    return StartDecision(tuple(started.values()), frozenset(started), waiting, claim)


def _unsettled(a: PodAssessment, snapshot: Snapshot, timers: Timers, ignored: frozenset[str]) -> str:
    """Why the pod cannot be judged yet; empty: its state has been seen, and pod and slices agree."""
    agrees_since = snapshot.evidence.get(a.uid, NO_EVIDENCE).consistent_since
    if agrees_since is None:
        slices = disagreeing_slices(a.facts, ignored)
        return f"waiting for pod/{a.facts.pod.name} and its EndpointSlices to agree" + (f": {slices}" if slices else "")
    if timers.now < agrees_since + SETTLED_VIEW_SECONDS:
        timers.requeue_at(agrees_since + SETTLED_VIEW_SECONDS)
        return "watching the pods for 2s before starting"
    if not a.facts.is_ready and is_cut_off(a.facts.pod):
        return f"waiting for the node of pod/{a.facts.pod.name} ({a.facts.pod.spec.node_name}), which does not report"
    return ""


def _first_action(
    facts: ObservedPod, run: Run, policy: PodPolicy, context: PlanContext, disruptions: DisruptionBudgets
) -> Action:
    """The first action on a pod: closing its gate, if it has one and something restarts."""
    budgets = tuple(b.metadata.name for b in disruptions.shared(facts)) if facts.is_ready else ()
    record = UpgradeRecord(
        run=run.id,
        lease=policy.lease_name,
        gate=policy.gate,
        gate_before=gate_before(facts, policy.gate),
        from_images={name: facts.images[name] for name in changed_images(facts, policy) if name in facts.images},
        to_images=policy.goal.images_for(facts),
        since=context.timestamp,
    )
    changed = changed_images(facts, policy)
    if changed and not restarted_containers(facts.pod, changed):
        return patch_idle(facts, policy)
    if record.gate_before == "Absent":
        return patch_images(facts, record, policy, budgets)
    # A pod that serves nobody must still serve nobody when it is closed: only then does it cost no budget.
    return CloseGate(facts.ref, policy.gate, record, policy.is_bare_pods or not facts.is_ready, budgets)


def patch_idle(facts: ObservedPod, policy: PodPolicy) -> Action:
    return PatchIdleImages(
        facts.ref, changed_images(facts, policy), facts.pod.spec.init_container_names(), policy.revision or ""
    )


def gate_before(facts: ObservedPod, gate: str) -> PreviousGateState:
    """The state to restore after the upgrade. A gate closed by a recorded hold opens when the last hold goes; one closed by
    hand stays closed."""
    match gate_state(facts.pod, gate):
        case "Closed":
            return "True" if holds_for_gate(read_holds(facts.pod), gate) else "False"
        case "Missing" | "Absent" as state:
            return state
        case "Open":
            return "True"


def _missing_gates(pending: list[PodAssessment], started: frozenset[str], policy: PodPolicy) -> tuple[Action, ...]:
    """Opens the gates without a condition, which keep new pods out of service, while these wait for their turn."""
    return tuple(
        OpenGate(a.facts.ref, policy.gate, "GateAdded")
        for a in pending
        if not a.facts.is_ready
        and a.uid not in started
        and gate_state(a.facts.pod, policy.gate) == "Missing"
        and not holds_for_gate(read_holds(a.facts.pod), policy.gate)
    )
