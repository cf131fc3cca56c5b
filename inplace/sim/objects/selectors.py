"""Label and field selectors: parsed once, then asked of many objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from inplace.sim.objects.errors import Json, bad_request
from inplace.sim.objects.kinds import LEASES, PODS, Kind

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

_TOKEN = re.compile(r"\s*(\(|\)|,|!=|==|=|!|[^\s,()=!]+)")


def matches_all(_labels: Labels) -> bool:
    return True


@lru_cache(maxsize=512)
def label_test(text: str) -> Test:
    """The `labelSelector` query parameter. Raises `Refusal`."""
    if not text.strip():
        return matches_all
    tokens = [m.group(1) for m in _TOKEN.finditer(text)]
    tests: list[Test] = []
    while tokens:
        tests.append(_requirement(tokens))
        if tokens and tokens.pop(0) != ",":
            raise bad_request(f"unable to parse requirement: found '{text}'")
    return tests[0] if len(tests) == 1 else lambda labels: all(test(labels) for test in tests)


def _requirement(tokens: list[str]) -> Test:
    first = tokens.pop(0)
    if first == "!":
        key = _take(tokens, "identifier")
        return lambda labels: key not in labels
    if not tokens or tokens[0] == ",":
        return lambda labels: first in labels
    operator = tokens.pop(0)
    match operator:
        case "=" | "==":
            wanted = "" if not tokens or tokens[0] == "," else tokens.pop(0)
            return lambda labels: labels.get(first) == wanted
        case "!=":
            unwanted = "" if not tokens or tokens[0] == "," else tokens.pop(0)
            return lambda labels: labels.get(first) != unwanted
        case "in":
            values = _values(tokens)
            return lambda labels: labels.get(first) in values
        case "notin":
            values = _values(tokens)
            return lambda labels: first not in labels or labels[first] not in values
        case _:
            raise bad_request(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _values(tokens: list[str]) -> frozenset[str]:
    opening = _take(tokens, "(")
    if opening != "(":
        raise bad_request(f"unable to parse requirement: found '{opening}' expected: '('")
    values = []
    while (token := _take(tokens, ")")) != ")":
        if token != ",":
            values.append(token)
    return frozenset(values)


def _take(tokens: list[str], expected: str) -> str:
    if not tokens:
        raise bad_request(f"unable to parse requirement: found '' expected: '{expected}'")
    return tokens.pop(0)


def selector_test(selector: Json | None) -> Test:
    """A `LabelSelector` object: empty matches everything."""
    selector = selector or {}
    wanted = dict(selector.get("matchLabels") or {})
    tests = [_expression(e) for e in selector.get("matchExpressions") or ()]
    if not tests:
        if len(wanted) == 1:
            ((key, value),) = wanted.items()
            return lambda labels: labels.get(key) == value
        pairs = wanted.items()
        return lambda labels: pairs <= labels.items()
    return lambda labels: wanted.items() <= labels.items() and all(test(labels) for test in tests)


def _expression(expression: Json) -> Test:
    key, values = expression["key"], frozenset(expression.get("values") or ())
    match expression["operator"]:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: key not in labels or labels[key] not in values
        case "Exists":
            return lambda labels: key in labels
        case _:
            return lambda labels: key not in labels


def selector_text(selector: Json | None) -> str:
    """As `kubectl` and the scale subresource write it."""
    selector = selector or {}
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    for e in selector.get("matchExpressions") or ():
        values = ",".join(sorted(e.get("values") or ()))
        word = {"In": f"{e['key']} in ({values})", "NotIn": f"{e['key']} notin ({values})", "Exists": e["key"]}
        parts.append(word.get(e["operator"], f"!{e['key']}"))
    return ",".join(parts)


def field_test(kind: Kind, text: str) -> Callable[[Json], bool]:
    """The `fieldSelector` query parameter. Raises `Refusal`."""
    tests: list[Callable[[Json], bool]] = []
    for part in filter(None, text.split(",")):
        key, operator, value = re.split(r"(!=|==|=)", part, maxsplit=1) if "=" in part else (part, "", "")
        if key not in kind.fields or not operator:
            raise _unknown_field(kind, key)
        tests.append(_field(key.split("."), value, operator != "!="))
    return lambda obj: all(test(obj) for test in tests)


def _field(path: list[str], wanted: str, is_equal: bool) -> Callable[[Json], bool]:
    def test(obj: Json) -> bool:
        value: Any = obj
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return (text == wanted) == is_equal

    return test


def _unknown_field(kind: Kind, key: str) -> Exception:
    if kind is PODS or kind.group == "" or (kind is not LEASES and kind.group in ("events.k8s.io",)):
        return bad_request(f"field label not supported: {key}")
    known = ", ".join(f'"{name}"' for name in kind.fields)
    return bad_request(f'"{key}" is not a known field selector: only {known}')
