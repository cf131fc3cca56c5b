"""CustomResourceDefinitions: the kind that each describes is served soon after, and until it is deleted.

Of several versions only the one that is stored is served. A definition that changes changes its schema and its columns;
objects that are stored already stay as they are, as in the real one.
"""

from __future__ import annotations

from inplace.sim.api.registry import SELF_STATUS, Registry
from inplace.sim.controllers.base import Queue, on_events
from inplace.sim.objects import kinds as k
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import Custom, Kind
from inplace.sim.objects.store import Key


class CustomResources:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._served: dict[Key, Kind] = {}
        self._queue = Queue(registry, self._sync)
        on_events(registry, (k.CUSTOM_RESOURCE_DEFINITIONS,), lambda event: self._queue.add(event.item.key))

    def _sync(self, key: Key) -> None:
        store = self._registry.store
        crd = store.get(k.CUSTOM_RESOURCE_DEFINITIONS, *key)
        known = self._served.get(key)
        if crd is None:
            if known is not None:
                store.drop_kind(self._served.pop(key))
            return
        made = kind_of(crd.obj["spec"])
        if known is None:
            store.add_kind(made)
            self._served[key] = made
        elif known.custom is not None and made.custom is not None:
            known.custom.schema, known.custom.columns = made.custom.schema, made.custom.columns
        self._registry.change(crd, self._established, SELF_STATUS)

    def _established(self, crd: Json) -> Json:
        spec, status = crd["spec"], crd.get("status") or {}
        if status.get("acceptedNames") == spec["names"]:
            return crd
        stamp = self._registry.scheduler.stamp()
        said = {
            "NamesAccepted": ("NoConflicts", "no conflicts found"),
            "Established": ("InitialNamesAccepted", "the initial names have been accepted"),
        }
        conditions = [
            {"type": what, "status": "True", "reason": reason, "message": text, "lastTransitionTime": stamp}
            for what, (reason, text) in said.items()
        ]
        versions = [version["name"] for version in spec["versions"] if version["storage"]]
        return {**crd, "status": {"acceptedNames": spec["names"], "conditions": conditions, "storedVersions": versions}}


def kind_of(spec: Json) -> Kind:
    """The kind that a CustomResourceDefinition describes."""
    names = spec["names"]
    version = next(version for version in spec["versions"] if version["storage"])
    return Kind(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        tuple(names.get("shortNames") or ()),
        is_namespaced=spec["scope"] == "Namespaced",
        has_status="status" in (version.get("subresources") or {}),
        generation="all but metadata",
        categories=tuple(names.get("categories") or ()),
        custom=Custom(version["schema"]["openAPIV3Schema"], tuple(version.get("additionalPrinterColumns") or ())),
    )
