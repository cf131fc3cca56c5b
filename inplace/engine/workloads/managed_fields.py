"""Returns the ownership of changed fields under server-side apply (`metadata.managedFields`): pure functions over plain JSON.

A PATCH of a template image or of an update strategy makes our field manager the owner, and the user's next `kubectl apply
--server-side` (or Helm 4, Flux, Argo CD) that changes the field fails with a conflict that names us. So the owners are stored,
and get their fields back after the commit. Measured: this makes no new generation, and the next apply has no conflict that it
would not have had anyway. That holds for owners by Update, too: after a client-side `kubectl apply` or a `kubectl create` the
first server-side apply of the same manager is clean, or names that manager (measured, 1.36.3); with our entry there, us.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from inplace.model.run import FieldOwner

TEMPLATE_PATH = ("f:spec", "f:template", "f:spec")
POD_PATH = ("f:spec",)
STRATEGY = "f:updateStrategy"
_GROUPS = ("f:containers", "f:initContainers")

ManagedFieldsEntry = Mapping[str, Any]


def image_owners(
    managed: Iterable[ManagedFieldsEntry], containers: Iterable[str], path: Sequence[str], ours: str
) -> tuple[FieldOwner, ...]:
    """The managers, other than `ours`, that own the image of any of these containers, or the update strategy."""
    wanted = sorted(containers)
    owners = []
    for entry in managed:
        if entry.get("manager") == ours:
            continue
        owned = tuple(name for name in wanted if _owns(entry, name, path))
        strategy = _at(entry.get("fieldsV1") or {}, ("f:spec", STRATEGY))
        if owned or strategy:
            owners.append(
                FieldOwner(
                    manager=entry.get("manager", ""),
                    operation=entry.get("operation", ""),
                    api_version=entry.get("apiVersion", ""),
                    subresource=entry.get("subresource", ""),
                    containers=owned,
                    strategy=_copy(strategy),
                )
            )
    return tuple(owners)


def return_ownership(
    managed: Sequence[ManagedFieldsEntry], owners: Iterable[FieldOwner], path: Sequence[str], ours: str
) -> list[dict[str, Any]]:
    """The managedFields in which `ours` owns none of these fields and the owners have them back, except those that others have
    written since."""
    result = [_copy(entry) for entry in managed]
    for owner in _still_ours(result, owners, path, ours):
        entry = next((e for e in result if _is(e, owner)), None)
        if entry is None:
            entry = {
                "manager": owner.manager,
                "operation": owner.operation,
                "apiVersion": owner.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": {},
                **({"subresource": owner.subresource} if owner.subresource else {}),
            }
            result.append(entry)
        for name in owner.containers:
            _add(entry, name, path)
        if owner.strategy:
            entry["fieldsV1"].setdefault("f:spec", {})[STRATEGY] = _copy(owner.strategy)
    for mine in result:
        if mine.get("manager") == ours:
            _disown(mine, path)
    return [entry for entry in result if entry.get("manager") != ours or entry.get("fieldsV1")]


def _still_ours(
    managed: Sequence[ManagedFieldsEntry], owners: Iterable[FieldOwner], path: Sequence[str], ours: str
) -> list[FieldOwner]:
    """The owners with only those fields that `ours` owns now."""
    mine, has_strategy = [entry for entry in managed if entry.get("manager") == ours], owns_strategy(managed, ours)
    found = []
    for owner in owners:
        containers = tuple(name for name in owner.containers if any(_owns(entry, name, path) for entry in mine))
        strategy = owner.strategy if has_strategy else {}
        if containers or strategy:
            found.append(msgspec.structs.replace(owner, containers=containers, strategy=strategy))
    return found


def owns_strategy(managed: Iterable[ManagedFieldsEntry], ours: str) -> bool:
    """Whether `ours` wrote the update strategy as it is."""
    return any(e.get("manager") == ours and _at(e.get("fieldsV1") or {}, ("f:spec", STRATEGY)) for e in managed)


def last_writer(managed: Iterable[ManagedFieldsEntry], ours: str) -> str:
    """The manager, other than `ours`, that last wrote the spec itself (scaling is another subresource): `field manager
    kubectl-edit, 20:41:07Z`. Empty: unknown."""
    writers = [
        (str(entry.get("time") or ""), str(entry.get("manager") or "unknown"))
        for entry in managed
        if entry.get("manager") != ours and not entry.get("subresource") and "f:spec" in (entry.get("fieldsV1") or {})
    ]
    if not writers:
        return ""
    time, manager = max(writers)
    return ", ".join(filter(None, (f"field manager {manager}", time.partition("T")[2])))


def _is(entry: ManagedFieldsEntry, owner: FieldOwner) -> bool:
    return (entry.get("manager"), entry.get("operation"), entry.get("apiVersion"), entry.get("subresource", "")) == (
        owner.manager,
        owner.operation,
        owner.api_version,
        owner.subresource,
    )


def _key(name: str) -> str:
    return f'k:{{"name":"{name}"}}'


def _owns(entry: ManagedFieldsEntry, name: str, path: Sequence[str]) -> bool:
    spec = _at(entry.get("fieldsV1") or {}, path)
    return any("f:image" in ((spec.get(group) or {}).get(_key(name)) or {}) for group in _GROUPS)


def _at(fields: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    for step in path:
        fields = fields.get(step) or {}
    return fields


def _add(entry: dict[str, Any], name: str, path: Sequence[str]) -> None:
    spec = entry["fieldsV1"]
    for step in path:
        spec = spec.setdefault(step, {})
    group = next((g for g in _GROUPS if _key(name) in (spec.get(g) or {})), _GROUPS[0])
    spec.setdefault(group, {}).setdefault(_key(name), {})["f:image"] = {}


def _disown(entry: dict[str, Any], path: Sequence[str]) -> None:
    """Drops images and the strategy, also those that nobody owned before: the API server's own defaults under an Apply."""
    _prune(entry, ["f:spec", STRATEGY])
    for group in _GROUPS:
        for key in list(_at(entry.get("fieldsV1") or {}, (*path, group))):
            _prune(entry, [*path, group, key, "f:image"])


def _prune(entry: dict[str, Any], steps: Sequence[str]) -> None:
    """Removes the field, and every parent that is empty without it."""
    trail = [entry.get("fieldsV1") or {}]
    for step in steps[:-1]:
        trail.append(trail[-1].get(step) or {})
    trail[-1].pop(steps[-1], None)
    for parent, step in zip(reversed(trail[:-1]), reversed(steps[:-1]), strict=True):
        if step in parent and (not parent[step] or set(parent[step]) == {"."}):
            del parent[step]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value
