"""Describes what becomes of a target's new pods: whether a living process opens their gate, which pods wait for that now, and
whether a rollout hangs because of it.

This only informs users: nothing here stops a run or lets it begin. If gate openers were not looked up, it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from inplace.engine.gate_openers import (
    GateOpening,
    HeldClosedBy,
    NoOpener,
    OpenedBy,
    UnknownOpener,
    find_gate_opener,
    pods_waiting_for_gate,
)
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Caution
from inplace.engine.pods.gates import gate_state
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.constants import DEFAULT_GATE, GROUP
from inplace.model.record import holds_for_gate, read_holds
from inplace.model.refs import TargetRef
from inplace.model.run import truncate

MAX_NAMES = 5
MAX_REASON_LENGTH = 200
"""Limits a hold's reason, which anyone who may write the annotation can make long."""


class GateOutlook(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of the gate of a target's new pods. `waiting`: pods that could serve, but whose gate was never opened."""

    type: str
    opener: Literal["Opens", "Holds", "Nobody", "Unknown"]
    by: str
    message: str
    waiting: tuple[str, ...]


def gate_opening(snapshot: Snapshot, gate: str, namespace: str) -> GateOpening | None:
    """Returns what becomes of the gate; None if openers were not looked up, or no new pod has that gate."""
    if snapshot.gate_openers is None:
        return None
    labels = _labels(snapshot, gate)
    return None if labels is None else find_gate_opener(snapshot.gate_openers, gate, namespace, labels)


def has_gate(snapshot: Snapshot, gate: str) -> bool:
    """Whether new pods have the gate, so that looking up its openers is worthwhile."""
    return _labels(snapshot, gate) is not None


def _labels(snapshot: Snapshot, gate: str) -> Mapping[str, str] | None:
    """Returns the labels of new pods: the template's, or those of a waiting bare pod; None if none of them has the gate."""
    opening, spec = snapshot.target.workload, workload.template_spec(snapshot)
    if not strategy_for(snapshot).has_controller:
        first = next((f.pod for f in snapshot.pods if f.pod.name in _waiting(snapshot, gate)), None)
        return None if first is None else first.metadata.labels or {}
    if opening is None or spec is None or not spec.has_gate(gate):
        return None
    labels = (opening.spec.template.get("metadata") or {}).get("labels") or {}
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _waiting(snapshot: Snapshot, gate: str) -> tuple[str, ...]:
    return pods_waiting_for_gate((facts.pod for facts in snapshot.pods), gate)


def cautions(snapshot: Snapshot, target: TargetRef, gate: str) -> Iterator[Caution]:
    """Warns before a run, which opens the gates of the present pods only: all would look well until the next new pod."""
    opening, wait = gate_opening(snapshot, gate, target.namespace), _waiting(snapshot, gate)
    if opening is None:
        return
    if wait and not isinstance(opening, OpenedBy):
        yield Caution("PodsWaitForGate", f"{_format_waiting(wait)} for somebody to open gate {gate}")
    if not strategy_for(snapshot).has_controller:
        return
    match opening:
        case OpenedBy():
            pass
        case HeldClosedBy(by=by, why=why):
            text = f"new pods of {target} stay out of service, since {why}: so the rule of {by} keeps gate {gate} closed"
            yield Caution("NewPodsHeld", text)
        case NoOpener():
            text = f"new pods of {target} will stay out of service: {_describe_no_opener(opening, gate, target.namespace)}"
            yield Caution("NobodyOpensGate", f"{text}: {how_to_start(gate, target.namespace)}")
        case UnknownOpener():
            text = f"new pods of {target} may stay out of service: {_describe_unknown(opening, gate, target.namespace)}"
            yield Caution("OpenerUnknown", text)


def hang_reason(snapshot: Snapshot, target: TargetRef, gate: str) -> str:
    """Says why a rollout in progress hangs, and what to do; empty if nothing is known to block it."""
    opening, wait = gate_opening(snapshot, gate, target.namespace), _waiting(snapshot, gate)
    if not wait:
        return ""
    text = f"{_format_waiting(wait)} for somebody to open gate {gate}"
    match opening:
        case NoOpener():
            where = target.namespace
            return (
                f"hangs: {text}, and {_describe_no_opener(opening, gate, where, is_named=False)}: {how_to_start(gate, where)}"
            )
        case UnknownOpener():
            return f"{text}; {_describe_unknown(opening, gate, target.namespace)}"
        case HeldClosedBy(by=by, why=why):
            return f"hangs: {text}, and the rule of {by} keeps it closed, since {why}"
        case OpenedBy() | None:
            return ""


def gate_outlook(snapshot: Snapshot, target: TargetRef, gate: str) -> GateOutlook | None:
    """Describes the gate for `status`; None if no pod has it, or if its openers were not looked up."""
    opening, wait = gate_opening(snapshot, gate, target.namespace), _waiting(snapshot, gate)
    where = target.namespace
    now = f"{_format_waiting(wait)} for somebody to open it" if wait else ""
    also = f"{now}, and " if now else ""
    so = ", so that its rollout hangs" if wait and strategy_for(snapshot).is_rolling_out() else ""
    match opening:
        case None:
            return None
        case OpenedBy(by=by):
            soon = f"; about to be opened: {_list(wait)}" if wait else ""
            return GateOutlook(gate, "Opens", by, f"opened on new pods by {by}{soon}", wait)
        case HeldClosedBy(by=by, why=why):
            return GateOutlook(gate, "Holds", by, f"{also}{by} keeps it closed on new pods, since {why}{so}", wait)
        case NoOpener():
            nobody = f"{_describe_no_opener(opening, gate, where, is_named=False)}{so}"
            return GateOutlook(gate, "Nobody", "", f"{also}{nobody}: {how_to_start(gate, where)}", wait)
        case UnknownOpener():
            return GateOutlook(gate, "Unknown", "", f"{also}{_describe_unknown(opening, gate, where)}", wait)


def pods_kept_closed(pods: Iterable[ObservedPod], gate: str) -> dict[str, tuple[str, ...]]:
    """Returns the names of pods that the gate keeps out of service without an upgrade, by the reason. They count as updated."""
    names_by_reason: dict[str, tuple[str, ...]] = {}
    for facts in sorted(pods, key=lambda facts: facts.pod.name):
        pod = facts.pod
        if facts.record is None and not pod.is_terminating and gate_state(pod, gate) == "Closed":
            holds = holds_for_gate(read_holds(pod), gate)
            why = "; ".join(truncate(text or name, MAX_REASON_LENGTH) for name, text in sorted(holds.items()))
            why = why or "somebody had closed it before, and left no note"
            names_by_reason[why] = (*names_by_reason.get(why, ()), pod.name)
    return names_by_reason


def _describe_no_opener(opening: NoOpener, gate: str, namespace: str, *, is_named: bool = True) -> str:
    what = f"gate {gate} in namespace {namespace}" if is_named else "it"
    # A gate that is not inplace's own may have an opener that announces nothing in a Lease.
    who = f"nobody living opens {what}" if gate.startswith(f"{GROUP}/") else f"no living opener of {what} is known"
    return f"{who} ({opening.dead})" if opening.dead else who


def _describe_unknown(opening: UnknownOpener, gate: str, namespace: str) -> str:
    start = how_to_start(gate, namespace)
    what = f"whether somebody living opens gate {gate} in namespace {namespace}"
    return f"{what} is unknown ({opening.why}); if nobody does, {start}"


def how_to_start(gate: str, namespace: str) -> str:
    condition = "" if gate == DEFAULT_GATE else f" --condition {gate}"
    return f"start `inplace gate run -n {namespace}{condition}` and keep it running, or install the controller"


def _format_waiting(names: tuple[str, ...]) -> str:
    """Formats like `3 pods wait (web-1, web-2, web-3)`."""
    return f"1 pod waits ({_list(names)})" if len(names) == 1 else f"{len(names)} pods wait ({_list(names)})"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
