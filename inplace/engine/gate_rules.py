"""A gate that follows a label: what one pod's condition and holds should be, and the single write that makes them so.

Always holds: a gate is opened only when nothing holds it, neither an upgrade (its record, readable or not) nor any hold; our
own hold comes and goes with the label also meanwhile, so whoever removes the last hold opens. What is right already is not
touched, so the same pod judged after the write asks for nothing: any number of controllers with the same rule agree.

A hold's name may end in `@GATE`: then it concerns that gate only, as ours does, so that rules for two gates of one pod do not
take each other's hold for their own. A hold without it keeps every gate of the pod closed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from inplace.model.constants import RECORD_ANNOTATION
from inplace.model.objects.pods import Pod
from inplace.model.record import holds_for_gate, read_holds
from inplace.model.refs import PodRef

Default = Literal["open", "closed"]


def resync_period(seconds: float) -> float:
    """Raises ValueError with a line for a person."""
    if seconds < 1:
        raise ValueError("changes are seen at once anyway: resync at most every second")
    return seconds


class GateRule(msgspec.Struct, frozen=True):
    """Label `true` opens, `false` closes; absent or anything else means `default`."""

    condition: str
    label: str
    default: Default = "open"

    @property
    def hold(self) -> str:
        """What our hold is called. By the gate, not by the label: a controller started with another label takes it over."""
        return f"label@{self.condition}"


class GateUpdate(msgspec.Struct, frozen=True):
    """One status write. Preconditions: uid and resourceVersion, since the holds are read, changed and written back."""

    pod: PodRef
    gate: str
    status: bool | None
    """None: the condition is left as it is."""
    holds: dict[str, str] | None
    """All holds of the pod from now on; None: they are left as they are."""
    reason: str
    why: str
    """For people."""


def desired_update(pod: Pod, rule: GateRule) -> GateUpdate | None:
    """None: nothing to do, or not ours (no such gate in its spec, terminating, finished)."""
    if not pod.spec.has_gate(rule.condition) or pod.is_terminating or pod.is_terminal:
        return None
    opens, reason, why = _wanted(pod, rule)
    before = read_holds(pod)
    holds = _with_ours(before, rule, None if opens else why)
    holders = sorted(holds_for_gate(holds, rule.condition))
    is_recorded = pod.metadata.annotation(RECORD_ANNOTATION) is not None
    status = _right_status(pod, rule.condition, is_held=bool(holders), is_recorded=is_recorded)
    if status is None and holds == before:
        return None
    if opens and status is not True:
        by = [*holders, *(["an upgrade"] if is_recorded else [])]
        reason, why = "Held", f"{why}, but held by {', '.join(by)}" if by else why
    meta = pod.metadata
    ref = PodRef(meta.namespace, meta.name, meta.uid, meta.resource_version)
    return GateUpdate(ref, rule.condition, status, None if holds == before else holds, reason, why)


def _wanted(pod: Pod, rule: GateRule) -> tuple[bool, str, str]:
    """What the label asks for, the condition's reason, and why in words."""
    match pod.metadata.label(rule.label):
        case "true":
            return True, "LabelTrue", f"label {rule.label} is true"
        case "false":
            return False, "LabelFalse", f"label {rule.label} is false"
        case None:
            return rule.default == "open", "LabelAbsent", f"label {rule.label} is absent: {rule.default} by default"
        case other:
            why = f"label {rule.label} is {other!r}, neither true nor false: {rule.default} by default"
            return rule.default == "open", "LabelUnknown", why


def _right_status(pod: Pod, gate: str, *, is_held: bool, is_recorded: bool) -> bool | None:
    """None where the condition is right, and the only one of its type. An open gate under a record is left to the upgrade: the
    record may be for another gate of the pod, and where it is for this one, the upgrade closes it."""
    condition = pod.condition(gate)
    have = condition.status if condition is not None else ""
    if is_recorded and not is_held and have == "True":
        return None
    right = not is_held and not is_recorded
    return None if have == str(right) and not pod.has_duplicate_condition(gate) else right


def _with_ours(before: dict[str, str], rule: GateRule, reason: str | None) -> dict[str, str]:
    """With or without our hold. Holds that cannot be read are never written over, and an older reason of ours is kept."""
    if "unreadable" in before:
        return before
    others = {name: text for name, text in before.items() if name != rule.hold}
    return others if reason is None else {**others, rule.hold: before.get(rule.hold, reason)}
