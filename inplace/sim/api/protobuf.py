"""Reads the few protobuf bodies that kubectl insists on sending: `create namespace|configmap|deployment`, `can-i`, `drain`.

Everything is answered in JSON, which every client accepts. A kind that is not in the table is refused with 415: send it with
`create -f` or `apply`, which use JSON.
"""

from __future__ import annotations

from typing import Any

from inplace.sim.objects.errors import Json, StatusError

MAGIC = b"k8s\x00"
Schema = dict[int, tuple[str, Any]]
"""Field number to name and how to read it: `str`, `int`, `map`, `[str]`, the schema of a message, or a list of one."""

META: Schema = {
    1: ("name", "str"),
    2: ("generateName", "str"),
    3: ("namespace", "str"),
    11: ("labels", "map"),
    12: ("annotations", "map"),
}
ATTRIBUTES: Schema = {
    at: (name, "str")
    for at, name in enumerate(("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1)
}
PRECONDITIONS: Schema = {1: ("uid", "str"), 2: ("resourceVersion", "str")}
DELETE_OPTIONS: Schema = {
    1: ("gracePeriodSeconds", "int"),
    2: ("preconditions", PRECONDITIONS),
    4: ("propagationPolicy", "str"),
    5: ("dryRun", "[str]"),
}
CONTAINER: Schema = {
    1: ("name", "str"),
    2: ("image", "str"),
    3: ("command", "[str]"),
    4: ("args", "[str]"),
    6: ("ports", [{1: ("name", "str"), 3: ("containerPort", "int"), 4: ("protocol", "str")}]),
}
TEMPLATE: Schema = {1: ("metadata", META), 2: ("spec", {2: ("containers", [CONTAINER])})}
SCHEMAS: dict[str, Schema] = {
    "Namespace": {1: ("metadata", META)},
    "ConfigMap": {1: ("metadata", META), 2: ("data", "map")},
    "Deployment": {
        1: ("metadata", META),
        2: ("spec", {1: ("replicas", "int"), 2: ("selector", {1: ("matchLabels", "map")}), 3: ("template", TEMPLATE)}),
    },
    "ServiceAccount": {1: ("metadata", META)},
    "SelfSubjectAccessReview": {1: ("metadata", META), 2: ("spec", {1: ("resourceAttributes", ATTRIBUTES)})},
    "SelfSubjectReview": {1: ("metadata", META)},
    "Eviction": {1: ("metadata", META), 2: ("deleteOptions", DELETE_OPTIONS)},
    "DeleteOptions": DELETE_OPTIONS,
}
_ENVELOPE: Schema = {1: ("type", {1: ("apiVersion", "str"), 2: ("kind", "str")}), 2: ("raw", "bytes")}


def is_protobuf(body: bytes) -> bool:
    return body.startswith(MAGIC)


def from_protobuf(body: bytes) -> Json:
    """Raises `Refusal`."""
    envelope = _message(body[len(MAGIC) :], _ENVELOPE)
    named: Json = envelope.get("type", {})
    schema = SCHEMAS.get(named.get("kind", ""))
    if schema is None:
        text = f"the embedded cluster reads no protobuf for {named.get('kind', '')}: send JSON (kubectl apply or create -f)"
        raise StatusError(415, "UnsupportedMediaType", text)
    return {**named, **_message(envelope.get("raw", b""), schema)}


def _message(data: bytes, schema: Schema) -> Json:
    found: Json = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            at += 8 if wire == 1 else 4
            continue
        if number in schema:
            _store(found, *schema[number], value)
    return found


def _store(found: Json, name: str, how: Any, value: Any) -> None:
    match how:
        case "str":
            if value:
                found[name] = value.decode()
        case "int" | "bytes":
            found[name] = value
        case "[str]":
            found.setdefault(name, []).append(value.decode())
        case "map":
            pair = _message(value, {1: ("key", "str"), 2: ("value", "str")})
            found.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")
        case [schema]:
            found.setdefault(name, []).append(_message(value, schema))
        case _:
            found[name] = _message(value, how)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        result |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return result, at
