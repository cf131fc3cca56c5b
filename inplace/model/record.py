"""What a pod carries while it is worked on: the record (the upgrade's hold) and the other holds on its gate.

The record is written no later than the act it describes and holds only what cannot be observed. The first from-images and
the first gate-before of a run win; container ids are written afresh by each image patch, at the resourceVersion it judged.
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
    """A container as it was in the pod version that the image patch judged."""

    container_id: str = msgspec.field(name="containerID", default="")
    image_id: str = msgspec.field(name="imageID", default="")
    image: str = ""
    """What the spec asked for."""
    restart_count: int | None = None
    """None in records of versions that did not write it."""


class Steady(ApiStruct, frozen=True, kw_only=True):
    """Since when the restarted containers have been ready, written where that has to last for long (minReadySeconds). It says
    something only of these containers, and only while the pod's ContainersReady is as it was then."""

    since: str
    turned_at: str = ""
    """ContainersReady's lastTransitionTime, as the kubelet tells it: compared, never reckoned with."""
    container_ids: dict[str, str] = msgspec.field(name="containerIDs", default={})


class UpgradeRecord(ApiStruct, frozen=True, kw_only=True):
    """Annotation `inplace.dev/upgrade`."""

    v: int = 1
    run: str
    lease: str
    gate: str = ""
    """The gate that was closed; empty in records of older versions."""
    gate_before: PreviousGateState = "True"
    """`False` only where somebody closed the gate without a hold of ours; it then stays closed after us."""
    from_images: dict[str, str]
    to_images: dict[str, str]
    since: str = ""
    before: dict[str, PreviousContainer] | None = None
    """Set by the image patch: the containers it changed."""
    patched_at: str = ""
    """When that was, by the clock of whoever sent it."""
    steady: Steady | None = None


class UnreadableRecord(ApiStruct, frozen=True):
    """An annotation that is not ours to read: refuse the pod, touch nothing."""

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
    """Hold name to its reason, from annotation `inplace.dev/holds`. What cannot be read holds: safe is closed."""
    text = pod.metadata.annotation(HOLDS_ANNOTATION)
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except CANNOT_BE_READ:
        return {"unreadable": f"annotation {HOLDS_ANNOTATION} cannot be read"}


def holds_for_gate(holds: Mapping[str, str], gate: str) -> dict[str, str]:
    """Those that hold this gate: a hold named `label@<condition>` is for that condition, one without `@` for every gate."""
    return {name: why for name, why in holds.items() if name.partition("@")[2] in ("", gate)}


def format_holds(holds: Mapping[str, str]) -> str:
    """Why, in words: a label's hold says that itself, another one by its name and its reason."""
    return ", ".join(_format_hold(name, why) for name, why in sorted(holds.items()))


def _format_hold(name: str, why: str) -> str:
    if not why:
        return f"hold {name}"
    return why if name.startswith("label@") else f"hold {name} ({why})"


def encode_holds(holds: dict[str, str]) -> str | None:
    """The annotation's value; None, which removes it, where nothing holds."""
    return msgspec.json.encode(holds, order="sorted").decode() if holds else None
