"""A structural schema and a msgspec struct, each as the same plain description, to be compared with `==`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

Json = dict[str, Any]


def fields(schema: Json) -> Json:
    """Of an object's schema: field to its type, default, and whether it must be there."""
    required = schema.get("required", ())
    return {
        name: {"type": _schema_type(child), "default": child.get("default"), "required": name in required}
        for name, child in schema["properties"].items()
    }


def _schema_type(schema: Json) -> Any:
    if schema.get("x-kubernetes-int-or-string"):
        return "int or string"
    match schema["type"]:
        case "object":
            return fields(schema)
        case "array":
            return [_schema_type(schema["items"])]
        case "string" if "enum" in schema:
            return set(schema["enum"])
        case plain:
            return plain


def shown(struct: type) -> Json:
    """The same of a struct. Defaults that mean absence (None, an empty text or list) are none on the wire."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return _fields(info)


def _fields(info: inspect.StructType) -> Json:
    return {
        field.encode_name: {"type": _type(field.type), "default": _default(info, field), "required": field.required}
        for field in info.fields
    }


def _default(info: inspect.StructType, field: inspect.Field) -> Any:
    value = field.default
    if info.cls.__name__ in STATUS_STRUCTS or value in (None, "", (), msgspec.NODEFAULT):
        return None
    return {} if isinstance(value, msgspec.Struct) else value


STATUS_STRUCTS = ("RolloutStatus", "InFlight", "FailedPod", "StepTimes", "Condition")
"""A status is written whole: nothing fills it in."""


def _type(info: inspect.Type) -> Any:
    match info:
        case inspect.StructType():
            return _fields(info)
        case inspect.VarTupleType(item_type=item):
            return [_type(item)]
        case inspect.LiteralType(values=values):
            return set(values)
        case inspect.UnionType(types=types):
            (real, *others) = [t for t in types if not isinstance(t, inspect.NoneType)]
            return "int or string" if others else _type(real)
        case inspect.StrType():
            return "string"
        case inspect.BoolType():
            return "boolean"
        case inspect.IntType():
            return "integer"
        case _:
            raise AssertionError(info)
