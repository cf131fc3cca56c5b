"""ControllerRevisions: the templates that a StatefulSet or DaemonSet had, with numbers; the highest is the newest.

Always holds: one template has one revision, which gets the highest number when the workload returns to it; its data never
change, and `kubectl rollout undo` sends them as a strategic merge patch.
"""

from __future__ import annotations

from collections.abc import Iterable

from inplace.sim.api.registry import Registry
from inplace.sim.controllers.base import controller_of, owner_reference
from inplace.sim.controllers.workloads.rollout import template_hash
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import CONTROLLER_REVISIONS
from inplace.sim.objects.selectors import selector_test
from inplace.sim.objects.store import StoredObject


def data_of(template: Json) -> Json:
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(revision: StoredObject) -> Json:
    template: Json = revision.obj["data"]["spec"]["template"]
    return {key: value for key, value in template.items() if key != "$patch"}


def number_of(revision: StoredObject) -> int:
    return int(revision.obj["revision"])


class ControllerHistory:
    """`hash_label` is where a revision, and in a DaemonSet every pod, carries the hash."""

    def __init__(self, registry: Registry, hash_label: str) -> None:
        self._registry = registry
        self._hash_label = hash_label

    def of(self, owner: StoredObject) -> list[StoredObject]:
        """By number. One without an owner that matches the selector is adopted."""
        found = [item for item in self._registry.store.owned_by(owner.uid) if item.kind is CONTROLLER_REVISIONS]
        matches = selector_test(owner.obj["spec"]["selector"])
        for item in list(self._registry.store.all(CONTROLLER_REVISIONS, owner.namespace)):
            if controller_of(item.obj) is None and matches(item.meta.get("labels") or {}):
                adopted = self._registry.change(item, lambda obj: _adopted(obj, owner_reference(owner)))
                found += [adopted] if adopted else []
        return sorted(found, key=lambda item: (number_of(item), item.meta["creationTimestamp"], item.name))

    def current(self, owner: StoredObject, known: list[StoredObject]) -> tuple[StoredObject, int]:
        """The revision of the template as it is now, made or renumbered where needed; and how many names collided."""
        wanted = data_of(owner.obj["spec"]["template"])
        collisions = int((owner.obj.get("status") or {}).get("collisionCount", 0))
        same = [item for item in known if item.obj["data"] == wanted]
        if not same:
            return self._create(owner, wanted, _next(known), collisions)
        if same[-1] is known[-1]:
            return known[-1], collisions
        number = _next(known)
        return self._registry.change(same[-1], lambda obj: {**obj, "revision": number}) or same[-1], collisions

    def hash_of(self, revision: StoredObject) -> str:
        return str(revision.meta["labels"][self._hash_label])

    def truncate(self, owner: StoredObject, old: Iterable[StoredObject]) -> None:
        """Deletes the oldest of `old`, the unused revisions, beyond `revisionHistoryLimit`. `old` is oldest first."""
        dead, limit = list(old), int(owner.obj["spec"].get("revisionHistoryLimit", 10))
        for item in dead[: len(dead) - limit] if 0 <= limit < len(dead) else ():
            self._registry.delete(item, {})

    def _create(self, owner: StoredObject, data: Json, number: int, collisions: int) -> tuple[StoredObject, int]:
        template = owner.obj["spec"]["template"]
        while True:
            digest = template_hash(template, collisions)
            name = f"{owner.name}-{digest}"
            if self._registry.store.get(CONTROLLER_REVISIONS, owner.namespace, name) is None:
                break
            collisions += 1
        labels = {**(template["metadata"].get("labels") or {}), self._hash_label: digest}
        meta: Json = {"name": name, "labels": labels, "ownerReferences": [owner_reference(owner)]}
        if owner.meta.get("annotations"):
            meta["annotations"] = owner.meta["annotations"]
        body = {"metadata": meta, "data": data, "revision": number}
        return self._registry.create(CONTROLLER_REVISIONS, owner.namespace, body), collisions


def _next(known: list[StoredObject]) -> int:
    return max((number_of(item) for item in known), default=0) + 1


def _adopted(obj: Json, owner: Json) -> Json:
    owners = [*(obj["metadata"].get("ownerReferences") or ()), owner]
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}}
