"""Finds out whether a living process opens the gates of new pods, since a pod with a gate stays out of service until then.

A process that syncs gates with labels, the controller or `inplace gate run`, announces in the Lease that it renews which gates
those are, and of which pods. Invariants: what could not be read is unknown, never absent; and since a Lease is untrusted input,
the result is only displayed and no action depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from inplace.engine.gate_rules import GateRule
from inplace.model.objects.meta import CANNOT_BE_READ, check_selector, parse_selector
from inplace.model.objects.pods import Pod

MAX_ANNOUNCEMENT_LENGTH = 64 * 1024


class Announcement(msgspec.Struct, frozen=True):
    """What a gate opener does: the rules it follows, in these namespaces (none means all), for these pods (empty means all)."""

    rules: tuple[GateRule, ...] = ()
    namespaces: tuple[str, ...] = ()
    selector: str = ""
    v: int = 1


# Created at import, on one thread: see `inplace.kube.codec`.
_DECODER = msgspec.json.Decoder(Announcement)


def encode_announcement(announcement: Announcement) -> str:
    return msgspec.json.encode(announcement).decode()


def decode_announcement(text: str | None) -> Announcement | None:
    """Returns the announcement; None if there is none or it cannot be read."""
    if not text or len(text) > MAX_ANNOUNCEMENT_LENGTH:
        return None
    with suppress(*CANNOT_BE_READ):
        announcement = _DECODER.decode(text)
        if announcement.selector:
            check_selector(announcement.selector)
        return announcement
    return None


class GateOpener(msgspec.Struct, frozen=True):
    """A process that holds such a Lease. Without an announcement, as of an older version, its gates are unknown."""

    name: str
    announcement: Announcement | None
    renewed_seconds_ago: float | None
    is_alive: bool

    def __str__(self) -> str:
        return self.name


class GateOpeners(msgspec.Struct, frozen=True):
    """The gate openers that were found. `incomplete_reason`: where others could not be looked for, and why; empty if
    complete."""

    openers: tuple[GateOpener, ...] = ()
    incomplete_reason: str = ""


class OpenedBy(msgspec.Struct, frozen=True, tag=True):
    """`by` is alive and opens the gate of new pods."""

    by: str


class HeldClosedBy(msgspec.Struct, frozen=True, tag=True):
    """`by` is alive and keeps the gate of every new pod closed, by its rule."""

    by: str
    why: str


class NoOpener(msgspec.Struct, frozen=True, tag=True):
    """No living process opens it. `dead`: the processes that did, as text; empty if none is known."""

    dead: str = ""


class UnknownOpener(msgspec.Struct, frozen=True, tag=True):
    why: str


GateOpening = OpenedBy | HeldClosedBy | NoOpener | UnknownOpener


def find_gate_opener(openers: GateOpeners, gate: str, namespace: str, labels: Mapping[str, str]) -> GateOpening:
    """Says what becomes of this gate on new pods with these labels."""
    candidates = [
        (opener, rule) for opener in openers.openers if (rule := _rule_for(opener, gate, namespace, labels)) is not None
    ]
    living = [(opener, rule) for opener, rule in candidates if opener.is_alive]
    for opener, rule in living:
        if not _why_closed(rule, labels):
            return OpenedBy(opener.name)
    if living:
        opener, rule = living[0]
        return HeldClosedBy(opener.name, _why_closed(rule, labels))
    silent = [opener.name for opener in openers.openers if opener.is_alive and opener.announcement is None]
    if silent:
        return UnknownOpener(f"{silent[0]} lives, and does not say which gates it opens")
    if openers.incomplete_reason:
        return UnknownOpener(openers.incomplete_reason)
    return NoOpener(", ".join(_format_dead(opener) for opener, _ in candidates))


def _rule_for(opener: GateOpener, gate: str, namespace: str, labels: Mapping[str, str]) -> GateRule | None:
    announcement = opener.announcement
    if announcement is None or (announcement.namespaces and namespace not in announcement.namespaces):
        return None
    if announcement.selector and not parse_selector(announcement.selector).matches(labels):
        return None
    return next((rule for rule in announcement.rules if rule.condition == gate), None)


def _why_closed(rule: GateRule, labels: Mapping[str, str]) -> str:
    """Says why the rule keeps the gate of such pods closed; empty if it opens it."""
    match labels.get(rule.label):
        case "true":
            return ""
        case "false":
            return f"their template has label {rule.label}=false"
        case _:
            return "" if rule.default == "open" else f"they have no label {rule.label}=true"


def _format_dead(opener: GateOpener) -> str:
    if opener.renewed_seconds_ago is None:
        return f"{opener.name} has stopped"
    return f"{opener.name} seems dead: it renewed its Lease {opener.renewed_seconds_ago:.0f}s ago"


def waits_for_gate(pod: Pod, gate: str) -> bool:
    """Whether the pod could serve, but its gate was never opened."""
    if pod.is_terminating or pod.is_terminal or not pod.spec.has_gate(gate):
        return False
    return pod.condition(gate) is None and pod.condition_is_true("ContainersReady")


def pods_waiting_for_gate(pods: Iterable[Pod], gate: str) -> tuple[str, ...]:
    """Returns the names of pods that could serve, but whose gate was never opened."""
    return tuple(sorted(pod.name for pod in pods if waits_for_gate(pod, gate)))
