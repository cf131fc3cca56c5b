"""Who owns which field: `metadata.managedFields`, kept for every write that names its manager, and server-side apply.

Always holds: a field that an Update changed belongs to its manager alone; a field that an Apply asks for belongs to that
manager, alone only if it was forced. Field sets are trees as in `fieldsV1`; like objects they are never changed, only
replaced. Coarser than the real thing in one respect: `.` is kept for list items only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from inplace.sim.objects.errors import Json, StatusError
from inplace.sim.objects.schema import ATOMIC_MAPS, KEY_DEFAULTS, OWNER_KEYS, PRIMITIVE_SETS

Fields = dict[str, Any]
UNOWNED = frozenset(
    ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
     "deletionGracePeriodSeconds", "selfLink", "managedFields")
)  # fmt: skip
NOTHING: Any = object()


def updated(entries: list[Json], old: Json, new: Json, entry: Json) -> list[Json]:
    """The entries after an Update by the manager of `entry` (manager, operation, apiVersion, time, maybe subresource)."""
    changed, removed = changes(old, new)
    if not changed and not removed:
        return entries
    gone = union(changed, removed)
    result = []
    mine: Fields = {}
    for other in entries:
        if _same(other, entry):
            mine = subtract(other["fieldsV1"], removed)
            continue
        left = subtract(other["fieldsV1"], gone)
        if left:
            result.append(other if left is other["fieldsV1"] else {**other, "fieldsV1": left})
    mine = union(mine, changed)
    if mine:
        result.append({**entry, "fieldsType": "FieldsV1", "fieldsV1": mine})
    return result


def applied(entries: list[Json], live: Json, wanted: Json, entry: Json, force: bool) -> tuple[Json, list[Json]]:
    """The object and the entries after a server-side apply. Raises `Refusal` for conflicts."""
    asked = fields_of(wanted)
    clashes = [(e, path) for e in entries if not _same(e, entry) for path in _clashes(e["fieldsV1"], asked, live, wanted)]
    if clashes and not force:
        raise _apply_conflict(clashes)
    before: Fields = next((e["fieldsV1"] for e in entries if _same(e, entry)), {})
    dropped = subtract(before, asked)
    for other in entries:
        if not _same(other, entry):
            dropped = subtract(dropped, other["fieldsV1"])
    merged = _merge(_without(live, dropped), wanted, "")
    differs, _ = changes(live, merged)
    result = []
    for other in entries:
        left = other["fieldsV1"] if _same(other, entry) else subtract(other["fieldsV1"], differs)
        if left and not _same(other, entry):
            result.append(other if left is other["fieldsV1"] else {**other, "fieldsV1": left})
    same = next((e for e in entries if _same(e, entry) and e["fieldsV1"] == asked), None)
    result.insert(0, same or {**entry, "fieldsType": "FieldsV1", "fieldsV1": asked})
    return merged, result


def fields_of(obj: Json) -> Fields:
    """Every field of a whole object."""
    return changes({}, obj)[0]


def changes(old: Json, new: Json) -> tuple[Fields, Fields]:
    """The fields that are new or different, and those that are gone."""
    changed, removed = _diff(old, new, "")
    for fields in (changed, removed):
        for name in ("f:apiVersion", "f:kind"):
            fields.pop(name, None)
        meta = {key: value for key, value in fields.get("f:metadata", {}).items() if key[2:] not in UNOWNED}
        fields.pop("f:metadata", None)
        if meta:
            fields["f:metadata"] = meta
    return changed, removed


def union(a: Fields, b: Fields) -> Fields:
    if not a or not b:
        return a or b
    return {**a, **{key: union(a[key], value) if key in a else value for key, value in b.items()}}


def subtract(a: Fields, b: Fields) -> Fields:
    """`a` without the leaves of `b`; what becomes empty goes too. `a` itself where nothing goes."""
    if not b:
        return a
    result: Fields = {}
    is_same = True
    for key, value in a.items():
        if key not in b:
            result[key] = value
            continue
        left = subtract(value, b[key]) if value and b[key] else {}
        if left and set(left) != {"."}:
            result[key] = left
        is_same = is_same and left is value and bool(value)
    return a if is_same else result


def _same(a: Json, b: Json) -> bool:
    return all(a.get(key) == b.get(key) for key in ("manager", "operation", "apiVersion", "subresource"))


def _diff(old: Any, new: Any, field: str) -> tuple[Fields, Fields]:
    changed: Fields = {}
    removed: Fields = {}
    for key in {**old, **new}:
        a, b = old.get(key, NOTHING), new.get(key, NOTHING)
        if a is b:
            continue
        name = f"f:{key}"
        if b is NOTHING:
            removed[name] = _whole(a, field, key)
            continue
        more, less = _diff_value(a, b, field, key)
        if more is not None:
            changed[name] = more
        if less:
            removed[name] = less
    return changed, removed


def _diff_value(a: Any, b: Any, field: str, key: str) -> tuple[Fields | None, Fields]:
    """None: the value is the same."""
    if a == b:
        return None, {}
    if isinstance(b, dict) and b and (field, key) not in ATOMIC_MAPS:
        more, less = _diff(a if isinstance(a, dict) else {}, b, key)
        return more or None, less
    if isinstance(b, list) and ((field, key) in OWNER_KEYS or (field, key) in PRIMITIVE_SETS):
        before, after = _keyed(a if isinstance(a, list) else [], field, key), _keyed(b, field, key)
        more, less = {}, {}
        for name, item in after.items():
            old_item = before.get(name, NOTHING)
            if not isinstance(item, dict):
                if old_item is NOTHING:
                    more[name] = {}
                continue
            if item is old_item:
                continue
            inner, outer = _diff(old_item if isinstance(old_item, dict) else {}, item, key)
            if old_item is NOTHING:
                inner = {".": {}, **inner}
            if inner:
                more[name] = inner
            if outer:
                less[name] = outer
        for name, item in before.items():
            if name not in after:
                less[name] = {".": {}, **_diff(item, {}, key)[1]} if isinstance(item, dict) else {}
        return more or None, less
    return {}, {}


def _whole(value: Any, field: str, key: str) -> Fields:
    return _diff_value(NOTHING, value, field, key)[0] or {}


def _keyed(items: list[Any], field: str, key: str) -> dict[str, Any]:
    keys = OWNER_KEYS.get((field, key))
    if keys is None:
        return {f"v:{json.dumps(item)}": item for item in items}
    return {_item_name(item, keys): item for item in items}


def _item_name(item: Json, keys: tuple[str, ...]) -> str:
    return _key_name(tuple((k, item.get(k, KEY_DEFAULTS.get(k))) for k in keys))


@lru_cache(maxsize=4096)
def _key_name(pairs: tuple[tuple[str, Any], ...]) -> str:
    return "k:" + json.dumps({k: v for k, v in sorted(pairs) if v is not None}, separators=(",", ":"))


def _without(obj: Json, gone: Fields, field: str = "") -> Json:
    """The object without these fields."""
    result = dict(obj)
    for name, inner in gone.items():
        key = name[2:]
        if not name.startswith("f:") or key not in result:
            continue
        value = result[key]
        if not inner:
            del result[key]
        elif isinstance(value, dict):
            result[key] = _without(value, inner, key)
        elif isinstance(value, list):
            kept = []
            for item_name, item in _keyed(value, field, key).items():
                if item_name not in inner:
                    kept.append(item)
                elif "." not in inner[item_name] and isinstance(item, dict) and inner[item_name]:
                    kept.append(_without(item, inner[item_name], key))
            result[key] = kept
    return result


def _merge(live: Json, wanted: Json, field: str) -> Json:
    result = dict(live)
    for key, value in wanted.items():
        before = result.get(key)
        if isinstance(value, dict) and (field, key) not in ATOMIC_MAPS and isinstance(before, dict):
            result[key] = _merge(before, value, key)
        elif isinstance(value, list) and (field, key) in OWNER_KEYS and isinstance(before, list):
            have, want = _keyed(before, field, key), _keyed(value, field, key)
            made = {n: _merge(have[n], item, key) if n in have else item for n, item in want.items()}
            result[key] = [made.get(n, item) for n, item in have.items()] + [m for n, m in made.items() if n not in have]
        else:
            result[key] = value
    return result


def _clashes(theirs: Fields, asked: Fields, live: Any, wanted: Any, field: str = "", path: str = "") -> Iterator[str]:
    """Paths that both own, and that have other values."""
    for name, inner in asked.items():
        if name == "." or name not in theirs:
            continue
        key = name[2:]
        a, b = live.get(key, NOTHING), wanted.get(key, NOTHING)
        if not inner or not theirs[name]:
            if a is not NOTHING and a != b:
                yield f"{path}.{key}"
        elif isinstance(b, list):
            have, want = _keyed(a if isinstance(a, list) else [], field, key), _keyed(b, field, key)
            for item, deeper in inner.items():
                if item in theirs[name] and isinstance(have.get(item), dict):
                    where = f"{path}.{key}{_readable(item)}"
                    yield from _clashes(theirs[name][item], deeper, have[item], want[item], key, where)
        elif isinstance(a, dict) and isinstance(b, dict):
            yield from _clashes(theirs[name], inner, a, b, key, f"{path}.{key}")


def _readable(item: str) -> str:
    return "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(item[2:]).items()) + "]"


def _apply_conflict(clashes: list[tuple[Json, str]]) -> StatusError:
    causes = []
    for entry, path in clashes:
        via = f' with subresource "{entry["subresource"]}"' if entry.get("subresource") else ""
        message = f'conflict with "{entry["manager"]}"{via} using {entry["apiVersion"]}'
        causes.append({"reason": "FieldManagerConflict", "message": message, "field": path})
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = "".join(f"\n- {cause['message']}: {cause['field']}" for cause in causes)
        text = f"Apply failed with {len(causes)} conflicts:{lines}"
    return StatusError(409, "Conflict", text, {"causes": causes})
