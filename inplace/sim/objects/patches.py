"""Applying patches to plain JSON: merge patch, strategic merge, JSON Patch.

Always holds: the original is never changed; what a patch does not touch is shared between the original and the result, so
that "nothing changed below here" is `is`.
"""

from __future__ import annotations

from typing import Any

from inplace.sim.objects.errors import Json, StatusError, bad_request
from inplace.sim.objects.schema import MERGE_KEYS, PRIMITIVE_SETS

DIRECTIVE, ORDER, DELETE_VALUES, RETAIN = "$patch", "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def merge_patch(original: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(original) if isinstance(original, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge(original: Json, patch: Json, field: str = "") -> Json:
    """`field` is the name under which this object is held. Raises `Refusal`."""
    match patch.get(DIRECTIVE):
        case "replace":
            return {key: value for key, value in patch.items() if key != DIRECTIVE}
        case "delete":
            return {}
    result = dict(original)
    if RETAIN in patch:
        kept = set(patch[RETAIN])
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$"):
            if key.startswith(DELETE_VALUES):
                _delete_values(result, key.removeprefix(DELETE_VALUES), value)
            elif key.startswith(ORDER) and key.removeprefix(ORDER) not in patch:
                _reorder(result, field, key.removeprefix(ORDER), value)
            continue
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = strategic_merge(before if isinstance(before, dict) else {}, value, key)
        elif isinstance(value, list) and (field, key) in MERGE_KEYS:
            before = result.get(key)
            order = patch.get(ORDER + key)
            result[key] = _merge_list(before if isinstance(before, list) else [], value, MERGE_KEYS[field, key], key, order)
        elif isinstance(value, list) and (field, key) in PRIMITIVE_SETS:
            result[key] = [*(result.get(key) or []), *(v for v in value if v not in (result.get(key) or []))]
        else:
            result[key] = value
    return result


def _merge_list(before: list[Json], patch: list[Json], key: str, field: str, order: list[Json] | None) -> list[Json]:
    if any(item.get(DIRECTIVE) == "replace" and key not in item for item in patch):
        return [item for item in patch if DIRECTIVE not in item]
    old: dict[Any, Json] = {}
    for item in before:
        old.setdefault(item.get(key), item)
    for item in patch:
        if key not in item:
            raise StatusError(500, "", f"map: {_go_map(item)} does not contain declared merge key: {key}")
    deleted = {item[key] for item in patch if item.get(DIRECTIVE) == "delete"}
    merged: dict[Any, Json] = {}
    for item in patch:
        if item.get(DIRECTIVE) != "delete":
            merged[item[key]] = strategic_merge({} if item[key] in deleted else old.get(item[key], {}), item, field)
    left = [item for item in before if item.get(key) not in deleted]
    rest = [item for item in left if item.get(key) not in merged]
    # Of several with one key the first alone is merged, and the others follow it (measured, 1.36.3).
    ours = [
        item
        for value, first in merged.items()
        for item in (first, *(i for i in left if i.get(key) == value and i is not old[value]))
    ]
    if order is not None:
        wanted = [item.get(key) for item in order]
        ours.sort(key=lambda item: wanted.index(item[key]) if item[key] in wanted else len(wanted))
        return _interleave(ours, rest, wanted + [k for k in old if k not in wanted], key)
    return _interleave(ours, rest, list(old), key)


def _interleave(ours: list[Json], rest: list[Json], order: list[Any], key: str) -> list[Json]:
    """Both keep their own order; items known to `order` keep that; a new item comes before what the server has left."""
    place = {value: at for at, value in enumerate(order)}
    result: list[Json] = []
    waiting = list(reversed(rest))
    for item in ours:
        at = place.get(item[key])
        while at is not None and waiting and place.get(waiting[-1].get(key), at) < at:
            result.append(waiting.pop())
        result.append(item)
    return result + waiting[::-1]


def _reorder(result: Json, field: str, key: str, order: list[Any]) -> None:
    """A list that is only put into order."""
    items, merge_key = result.get(key), MERGE_KEYS.get((field, key))
    if items and merge_key:
        wanted = [item.get(merge_key) for item in order]
        known = sorted((i for i in items if i.get(merge_key) in wanted), key=lambda i: wanted.index(i[merge_key]))
        result[key] = known + [i for i in items if i.get(merge_key) not in wanted]


def _delete_values(result: Json, key: str, values: list[Any]) -> None:
    if key in result:
        result[key] = [value for value in result[key] if value not in values]


def _go_map(item: Json) -> str:
    return "map[" + " ".join(f"{k}:{v}" for k, v in sorted(item.items())) + "]"


class PatchFailed(Exception):
    """A JSON Patch that cannot be applied: a failed `test`, or a path that is not there."""


def json_patch(original: Json, operations: Any) -> Json:
    """RFC 6902. Raises `PatchFailed`, or `Refusal` where it is no patch at all."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")
    result: Any = original
    for operation in operations:
        path = _pointer(operation.get("path", ""))
        match operation.get("op"):
            case "add":
                result = _edit(result, path, "add", operation.get("value"))
            case "replace":
                _look(result, path)
                result = _edit(result, path, "replace", operation.get("value"))
            case "remove":
                _look(result, path)
                result = _edit(result, path, "remove", None)
            case "test":
                if _look_or_none(result, path) != operation.get("value"):
                    raise PatchFailed(f"testing value {operation['path']} failed")
            case "move":
                source = _pointer(operation["from"])
                value = _look(result, source)
                result = _edit(_edit(result, source, "remove", None), path, "add", value)
            case "copy":
                result = _edit(result, path, "add", _look(result, _pointer(operation["from"])))
            case other:
                raise PatchFailed(f"unexpected kind: {other}")
    if not isinstance(result, dict):
        raise PatchFailed("the result is no object")
    return result


def _pointer(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise PatchFailed(f"bad pointer {path}")
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _look(value: Any, path: list[str]) -> Any:
    for step in path:
        if isinstance(value, list):
            value = value[_index(step, len(value) - 1)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            raise PatchFailed(f"missing path {'/'.join(path)}")
    return value


def _look_or_none(value: Any, path: list[str]) -> Any:
    """A missing last key tests equal to null, as in the library that the API server uses."""
    try:
        return _look(value, path)
    except PatchFailed:
        _look(value, path[:-1])
        return None


def _edit(value: Any, path: list[str], what: str, new: Any) -> Any:
    """A copy of `value` in which only the way to `path` is new."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        items = list(value)
        if rest:
            at = _index(step, len(items) - 1)
            items[at] = _edit(items[at], rest, what, new)
        elif what == "add":
            items.insert(len(items) if step == "-" else _index(step, len(items)), new)
        elif what == "replace":
            items[_index(step, len(items) - 1)] = new
        else:
            del items[_index(step, len(items) - 1)]
        return items
    if not isinstance(value, dict) or (rest and step not in value):
        raise PatchFailed(f"missing path {step}")
    fields = dict(value)
    if rest:
        fields[step] = _edit(fields[step], rest, what, new)
    elif what == "remove":
        fields.pop(step)
    else:
        fields[step] = new
    return fields


def _index(step: str, last: int) -> int:
    if not step.isdecimal() or int(step) > last:
        raise PatchFailed(f"bad index {step}")
    return int(step)
