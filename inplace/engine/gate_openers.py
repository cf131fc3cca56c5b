"""Who opens the gates of new pods: a pod with a gate stays out of service until somebody does.

Whoever keeps gates to labels, a controller or `inplace gate run`, says in the Lease that it renews which gates those are, and
of which pods. Here it is judged whether somebody living does so for the pods of a target. Always holds: what could not be read
is unknown, never absent; and a Lease is input like any other, by which nothing is done: it is only told.
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
    """What an opener does. `namespaces` empty: in all of them. `selector` empty: of all pods."""

    rules: tuple[GateRule, ...] = ()
    namespaces: tuple[str, ...] = ()
    selector: str = ""
    v: int = 1


# Made here, on one thread: see `inplace.kube.codec`.
_DECODER = msgspec.json.Decoder(Announcement)


def encode_announcement(announcement: Announcement) -> str:
    return msgspec.json.encode(announcement).decode()


def decode_announcement(text: str | None) -> Announcement | None:
    """None: nothing is announced, or nothing that can be read."""
    if not text or len(text) > MAX_ANNOUNCEMENT_LENGTH:
        return None
    with suppress(*CANNOT_BE_READ):
        found = _DECODER.decode(text)
        if found.selector:
            check_selector(found.selector)
        return found
    return None


class GateOpener(msgspec.Struct, frozen=True):
    """Somebody who holds such a Lease. `says` None: which gates it opens is not known, as of an older version."""

    name: str
    announcement: Announcement | None
    renewed_seconds_ago: float | None
    is_alive: bool

    def __str__(self) -> str:
        return self.name


class GateOpeners(msgspec.Struct, frozen=True):
    """`unread`: where it could not be looked for more of them, and why; empty: they are all."""

    openers: tuple[GateOpener, ...] = ()
    incomplete_reason: str = ""


class OpenedBy(msgspec.Struct, frozen=True, tag=True):
    """`by` does, and lives."""

    by: str


class HeldClosedBy(msgspec.Struct, frozen=True, tag=True):
    """`by` lives and keeps the gate of every new pod closed, as its rule says."""

    by: str
    why: str


class NoOpener(msgspec.Struct, frozen=True, tag=True):
    """`dead`: who did, in words; empty: nobody is known to have."""

    dead: str = ""


class UnknownOpener(msgspec.Struct, frozen=True, tag=True):
    why: str


GateOpening = OpenedBy | HeldClosedBy | NoOpener | UnknownOpener


def find_gate_opener(openers: GateOpeners, gate: str, namespace: str, labels: Mapping[str, str]) -> GateOpening:
    """`labels`: those of new pods."""
    covering = [(one, rule) for one in openers.openers if (rule := _rule_for(one, gate, namespace, labels)) is not None]
    living = [(one, rule) for one, rule in covering if one.is_alive]
    for one, rule in living:
        if not _why_closed(rule, labels):
            return OpenedBy(one.name)
    if living:
        one, rule = living[0]
        return HeldClosedBy(one.name, _why_closed(rule, labels))
    silent = [one.name for one in openers.openers if one.is_alive and one.announcement is None]
    if silent:
        return UnknownOpener(f"{silent[0]} lives, and does not say which gates it opens")
    if openers.incomplete_reason:
        return UnknownOpener(openers.incomplete_reason)
    return NoOpener(", ".join(_dead(one) for one, _ in covering))


def _rule_for(one: GateOpener, gate: str, namespace: str, labels: Mapping[str, str]) -> GateRule | None:
    says = one.announcement
    if says is None or (says.namespaces and namespace not in says.namespaces):
        return None
    if says.selector and not parse_selector(says.selector).matches(labels):
        return None
    return next((rule for rule in says.rules if rule.condition == gate), None)


def _why_closed(rule: GateRule, labels: Mapping[str, str]) -> str:
    """Empty: it opens them."""
    match labels.get(rule.label):
        case "true":
            return ""
        case "false":
            return f"their template has label {rule.label}=false"
        case _:
            return "" if rule.default == "open" else f"they have no label {rule.label}=true"


def _dead(one: GateOpener) -> str:
    if one.renewed_seconds_ago is None:
        return f"{one.name} has stopped"
    return f"{one.name} seems dead: it renewed its Lease {one.renewed_seconds_ago:.0f}s ago"


def waits_for_gate(pod: Pod, gate: str) -> bool:
    """It could serve, but nobody has ever opened its gate."""
    if pod.is_terminating or pod.is_terminal or not pod.spec.has_gate(gate):
        return False
    return pod.condition(gate) is None and pod.condition_is_true("ContainersReady")


def pods_waiting_for_gate(pods: Iterable[Pod], gate: str) -> tuple[str, ...]:
    """The names of those pods."""
    return tuple(sorted(pod.name for pod in pods if waits_for_gate(pod, gate)))
