"""The controller's settings: flags win over its file, the file over defaults.

The file is YAML, decoded strictly: an unknown or misspelt field, a wrong type or an invalid value is an error of one line that
names the field. The file is read once: a change takes effect with the next start.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import yaml

from inplace.engine.gate_rules import Default, GateRule, resync_period
from inplace.model.constants import DEFAULT_GATE, DEFAULT_LABEL
from inplace.model.validation import condition_type, qualified_name
from inplace.runtime.observability.health import listen_address

LogLevel = Literal["debug", "info", "warning", "error"]
DEFAULT_RULE = GateRule(DEFAULT_GATE, DEFAULT_LABEL)
LEASE_NAME = "inplace-controller"


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of the structs in the file."""


class GateRuleSettings(_File, frozen=True, kw_only=True):
    condition: str
    label: str
    default: Default = "open"

    def rule(self) -> GateRule:
        """Return the engine's rule. Raises ValueError with one line for a person."""
        return GateRule(condition_type(self.condition), qualified_name(self.label), self.default)


class LeaderElection(_File, frozen=True, kw_only=True):
    """`namespace` empty: the controller's own."""

    namespace: str = ""
    name: str = LEASE_NAME


class Settings(_File, frozen=True, kw_only=True):
    """`namespaces` None: as the flags say, else the namespace of the connection. `gate_rules` None: the default rule."""

    namespaces: tuple[str, ...] | None = None
    all_namespaces: bool = False
    leader_election: LeaderElection = LeaderElection()
    workers: int = 4
    listen: str = ":8080"
    gate_rules: tuple[GateRuleSettings, ...] | None = None
    resync_seconds: float = 30.0
    log_level: LogLevel = "info"

    def rules(self) -> tuple[GateRule, ...]:
        """Return the rules, at most one for each gate. Raises ValueError with one line for a person."""
        if self.gate_rules is None:
            return (DEFAULT_RULE,)
        return require_one_rule_per_gate(tuple(settings.rule() for settings in self.gate_rules))


def parse_settings(text: str | bytes) -> Settings:
    """Parse the file's content. Raises ValueError with one line for a person."""
    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"not YAML{f' (line {mark.line + 1})' if mark is not None else ''}") from None
    if not isinstance(loaded, dict | None):
        raise ValueError("the settings are a map, such as `workers: 4`")  # noqa: TRY004
    try:
        settings = msgspec.convert(loaded or {}, Settings)
    except msgspec.ValidationError as error:
        raise ValueError(_readable_error(str(error))) from None
    return validated(settings)


def validated(settings: Settings) -> Settings:
    """Return the settings. Raises ValueError with one line for a person."""
    if settings.all_namespaces and settings.namespaces:
        raise ValueError("namespaces and allNamespaces cannot be combined")
    if not 1 <= settings.workers <= 64:
        raise ValueError(f"workers: {settings.workers} is not between 1 and 64")
    try:
        resync_period(settings.resync_seconds)
    except ValueError as error:
        raise ValueError(f"resyncSeconds: {error}") from None
    if settings.listen:
        listen_address(settings.listen)
    settings.rules()
    return settings


def parse_rule(text: str) -> GateRuleSettings:
    """Parse `TYPE=LABEL` or `TYPE=LABEL:closed`, as on the command line. Raises ValueError with one line for a person."""
    condition, equals, rest = text.partition("=")
    label, colon, default = rest.partition(":")
    if not equals or (colon and default not in ("open", "closed")):
        raise ValueError(
            f"{text!r} is no rule: write it like www.example.com/feature-1=example or inplace.dev/ready=example:closed"
        )
    rule = GateRuleSettings(condition=condition, label=label, default="closed" if default == "closed" else "open")
    rule.rule()
    return rule


def require_one_rule_per_gate(rules: tuple[GateRule, ...]) -> tuple[GateRule, ...]:
    """Raises ValueError if two rules are about one gate."""
    conditions = [rule.condition for rule in rules]
    duplicate = next((name for name in conditions if conditions.count(name) > 1), None)
    if duplicate is not None:
        raise ValueError(f"two gate rules are about {duplicate}: a gate follows one label")
    return rules


def _readable_error(message: str) -> str:
    """Turn msgspec's `Expected `int`, got `str` - at `$.workers`` into `workers: expected int, got str`."""
    what, _, where = message.replace("`", "").partition(" - at ")
    field = where.removeprefix("$").removeprefix(".")
    problem = what[:1].lower() + what[1:] if what else "wrong"
    return f"{field}: {problem}" if field else problem
