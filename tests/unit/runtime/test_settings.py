"""The controller's file: strict, and one line for whatever is wrong with it."""

from __future__ import annotations

import pytest

from inplace.engine.gate_rules import GateRule
from inplace.runtime.settings import DEFAULT_RULE, Settings, parse_rule, parse_settings

WHOLE = """
namespaces: [shop, web]
leaderElection: {namespace: system, name: mine}
workers: 8
listen: "127.0.0.1:9090"
gateRules:
- {condition: www.example.com/feature-1, label: example}
- {condition: inplace.dev/ready, label: inplace.dev/serve, default: closed}
resyncSeconds: 60
logLevel: debug
"""


def test_everything_that_can_be_said() -> None:
    settings = parse_settings(WHOLE)
    assert settings.namespaces == ("shop", "web")
    assert (settings.leader_election.namespace, settings.leader_election.name) == ("system", "mine")
    assert (settings.workers, settings.listen, settings.resync_seconds, settings.log_level) == (
        8,
        "127.0.0.1:9090",
        60,
        "debug",
    )
    assert settings.rules() == (
        GateRule("www.example.com/feature-1", "example"),
        GateRule("inplace.dev/ready", "inplace.dev/serve", "closed"),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_nothing_said_is_the_defaults_with_the_default_rule(text: str) -> None:
    assert parse_settings(text) == Settings()
    assert Settings().rules() == (DEFAULT_RULE,)


def test_no_rules_are_none() -> None:
    assert parse_settings("gateRules: []").rules() == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "not YAML (line 1)"),
        ("- a\n", "the settings are a map, such as `workers: 4`"),
        ("worker: 3", "object contains unknown field worker"),
        ("workers: many", "workers: expected int, got str"),
        ("workers: 0", "workers: 0 is not between 1 and 64"),
        ("leaderElection: {nam: x}", "leaderElection: object contains unknown field nam"),
        ("gateRules: [{condition: a}]", "gateRules[0]: object missing required field label"),
        ("gateRules: [{condition: a, label: b, default: maybe}]", "gateRules[0].default: invalid enum value 'maybe'"),
        ("gateRules: [{condition: Ready, label: b}]", "Ready belongs to Kubernetes itself"),
        ("gateRules: [{condition: a, label: b}, {condition: a, label: c}]", "two gate rules are about a"),
        ("logLevel: loud", "logLevel: invalid enum value 'loud'"),
        ("resyncSeconds: 0.1", "resyncSeconds: changes are seen at once anyway"),
        ("listen: '8080'", "'8080' is no address to listen on"),
        ("{allNamespaces: true, namespaces: [a]}", "namespaces and allNamespaces cannot be combined"),
        (b"\xff\xfe\xfd", "not YAML"),
    ],
)
def test_what_is_wrong_is_one_line(text: str | bytes, line: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_settings(text)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_rules_of_the_command_line() -> None:
    assert parse_rule("a.b/c=example").rule() == GateRule("a.b/c", "example", "open")
    assert parse_rule("c=x.y/z:closed").rule() == GateRule("c", "x.y/z", "closed")


@pytest.mark.parametrize("text", ["", "a", "=b", "a=", "a=b:maybe", "Ready=b", "a=b=c"])
def test_no_rules_of_the_command_line(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rule(text)
