"""Custom resources against the structural schema of their definition: what is dropped, filled in and refused.

Texts as a real 1.36 gives them. Of the rules in CEL only those that hold a field fixed are understood, in the two ways that
they are usually written: `self == oldSelf`, and the same for a field that may be absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from inplace.sim.objects.errors import Json

Cause = tuple[str, str, str]
_FIXED_FIELD = re.compile(r"has\(self\.(\w+)\) == has\(oldSelf\.\1\) && \(!has\(self\.\1\) \|\| self\.\1 == oldSelf\.\1\)")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_ABSENT: Any = object()


def completed(schema: Json, obj: Json) -> Json:
    """The object without the fields that its schema does not know, and with the defaults of those that it lacks."""
    kept = {field: obj[field] for field in ("apiVersion", "kind", "metadata") if field in obj}
    return {**kept, **{field: v for field, v in _completed(schema, obj).items() if field not in kept}}


def _completed(schema: Json, value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(schema.get("items") or {}, item) for item in value]
    if not isinstance(value, dict):
        return value
    known: Json = schema.get("properties") or {}
    if schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema:
        return value
    made = {field: value[field] for field in value if field in known and not _is_defaulted_null(known[field], value[field])}
    for field, child in known.items():
        if field not in made and "default" in child:
            made[field] = child["default"]
    return {field: _completed(known[field], inner) for field, inner in made.items()}


def _is_defaulted_null(schema: Json, value: Any) -> bool:
    return value is None and "default" in schema


def causes(schema: Json, new: Json, old: Json | None) -> list[Cause]:
    """Why the object is not stored. The rules are asked only of an object that fits, as in the real one."""
    found = [cause for field, child in _parts(schema) for cause in _misfits(child, new.get(field, _ABSENT), field)]
    found += [(field, *_REQUIRED) for field in schema.get("required") or () if field not in new]
    if found or old is None:
        return found
    return [cause for field, child in _parts(schema) for cause in _broken(child, new.get(field), old.get(field), field)]


_REQUIRED = ("FieldValueRequired", "Required value")


def _parts(schema: Json) -> Iterator[tuple[str, Json]]:
    for field, child in (schema.get("properties") or {}).items():
        if field not in ("apiVersion", "kind", "metadata"):
            yield field, child


def _misfits(schema: Json, value: Any, path: str) -> Iterator[Cause]:
    if value is _ABSENT or (value is None and schema.get("nullable")):
        return
    is_either = schema.get("x-kubernetes-int-or-string")
    wanted = (int, str) if is_either else _TYPES.get(schema.get("type", ""), (object,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted and object not in wanted):
        name = "integer,string" if is_either else schema["type"]
        got = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}.get(type(value))
        shown = f'"{got}"' if got else "null"
        yield path, "FieldValueTypeInvalid", f"Invalid value: {shown}: {path} in body must be of type {name}: {shown}"
        return
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(json.dumps(each) for each in schema["enum"])
        yield path, "FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {supported}"
    match value:
        case str():
            yield from _text(schema, value, path)
        case bool():
            pass
        case int() | float():
            yield from _number(schema, value, path)
        case list():
            yield from _list(schema, value, path)
        case dict():
            for field in schema.get("required") or ():
                if field not in value:
                    yield f"{path}.{field}", *_REQUIRED
            for field, child in (schema.get("properties") or {}).items():
                yield from _misfits(child, value.get(field, _ABSENT), f"{path}.{field}")


def _text(schema: Json, value: str, path: str) -> Iterator[Cause]:
    """Only the first thing that is wrong."""
    least, pattern = schema.get("minLength", 0), schema.get("pattern")
    if len(value) > schema.get("maxLength", len(value)):
        yield path, "FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes"
    elif len(value) < least:
        yield _said(path, value, f"should be at least {least} chars long")
    elif pattern and not re.search(pattern, value):
        yield _said(path, value, f"should match '{pattern}'")


def _number(schema: Json, value: float, path: str) -> Iterator[Cause]:
    if value < schema.get("minimum", value):
        yield _said(path, value, f"should be greater than or equal to {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield _said(path, value, f"should be less than or equal to {schema['maximum']}")


def _list(schema: Json, value: list[Any], path: str) -> Iterator[Cause]:
    most, least = schema.get("maxItems", len(value)), schema.get("minItems", 0)
    if len(value) > most:
        yield path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items"
    if len(value) < least:
        yield _said(path, len(value), f"should have at least {least} items")
    for at, item in enumerate(value):
        yield from _misfits(schema.get("items") or {}, item, f"{path}[{at}]")
    names = [_name_of(schema, item) for item in value]
    for at, name in enumerate(names):
        if name is not None and name in names[:at]:
            yield f"{path}[{at}]", "FieldValueDuplicate", f"Duplicate value: {json.dumps(name, separators=(',', ':'))}"


def _name_of(schema: Json, item: Any) -> Any:
    """What may stand once in a list that is a set or a map; None in others."""
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return item
        case "map" if isinstance(item, dict):
            return {key: item.get(key) for key in schema["x-kubernetes-list-map-keys"]}
    return None


def _said(path: str, value: Any, text: str) -> Cause:
    return path, "FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {path} in body {text}"


def _broken(schema: Json, new: Any, old: Any, path: str) -> Iterator[Cause]:
    """Fixed fields that have changed. Items of lists are not compared, since it is not known which was which."""
    if new is None or old is None:
        return
    for rule in schema.get("x-kubernetes-validations") or ():
        fixed = _FIXED_FIELD.fullmatch(rule["rule"])
        if fixed and isinstance(new, dict) and isinstance(old, dict):
            changed = new.get(fixed[1], _ABSENT) != old.get(fixed[1], _ABSENT)
        else:
            changed = rule["rule"] == "self == oldSelf" and new != old
        if changed:
            reason = rule.get("reason", "FieldValueInvalid")
            head = "Forbidden" if reason == "FieldValueForbidden" else f"Invalid value: {json.dumps(new)}"
            yield f"{path}{rule.get('fieldPath', '')}", reason, f"{head}: {rule['message']}"
    if isinstance(new, dict) and isinstance(old, dict):
        for field, child in (schema.get("properties") or {}).items():
            yield from _broken(child, new.get(field), old.get(field), f"{path}.{field}")
