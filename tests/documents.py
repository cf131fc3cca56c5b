"""Whether what a command printed is the document that docs/json.md and docs/schemas describe."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from inplace.cli.schemas import DOCUMENTS


def document(text: str, name: str) -> dict[str, Any]:
    """What was printed. Every key is described, every value has the type that is described, and what is required is there."""
    found: dict[str, Any] = json.loads(text)
    read: Any = msgspec.json.decode(text, type=DOCUMENTS[name][0])
    assert _differences(found, json.loads(msgspec.json.encode(read)), name) == []
    return found


def _differences(found: Any, described: Any, path: str) -> list[str]:
    """Where something was printed that the schema does not have."""
    match found, described:
        case dict(), dict():
            lost = [f"{path}.{key}" for key in found.keys() - described.keys()]
            both = found.keys() & described.keys()
            return [*lost, *(line for key in both for line in _differences(found[key], described[key], f"{path}.{key}"))]
        case list(), list() if len(found) == len(described):
            pairs = enumerate(zip(found, described, strict=True))
            return [line for i, (one, other) in pairs for line in _differences(one, other, f"{path}[{i}]")]
        case _:
            return [] if found == described else [path]
