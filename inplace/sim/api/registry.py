"""The verbs on objects: create, update, patch, apply, delete, each with the rules that the real API server has for its kind.

Always holds: a write either happens as a whole, with one new version, or raises `Refusal` and changes nothing; a write that
changes nothing makes no version and no event; `generation` rises exactly where the real one does; the status subresource
writes status and metadata, the main resource everything but status. Controllers and kubelets here write by the same way
(`change`), without a manager, and so leave no trace in managedFields.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inplace.sim.api.admission import Attributes, Plugin
from inplace.sim.clock import EventLoop
from inplace.sim.objects import kinds as k
from inplace.sim.objects.defaults import with_defaults
from inplace.sim.objects.errors import Json, StatusError, already_exists, bad_request, conflict, forbidden, not_found
from inplace.sim.objects.kinds import Kind
from inplace.sim.objects.managed_fields import applied, fields_of, updated
from inplace.sim.objects.store import Store, StoredObject
from inplace.sim.objects.validation import check, uid_is_immutable

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
FIXED_META = (
    "name",
    "namespace",
    "generateName",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
FIRST_STATUS: dict[Kind, Json] = {
    k.PODS: {"phase": "Pending", "qosClass": "BestEffort"},
    k.REPLICA_SETS: {"replicas": 0},
    k.STATEFUL_SETS: {"replicas": 0, "availableReplicas": 0},
    k.DAEMON_SETS: dict.fromkeys(("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0),
    k.SERVICES: {"loadBalancer": {}},
    k.NAMESPACES: {"phase": "Active"},
}
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""An annotation of DaemonSets that only the server writes."""
PROTECTED = ("default", "kube-system", "kube-public")


@dataclass(frozen=True)
class WriteOptions:
    """How a client writes. `manager` None: a part of the cluster itself. `via`: as what the object was seen (scale)."""

    manager: str | None = None
    dry_run: bool = False
    subresource: str = ""
    is_put: bool = False
    via: str = ""


SELF = WriteOptions()
SELF_STATUS = WriteOptions(subresource="status")
BINDING = WriteOptions(subresource="binding")


class Registry:
    """Carries out requests on objects. Not thread-safe. `admission`: asked in this order about each create and update.

    It is long because each verb and subresource of the API is a method."""

    def __init__(self, store: Store, scheduler: EventLoop) -> None:
        self.admission: list[Plugin] = []
        self.store = store
        self.scheduler = scheduler
        self._last_ip = 0

    def get(self, kind: Kind, namespace: str, name: str) -> StoredObject:
        item = self.store.get(kind, namespace, name)
        if item is None:
            raise not_found(kind.plural, kind.group, name)
        return item

    def create(self, kind: Kind, namespace: str, obj: Json, how: WriteOptions = SELF) -> StoredObject:
        meta = dict(obj.get("metadata") or {})
        if meta.get("resourceVersion"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        if kind.is_namespaced:
            self._check_namespace(kind, namespace, meta)
        meta |= {"uid": self.new_uid(), "creationTimestamp": self.scheduler.stamp()}
        meta.pop("deletionTimestamp", None)
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = self._free_name(kind, namespace, meta["generateName"])
        if kind.generation != "none":
            meta["generation"] = 1
        made = {
            "kind": kind.kind,
            "apiVersion": kind.api_version,
            **{f: v for f, v in obj.items() if f not in ("kind", "apiVersion")},
        }
        made["metadata"] = meta
        if kind.has_status and kind.custom is not None:
            made.pop("status", None)
        elif kind.has_status and (kind is not k.NODES or "status" not in obj):
            made["status"] = FIRST_STATUS.get(kind, {})
        made = self._admitted(self._completed(kind, with_defaults(kind, made)), None, kind, how)
        meta = made["metadata"]
        check(kind, made, None)
        if self.store.get(kind, namespace, meta["name"]) is not None:
            raise already_exists(kind.plural, kind.group, meta["name"])
        if how.manager and "managedFields" not in meta:
            entry = self._entry(kind, how, "Update")
            status = {"status": None} if kind.has_status else {}
            owned = fields_of({f: v for f, v in made.items() if f not in status})
            meta["managedFields"] = [{**entry, "fieldsType": "FieldsV1", "fieldsV1": owned}]
        if kind is k.DAEMON_SETS:
            made["metadata"] = _with_template_generation(meta, 1)
        return StoredObject(kind, made, 0) if how.dry_run else self.store.put(kind, made)

    def update(self, old: StoredObject, new: Json, how: WriteOptions = SELF, entries: list[Json] | None = None) -> StoredObject:
        """`old` is the object as it is stored now; `new`, what the client wants. `entries`: managedFields, if settled."""
        kind, had = old.kind, old.meta
        meta = dict(new.get("metadata") or {})
        if new.get("metadata") is not had:
            self._check_identity(old, meta, how)
            meta |= {key: had[key] for key in ("uid", "resourceVersion", "generation") if key in had}
            for key in FIXED_META:
                if key in had:
                    meta[key] = had[key]
                else:
                    meta.pop(key, None)
        wanted = {"kind": kind.kind, "apiVersion": kind.api_version, **new, "metadata": meta}
        if how.subresource == "status" and kind.custom is not None:
            wanted = self._admitted(with_defaults(kind, _with_status_of(old, new)), old.obj, kind, how)
            check(kind, wanted, old.obj)
        elif how.subresource == "status":
            wanted = {**old.obj, "metadata": meta, "status": new.get("status", {})}
            if kind is k.PODS and meta.get("ownerReferences") is not had.get("ownerReferences"):
                meta.pop("ownerReferences", None)
                meta |= {key: had[key] for key in ("ownerReferences",) if key in had}
            if kind is k.DEPLOYMENTS:
                meta["labels"] = old.meta.get("labels", {})
            wanted = self._admitted(wanted, old.obj, kind, how)
        else:
            if kind.has_status and "status" in old.obj:
                wanted["status"] = old.obj["status"]
            elif kind.has_status and kind.custom is not None:
                wanted.pop("status", None)
            if how.manager is not None:
                wanted = self._completed(kind, with_defaults(kind, wanted))
            wanted = self._admitted(wanted, old.obj, kind, how)
            check(kind, wanted, old.obj)
            self._raise_generation(kind, old.obj, wanted)
        return self._commit(old, wanted, how, entries)

    def change(
        self, item: StoredObject | None, change: Callable[[Json], Json], how: WriteOptions = SELF
    ) -> StoredObject | None:
        """For parts of the cluster: changes the object as it is now, if it still is. `change` must not touch its argument."""
        now = self.store.get(item.kind, item.namespace, item.name) if item is not None else None
        if item is None or now is None or now.uid != item.uid:
            return None
        new = change(now.obj)
        return now if new is now.obj else self.update(now, new, how)

    def apply(
        self, kind: Kind, namespace: str, name: str, wanted: Json, how: WriteOptions, force: bool
    ) -> tuple[StoredObject, bool]:
        """Server-side apply. True: created."""
        meta = {key: v for key, v in (wanted.get("metadata") or {}).items() if key != "managedFields"}
        wanted = {**wanted, "metadata": meta}
        entry = self._entry(kind, how, "Apply")
        old = self.store.get(kind, namespace, name)
        if old is None:
            managed = [{**entry, "fieldsType": "FieldsV1", "fieldsV1": fields_of(wanted)}]
            made = {**wanted, "metadata": {**meta, "name": name, "managedFields": managed}}
            return self.create(kind, namespace, made, how), True
        if meta.get("resourceVersion", old.meta["resourceVersion"]) != old.meta["resourceVersion"]:
            raise conflict(kind.plural, kind.group, name)
        merged, entries = applied(old.meta.get("managedFields") or [], old.obj, wanted, entry, force)
        return self.update(old, merged, how, entries), False

    def delete(self, old: StoredObject, options: Json, dry_run: bool = False) -> tuple[StoredObject, bool]:
        """True: it is gone at once; else it is on its way."""
        self._check_preconditions(old, options.get("preconditions") or {})
        kind = old.kind
        if kind is k.NAMESPACES and old.name in PROTECTED:
            raise forbidden(kind.plural, kind.group, old.name, "this namespace may not be deleted")
        if dry_run:
            return old, True
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "Background")
        if policy == "Orphan":
            self._orphan(old)
        if kind is k.NAMESPACES:
            status = {**old.obj["status"], "phase": "Terminating"}
            return self._mark(old, 0, {"status": status}), False
        if kind is k.PODS:
            grace = self._grace(old.obj, options)
            if grace > 0:
                return self._mark_pod(old, grace), False
        finalizers = list(old.meta.get("finalizers") or ())
        if policy == "Foreground" and "foregroundDeletion" not in finalizers:
            return self._mark(old, 0, {}, [*finalizers, "foregroundDeletion"]), False
        if finalizers:
            return self._mark(old, 0, {}), False
        return self.store.remove(old), True

    def new_uid(self) -> str:
        return str(uuid.UUID(int=self.scheduler.random.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        return "".join(self.scheduler.random.choices(SUFFIX, k=length))

    def hexadecimal(self, length: int) -> str:
        return f"{self.scheduler.random.getrandbits(4 * length):0{length}x}"

    def _admitted(self, obj: Json, old: Json | None, kind: Kind, how: WriteOptions) -> Json:
        for plugin in self.admission:
            obj = plugin(Attributes(kind, how.subresource, obj, old, how.manager))
        return obj

    def _commit(self, old: StoredObject, wanted: Json, how: WriteOptions, entries: list[Json] | None) -> StoredObject:
        kind = old.kind
        before = old.meta.get("managedFields") or []
        given = wanted["metadata"].get("managedFields")
        if entries is None:
            entries = before if given in (None, []) else given if given != [{}] else []
            if how.manager and not (_same_but_managed(old.obj, wanted)):
                entries = self._tracked(old, wanted, how, entries)
        if entries:
            wanted["metadata"]["managedFields"] = entries
        else:
            wanted["metadata"].pop("managedFields", None)
        if wanted == old.obj:
            return old
        if how.dry_run:
            return StoredObject(kind, wanted, old.version)
        item = self.store.put(kind, wanted)
        meta = item.meta
        if "deletionTimestamp" in meta and not meta.get("finalizers") and kind not in (k.PODS, k.NAMESPACES):
            return self.store.remove(item)
        return item

    def _tracked(self, old: StoredObject, wanted: Json, how: WriteOptions, entries: list[Json]) -> list[Json]:
        hidden = "status" if how.subresource != "status" and old.kind.has_status else ""
        a, b = ({f: v for f, v in o.items() if f != hidden} for o in (old.obj, wanted))
        return updated(entries, a, b, self._entry(old.kind, how, "Update"))

    def _entry(self, kind: Kind, how: WriteOptions, operation: str) -> Json:
        entry = {"manager": how.manager, "operation": operation, "apiVersion": kind.api_version, "time": self.scheduler.stamp()}
        subresource = how.subresource or how.via
        return {**entry, "subresource": subresource} if subresource else entry

    def _check_identity(self, old: StoredObject, meta: Json, how: WriteOptions) -> None:
        kind, name = old.kind, old.name
        for field in ("name", "namespace"):
            if meta.get(field, old.meta.get(field)) != old.meta.get(field):
                what = "name" if field == "name" else "namespace"
                raise bad_request(
                    f"the {what} of the object ({meta[field]}) does not match the {what} on the URL ({old.meta[field]})"
                )
        uid = meta.get("uid") or old.uid
        if uid != old.uid and how.is_put:
            key = f"/registry/{kind.plural}/{old.namespace}/{name}"
            why = (
                f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
                f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.uid}"
            )
            raise conflict(kind.plural, kind.group, name, why)
        version = meta.get("resourceVersion") or old.meta["resourceVersion"]
        if version != old.meta["resourceVersion"]:
            raise conflict(kind.plural, kind.group, name)
        if uid != old.uid:
            raise uid_is_immutable(kind, name, uid)

    def _check_namespace(self, kind: Kind, namespace: str, meta: Json) -> None:
        if meta.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        meta["namespace"] = namespace
        space = self.store.get(k.NAMESPACES, "", namespace)
        if space is None:
            raise not_found("namespaces", "", namespace)
        if space.obj["status"].get("phase") == "Terminating":
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind.plural, kind.group, str(meta.get("name", "")), why)

    def _check_preconditions(self, old: StoredObject, wanted: Json) -> None:
        kind = old.kind
        if wanted.get("uid", old.uid) != old.uid:
            why = f"the UID in the precondition ({wanted['uid']}) does not match the UID in record ({old.uid})"
            raise conflict(kind.kind, kind.group, old.name, f"{why}. The object might have been deleted and then recreated")
        version = old.meta["resourceVersion"]
        if wanted.get("resourceVersion", version) != version:
            asked = wanted["resourceVersion"]
            why = f"the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record ({version})"
            raise conflict(kind.kind, kind.group, old.name, f"{why}. The object might have been modified")

    def _free_name(self, kind: Kind, namespace: str, prefix: str) -> str:
        while self.store.get(kind, namespace, name := prefix + self.suffix()) is not None:
            pass
        return name

    def _completed(self, kind: Kind, obj: Json) -> Json:
        """What only the server can fill in: a Service's IP, a namespace's finalizer."""
        spec: Any = obj.get("spec") or {}
        if kind is k.SERVICES and spec["type"] != "ExternalName" and "clusterIP" not in spec:
            self._last_ip += 1
            ip = f"10.96.{self._last_ip // 250}.{self._last_ip % 250 + 1}"
            return {**obj, "spec": {**spec, "clusterIP": ip, "clusterIPs": [ip]}}
        if kind is k.NAMESPACES:
            labels = {**(obj["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": obj["metadata"].get("name")}
            meta = {**obj["metadata"], "labels": labels}
            return {**obj, "metadata": meta, "spec": {"finalizers": ["kubernetes"], **spec}}
        return obj

    def _raise_generation(self, kind: Kind, old: Json, new: Json) -> None:
        match kind.generation:
            case "spec":
                raised = new.get("spec") != old.get("spec") and not (kind is k.PODS and _is_binding(old["spec"], new["spec"]))
            case "spec and annotations":
                notes = [o["metadata"].get("annotations") or {} for o in (old, new)]
                raised = new.get("spec") != old.get("spec") or notes[0] != notes[1]
            case "all but metadata":
                raised = {**new, "metadata": 0} != {**old, "metadata": 0}
            case _:
                raised = False
        if raised:
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if kind is k.DAEMON_SETS:
            before = int((old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, 1))
            now = before + (new["spec"]["template"] != old["spec"]["template"])
            new["metadata"] = _with_template_generation(new["metadata"], now)

    def _grace(self, pod: Json, options: Json) -> int:
        asked = options.get("gracePeriodSeconds")
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        if not pod["spec"].get("nodeName") or pod["status"].get("phase") in ("Succeeded", "Failed"):
            return 0
        return int(grace)

    def _mark_pod(self, old: StoredObject, grace: int) -> StoredObject:
        if "deletionTimestamp" in old.meta and grace >= old.meta.get("deletionGracePeriodSeconds", 0):
            return old
        return self._mark(old, grace, {})

    def _mark(self, old: StoredObject, grace: int, more: Json, finalizers: list[str] | None = None) -> StoredObject:
        meta = {**old.meta, "deletionGracePeriodSeconds": grace}
        if "deletionTimestamp" not in meta or grace:
            meta["deletionTimestamp"] = self.scheduler.stamp_after(grace)
        if finalizers is not None:
            meta["finalizers"] = finalizers
        if "generation" in meta and "deletionTimestamp" not in old.meta:
            meta["generation"] += 1
        wanted = {**old.obj, **more, "metadata": meta}
        return old if wanted == old.obj else self.store.put(old.kind, wanted)

    def _orphan(self, owner: StoredObject) -> None:
        for item in self.store.owned_by(owner.uid):
            self.change(item, lambda obj: _without_owner(obj, owner.uid))


def _with_status_of(old: StoredObject, new: Json) -> Json:
    """A custom resource: of what is written to its status, its metadata too is ignored (but for managedFields)."""
    managed = (new.get("metadata") or {}).get("managedFields")
    meta = {**old.meta, **({"managedFields": managed} if managed is not None else {})}
    wanted = {key: value for key, value in old.obj.items() if key != "status"} | {"metadata": meta}
    return {**wanted, "status": new["status"]} if "status" in new else wanted


def _without_owner(obj: Json, uid: str) -> Json:
    owners = [o for o in obj["metadata"].get("ownerReferences") or () if o["uid"] != uid]
    meta = {key: v for key, v in obj["metadata"].items() if key != "ownerReferences"}
    return {**obj, "metadata": {**meta, "ownerReferences": owners} if owners else meta}


def _with_template_generation(meta: Json, number: int) -> Json:
    return {**meta, "annotations": {**(meta.get("annotations") or {}), TEMPLATE_GENERATION: str(number)}}


def _is_binding(old: Json, new: Json) -> bool:
    """The pod got its node: no new generation."""
    return "nodeName" not in old and {key: v for key, v in new.items() if key != "nodeName"} == old


def _same_but_managed(a: Json, b: Json) -> bool:
    if any(a.get(key) != b.get(key) for key in {**a, **b} if key != "metadata"):
        return False
    return {**a["metadata"], "managedFields": 0} == {**b["metadata"], "managedFields": 0}
