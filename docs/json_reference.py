"""Writes docs/json.md and docs/schemas/ from the structs behind `-o json`: `make reference`."""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from inplace.cli.schemas import DOCUMENTS, schema_of

HERE = Path(__file__).parent
Json = dict[str, Any]
HEAD = """\
# JSON

What each command prints with `-o json` (and with `-o yaml`, if it has that): one document on stdout. Progress, warnings and
hints go to stderr. Errors are not JSON: they are one line on stderr, and an
[exit code](concepts.md#forward-back-and-out-of-the-way).

Existing keys stay, with their meaning, as long as `v` is 1. New keys may be added at any time: read what you know, ignore the
rest. A key with a default may be left out if it has that value. Instants are RFC 3339 in UTC, durations are seconds.

Generated from the program by `make reference`; a test checks the output of every command against it. The same as JSON Schema
(2020-12) is in [schemas](schemas)."""


def fields_of(struct: type) -> dict[str, str]:
    """Returns the docstring below each field, by its name on the wire."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(body, ast.ClassDef)
    names = {field.name: field.encode_name for field in msgspec.structs.fields(struct)}
    descriptions = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and isinstance(following, ast.Expr):
            assert isinstance(following.value, ast.Constant)
            descriptions[names[statement.target.id]] = " ".join(str(following.value.value).split())
    return descriptions


def structs_in(kind: Any, found: dict[str, type]) -> dict[str, type]:
    """Returns all structs that a document contains, by name."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in found:
        found[kind.__name__] = kind
        for hint in get_type_hints(kind).values():
            structs_in(hint, found)
    for part in get_args(kind):
        structs_in(part, found)
    return found


def described(name: str) -> Json:
    """Returns the schema, with a description of each field."""
    schema, structs = schema_of(name), structs_in(DOCUMENTS[name][0], {})
    for title, definition in schema["$defs"].items():
        for key, about in fields_of(structs[title]).items():
            field = definition["properties"][key]
            if "$ref" in field and len(field) == 1:
                definition["properties"][key] = {"allOf": [field], "description": about}
            else:
                field["description"] = about
    return schema


def reference() -> str:
    parts = [HEAD, "\n".join(_overview())]
    titles: set[str] = set()
    for name, (kind, commands) in DOCUMENTS.items():
        schema = described(name)
        printed_by = ", ".join(f"`inplace {command}`" for command in commands)
        parts.append(f"## {name}\n\nPrinted by {printed_by}: `{kind.__name__}`.")
        for title in schema["$defs"]:
            if title not in titles:
                titles.add(title)
                parts.append("\n".join(_table(title, schema["$defs"][title])))
    return "\n\n".join(parts) + "\n"


def _overview() -> Iterator[str]:
    yield "| schema | commands |"
    yield "|---|---|"
    for name, (_, commands) in DOCUMENTS.items():
        yield f"| [{name}](schemas/{name}.json) | {', '.join(f'`{command}`' for command in commands)} |"


def _table(title: str, definition: Json) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"{_one_line(definition.get('description', ''))}\n"
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for key, field in definition["properties"].items():
        default = "required" if key in definition.get("required", ()) else _default(field)
        yield f"| `{key}` | {_type(field)} | {default} | {_one_line(field.get('description', ''))} |"


def _default(field: Json) -> str:
    value = field.get("default")
    if isinstance(value, dict) and value:
        return "that of each key"
    return f"`{json.dumps(value)}`" if "default" in field else ""


def _type(field: Json) -> str:
    match field:
        case {"$ref": ref}:
            return str(ref).rpartition("/")[2]
        case {"allOf": [one]}:
            return _type(one)
        case {"anyOf": several}:
            return " or ".join(map(_type, several))
        case {"enum": values}:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": dict(of)}:
            return f"map of names to {_type(of)}"
        case {"type": list(names)}:
            return " or ".join(names)
        case {"type": name}:
            return str(name)
        case _:
            return "anything"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(directory: Path) -> None:
    (directory / "schemas").mkdir(exist_ok=True)
    (directory / "json.md").write_text(reference())
    for name in DOCUMENTS:
        (directory / "schemas" / f"{name}.json").write_text(json.dumps(described(name), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
