"""Decides for a gate that follows a label what a pod's condition and holds should be, and the single write for that.

Invariant: a gate is opened only when nothing holds it, neither an upgrade (its record, readable or not) nor any hold. The
rule's own hold comes and goes with the label even while another hold is present, so the process that removes the last hold
opens the gate. A pod that is already right is not written, so any number of controllers with the same rule agree.

A hold whose name ends in `@GATE`, as the rule's own does, concerns only that gate, so that rules for two gates of one pod do
not mistake each other's hold for their own. A hold without that suffix keeps every gate of the pod closed.
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
    """Returns a valid resync period. Raises ValueError with one line for a user."""
    if seconds < 1:
        raise ValueError("changes are seen at once anyway: resync at most every second")
    return seconds


class GateRule(msgspec.Struct, frozen=True):
    """Opens a gate if the label is `true` and closes it if `false`; `default` applies if it is absent or anything else."""

    condition: str
    label: str
    default: Default = "open"

    @property
    def hold(self) -> str:
        """Name of the rule's hold: by gate and not by label, so that a controller started with another label takes it over."""
        return f"label@{self.condition}"


class GateUpdate(msgspec.Struct, frozen=True):
    """A status write. Preconditions: uid and resourceVersion, since the holds are read, changed and written back."""

    pod: PodRef
    gate: str
    status: bool | None
    """The condition's new status; None leaves it unchanged."""
    holds: dict[str, str] | None
    """All holds of the pod from now on; None leaves them unchanged."""
    reason: str
    why: str
    """The reason as text, for users."""


def desired_update(pod: Pod, rule: GateRule) -> GateUpdate | None:
    """Returns the write that is due; None if there is none or the rule does not apply: the pod has no such gate, or it is
    terminating or terminal."""
    if not pod.spec.has_gate(rule.condition) or pod.is_terminating or pod.is_terminal:
        return None
    opens, reason, why = _label_decision(pod, rule)
    before = read_holds(pod)
    holds = _with_own_hold(before, rule, None if opens else why)
    holders = sorted(holds_for_gate(holds, rule.condition))
    is_recorded = pod.metadata.annotation(RECORD_ANNOTATION) is not None
    status = _status_to_write(pod, rule.condition, is_held=bool(holders), is_recorded=is_recorded)
    if status is None and holds == before:
        return None
    if opens and status is not True:
        by = [*holders, *(["an upgrade"] if is_recorded else [])]
        reason, why = "Held", f"{why}, but held by {', '.join(by)}" if by else why
    meta = pod.metadata
    ref = PodRef(meta.namespace, meta.name, meta.uid, meta.resource_version)
    return GateUpdate(ref, rule.condition, status, None if holds == before else holds, reason, why)


def _label_decision(pod: Pod, rule: GateRule) -> tuple[bool, str, str]:
    """Returns whether the label opens the gate, the condition's reason, and an explanation."""
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


def _status_to_write(pod: Pod, gate: str, *, is_held: bool, is_recorded: bool) -> bool | None:
    """Returns the status to write; None if the condition is right and the only one of its type. An open gate on a pod with a
    record is left to the upgrade: the record may be for another gate, and if it is for this one, the upgrade closes it."""
    condition = pod.condition(gate)
    have = condition.status if condition is not None else ""
    if is_recorded and not is_held and have == "True":
        return None
    right = not is_held and not is_recorded
    return None if have == str(right) and not pod.has_duplicate_condition(gate) else right


def _with_own_hold(before: dict[str, str], rule: GateRule, reason: str | None) -> dict[str, str]:
    """Returns the holds with or without the rule's own. Unreadable holds are never overwritten, and the rule's older reason is
    kept."""
    if "unreadable" in before:
        return before
    others = {name: text for name, text in before.items() if name != rule.hold}
    return others if reason is None else {**others, rule.hold: before.get(rule.hold, reason)}
