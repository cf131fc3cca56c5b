"""Who opens the gates of new pods: somebody living, whose rule is about them; and what cannot be read is unknown."""

from __future__ import annotations

import json

import pytest

from inplace.engine.gate_openers import (
    Announcement,
    GateOpener,
    GateOpeners,
    GateOpening,
    HeldClosedBy,
    NoOpener,
    OpenedBy,
    UnknownOpener,
    decode_announcement,
    encode_announcement,
    find_gate_opener,
    waits_for_gate,
)
from inplace.engine.gate_rules import GateRule
from tests.builders import GATE, never_opened, pod

RULE = GateRule(GATE, "serve")
LABELS = {"app": "web"}


def opener(
    *rules: GateRule, alive: bool = True, age: float | None = 2.0, namespaces: str = "", selector: str = ""
) -> GateOpener:
    says = Announcement(rules or (RULE,), tuple(namespaces.split()), selector)
    return GateOpener("somebody", says, age, is_alive=alive)


def who(*found: GateOpener, unread: str = "", **labels: str) -> GateOpening:
    return find_gate_opener(GateOpeners(found, unread), GATE, "shop", {**LABELS, **labels})


@pytest.mark.parametrize(
    "one",
    [
        opener(),
        opener(namespaces="stock shop"),
        opener(selector="app=web"),
        opener(GateRule("other", "serve"), RULE),
    ],
)
def test_a_living_one_with_a_rule_for_these_pods_opens(one: GateOpener) -> None:
    assert who(one) == OpenedBy("somebody")


@pytest.mark.parametrize(
    "one",
    [
        opener(namespaces="stock"),
        opener(selector="app=db"),
        opener(GateRule("other", "serve")),
        GateOpener("one without rules", Announcement(), 2.0, is_alive=True),
    ],
)
def test_an_opener_of_other_pods_or_gates_does_not_count(one: GateOpener) -> None:
    assert who(one) == NoOpener()


def test_a_dead_one_is_named() -> None:
    assert who(opener(alive=False, age=42.0)) == NoOpener("somebody seems dead: it renewed its Lease 42s ago")
    assert who(opener(alive=False, age=None)) == NoOpener("somebody has stopped")
    assert who(opener(alive=False), opener()) == OpenedBy("somebody")


def test_what_could_not_be_read_is_unknown_and_never_absent() -> None:
    assert who(unread="you may not list Leases") == UnknownOpener("you may not list Leases")
    assert who(opener(alive=False), unread="no") == UnknownOpener("no")
    assert who(opener(), unread="no") == OpenedBy("somebody")


def test_an_older_one_that_lives_may_open_it() -> None:
    silent = GateOpener("an old one", None, 2.0, is_alive=True)
    assert who(silent) == UnknownOpener("an old one lives, and does not say which gates it opens")
    assert who(GateOpener("an old one", None, 90.0, is_alive=False)) == NoOpener()


def test_a_rule_may_keep_new_pods_closed() -> None:
    assert who(opener(), serve="false") == HeldClosedBy("somebody", "their template has label serve=false")
    closed = opener(GateRule(GATE, "serve", "closed"))
    assert who(closed) == HeldClosedBy("somebody", "they have no label serve=true")
    assert who(closed, serve="true") == OpenedBy("somebody")


def test_what_is_announced_is_understood() -> None:
    said = Announcement((RULE, GateRule("other", "example", "closed")), ("shop",), "app in (web, db)")
    assert decode_announcement(encode_announcement(said)) == said


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"rules":[{"condition":1}]}',
        '{"selector":"a=b=c"}',
        '{"namespaces":[' * 3000,
        json.dumps({"selector": "a=" + "b" * 70_000}),
    ],
)
def test_a_lease_is_input(text: str | None) -> None:
    assert decode_announcement(text) is None


def test_a_waiting_pod_could_serve_but_was_never_opened() -> None:
    assert waits_for_gate(never_opened(), GATE)
    assert not waits_for_gate(pod(gate="True"), GATE)
    assert not waits_for_gate(pod(gate="False", ready=False), GATE)
    assert not waits_for_gate(pod(gates=(), gate=None), GATE)
    assert not waits_for_gate(never_opened(containers_ready=False), GATE)
