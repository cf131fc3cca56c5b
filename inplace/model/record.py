"""Defines what a pod carries during its upgrade: the record, which is the upgrade's hold on the gate, and the other holds.

The record is written no later than the action it describes, and stores only what cannot be observed. The first from-images and
the first gate-before of a run win. Each image patch writes the container ids anew, of the resourceVersion it was decided on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from inplace.model.constants import HOLDS_ANNOTATION, RECORD_ANNOTATION
from inplace.model.objects.meta import CANNOT_BE_READ, ApiStruct
from inplace.model.objects.pods import Pod

PreviousGateState = Literal["True", "False", "Missing", "Absent"]
"""`Absent`: the pod has no gate, and was restarted without a drain."""


class PreviousContainer(ApiStruct, frozen=True, kw_only=True):
    """A container as it was in the pod version that the image patch was decided on."""

    container_id: str = msgspec.field(name="containerID", default="")
    image_id: str = msgspec.field(name="imageID", default="")
    image: str = ""
    """The image in the pod's spec."""
    restart_count: int | None = None
    """None in records of older versions of inplace."""


class Steady(ApiStruct, frozen=True, kw_only=True):
    """Since when the restarted containers have been ready, stored so that a long minReadySeconds survives a takeover. Valid
    only for these containers, and only while the pod's ContainersReady condition has not changed since."""

    since: str
    turned_at: str = ""
    """ContainersReady's lastTransitionTime as the kubelet wrote it: only compared, never used for arithmetic."""
    container_ids: dict[str, str] = msgspec.field(name="containerIDs", default={})


class UpgradeRecord(ApiStruct, frozen=True, kw_only=True):
    """Annotation `inplace.dev/upgrade`."""

    v: int = 1
    run: str
    lease: str
    gate: str = ""
    """The gate that was closed; empty in records of older versions."""
    gate_before: PreviousGateState = "True"
    """`False` only if the gate had been closed without a hold of inplace; then it stays closed after the upgrade."""
    from_images: dict[str, str]
    to_images: dict[str, str]
    since: str = ""
    before: dict[str, PreviousContainer] | None = None
    """The containers that the image patch changed; None before it."""
    patched_at: str = ""
    """When the image was patched, by the clock of the process that sent the patch."""
    steady: Steady | None = None


class UnreadableRecord(ApiStruct, frozen=True):
    """An annotation that cannot be read: such a pod is refused and not touched."""

    problem: str


_DECODER = msgspec.json.Decoder(UpgradeRecord)


def read_record(pod: Pod) -> UpgradeRecord | UnreadableRecord | None:
    text = pod.metadata.annotation(RECORD_ANNOTATION)
    if text is None:
        return None
    try:
        record = _DECODER.decode(text)
    except CANNOT_BE_READ as error:
        return UnreadableRecord(problem=f"annotation {RECORD_ANNOTATION} cannot be read ({error})")
    if record.v != 1:
        return UnreadableRecord(problem=f"annotation {RECORD_ANNOTATION} has version {record.v}; this inplace knows version 1")
    return record


def encode_record(record: UpgradeRecord) -> str:
    return msgspec.json.encode(record).decode()


def read_holds(pod: Pod) -> dict[str, str]:
    """Returns hold names and their reasons from annotation `inplace.dev/holds`. An unreadable one counts as a hold, since a
    closed gate is the safe state."""
    text = pod.metadata.annotation(HOLDS_ANNOTATION)
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except CANNOT_BE_READ:
        return {"unreadable": f"annotation {HOLDS_ANNOTATION} cannot be read"}


def holds_for_gate(holds: Mapping[str, str], gate: str) -> dict[str, str]:
    """Filters the holds on this gate: a hold named `label@<condition>` is for that condition, one without `@` for every
    gate."""
    return {name: why for name, why in holds.items() if name.partition("@")[2] in ("", gate)}


def format_holds(holds: Mapping[str, str]) -> str:
    """Formats why the gate is held: a label's hold by its reason alone, any other by its name and reason."""
    return ", ".join(_format_hold(name, why) for name, why in sorted(holds.items()))


def _format_hold(name: str, why: str) -> str:
    if not why:
        return f"hold {name}"
    return why if name.startswith("label@") else f"hold {name} ({why})"


def encode_holds(holds: dict[str, str]) -> str | None:
    """Returns the annotation's value; None, which removes the annotation, if there are no holds."""
    return msgspec.json.encode(holds, order="sorted").decode() if holds else None
