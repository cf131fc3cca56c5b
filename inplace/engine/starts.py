"""Which pods to start now: within the step, maxUnavailable and the PodDisruptionBudgets, from a settled view only."""

from __future__ import annotations

import msgspec

from inplace.engine import target as workload
from inplace.engine.actions import TAKES_OUT, Action, ClaimBudget, CloseGate, OpenGate, PatchIdleImages
from inplace.engine.blockers import is_cut_off, no_room
from inplace.engine.budget import DisruptionRoom, Room, order_of, room_of
from inplace.engine.clocks import Clocks
from inplace.engine.drain import dissenting
from inplace.engine.observed import NOTHING_SEEN, Observed, PodFacts
from inplace.engine.outages import ServiceRoom
from inplace.engine.plan import Spec
from inplace.engine.stages import (
    IN_FLIGHT,
    SETTLED_VIEW_SECONDS,
    Judged,
    Rules,
    changed_images,
    gate_of,
    patch,
    restarts,
)
from inplace.model.record import GateBefore, Record, holds_of, holds_on
from inplace.model.run import Run

_NO_ROOM = "waiting for room"


class Starts(msgspec.Struct, frozen=True):
    """`waiting`: why nothing more is started, in words; empty if nothing is left to start. `claim`: asked for
    the next pod, which may not be started without it."""

    actions: tuple[Action, ...]
    uids: frozenset[str]
    waiting: str
    claim: ClaimBudget | None = None


def choose(
    observed: Observed,
    run: Run,
    judged: list[Judged],
    rules: Rules,
    failed: frozenset[str],
    target: int,
    clocks: Clocks,
    spec: Spec,
) -> Starts:
    """A pod without a node takes no slot: its image is changed at once, as far as the step leaves one over, since a step is
    there to be looked at, and nothing of that pod runs."""
    if observed.blind:
        return Starts((), frozenset(), f"waiting for the API server: {observed.blind}")
    not_begun = [j for j in judged if j.stage == "Pending" and j.uid not in failed]
    pending = [j for j in not_begun if j.facts.pod.is_scheduled]
    unscheduled = [j for j in not_begun if not j.facts.pod.is_scheduled]
    under_way = sum(j.stage not in ("Pending", "Gone", "Kept") and j.uid not in failed for j in judged)
    to_do = target - under_way
    allowed = max(0, to_do - sum(j.uid in observed.closing for j in pending))
    limit = workload.max_unavailable(observed, run)
    desired = workload.desired(observed) - workload.never_made(observed)
    room = room_of(judged, desired, limit, observed.closing, rules.ignored)
    disruptions = DisruptionRoom(observed, workload.desired(observed), rules.ignored)
    services = ServiceRoom(observed, run)
    started: dict[str, Action] = {}
    claim: ClaimBudget | None = None
    waiting, silent = "", False
    if pending and allowed and room.unready <= 0:
        waiting = _NO_ROOM
    for j in order_of(pending, observed) if allowed and room.unready > 0 else ():
        if len(started) >= allowed:
            break
        if j.uid in observed.busy or j.uid in observed.closing:
            continue
        why_not = _why_not(j, room, disruptions, services, observed, clocks, rules.ignored)
        if why_not:
            # A pod that waits for its node is named among those that take the room.
            silent = silent or is_cut_off(j.facts.pod)
            waiting = _NO_ROOM if silent and why_not == _NO_ROOM else waiting or why_not
            continue
        action = _begin(j.facts, run, rules, spec, disruptions)
        missing = disruptions.claim_for(j.facts) if j.facts.is_ready and isinstance(action, TAKES_OUT) else None
        if missing is not None:
            claim = claim or missing
            waiting = waiting or f"waiting for its turn at PodDisruptionBudget {missing.budget.metadata.name}"
            continue
        started[j.uid] = action
        if j.facts.is_ready:
            disruptions.take(j.facts)
            services.take(j.facts)
            room = Room(room.ready - 1, room.unready - 1)
        else:
            room = Room(room.ready, room.unready - 1)
    idle = tuple(patch_idle(j.facts, rules) for j in unscheduled[: max(0, to_do - len(pending))])
    closes, uids = tuple(started.values()), frozenset(started)
    if waiting == _NO_ROOM:
        # While pods of ours are in flight that is how it should be, and nothing to tell.
        ours = bool(closes) or bool(observed.closing) or any(j.stage in IN_FLIGHT and j.uid not in failed for j in judged)
        waiting = "" if ours else no_room(judged, rules, limit, workload.desired(observed))
    return Starts(idle + closes + _missing_gates(pending, uids, rules), uids, waiting, claim)


def _why_not(
    j: Judged,
    room: Room,
    disruptions: DisruptionRoom,
    services: ServiceRoom,
    observed: Observed,
    clocks: Clocks,
    ignored: frozenset[str],
) -> str:
    """Empty: it may be started."""
    ready = j.facts.is_ready
    if room.unready <= 0 or (ready and room.ready <= 0):
        return _NO_ROOM
    if ready and (blocker := disruptions.blocker(j.facts)) is not None:
        return f"waiting for PodDisruptionBudget {blocker}"
    if ready and (service := services.blocker(j.facts)) is not None:
        return f"waiting for another endpoint of Service {service} than pod/{j.facts.pod.name} (or --allow-outage)"
    agrees_since = observed.evidence.get(j.uid, NOTHING_SEEN).agrees_since
    if agrees_since is None:
        slices = dissenting(j.facts, ignored)
        return f"waiting for pod/{j.facts.pod.name} and its EndpointSlices to say the same" + (f": {slices}" if slices else "")
    if clocks.now < agrees_since + SETTLED_VIEW_SECONDS:
        clocks.at(agrees_since + SETTLED_VIEW_SECONDS)
        return "looking at the pods for 2 seconds before the first is touched"
    if not ready and is_cut_off(j.facts.pod):
        return f"waiting for the node of pod/{j.facts.pod.name} ({j.facts.pod.spec.node_name}), which does not report"
    return ""


def _begin(facts: PodFacts, run: Run, rules: Rules, spec: Spec, disruptions: DisruptionRoom) -> Action:
    """The first act on a pod: closing its gate, where it has one and something is to restart."""
    budgets = tuple(b.metadata.name for b in disruptions.shared(facts)) if facts.is_ready else ()
    record = Record(
        run=run.id,
        lease=rules.lease,
        gate=rules.gate,
        gate_before=gate_before(facts, rules.gate),
        from_images={name: facts.images[name] for name in changed_images(facts, rules) if name in facts.images},
        to_images=rules.goal.of(facts),
        since=spec.since,
    )
    changed = changed_images(facts, rules)
    if changed and not restarts(facts.pod, changed):
        return patch_idle(facts, rules)
    if record.gate_before == "Absent":
        return patch(facts, record, rules, budgets)
    # That a pod serves nobody must still be true when it is closed: only then does it cost no budget.
    return CloseGate(facts.ref, rules.gate, record, rules.bare or not facts.is_ready, budgets)


def patch_idle(facts: PodFacts, rules: Rules) -> Action:
    return PatchIdleImages(facts.ref, changed_images(facts, rules), facts.pod.spec.init_names(), rules.revision or "")


def gate_before(facts: PodFacts, gate: str) -> GateBefore:
    """A gate closed by a hold that is written down opens when the last hold goes; one closed by hand stays closed."""
    match gate_of(facts.pod, gate):
        case "Closed":
            return "True" if holds_on(holds_of(facts.pod), gate) else "False"
        case "Missing" | "Absent" as state:
            return state
        case "Open":
            return "True"


def _missing_gates(pending: list[Judged], started: frozenset[str], rules: Rules) -> tuple[Action, ...]:
    """A gate without a condition keeps a new pod out of service: opened while the pod waits for its turn."""
    return tuple(
        OpenGate(j.facts.ref, rules.gate, "GateAdded")
        for j in pending
        if not j.facts.is_ready
        and j.uid not in started
        and gate_of(j.facts.pod, rules.gate) == "Missing"
        and not holds_on(holds_of(j.facts.pod), rules.gate)
    )
