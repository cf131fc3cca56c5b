"""Performs actions: each is one request, with the preconditions that its plan was judged on.

The gate and the record go in one status write, since a PATCH on `pods/status` also persists metadata; conditions are merged by
type (strategic merge), so the kubelet's are left alone (both measured: design, section 4). The answer to a write goes into the
cache before the result is reported, so that no plan is judged on anything older.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any, TypeVar

from inplace.engine.actions import (
    Action,
    ClaimBudget,
    CloseGate,
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    KeepSteady,
    ListPods,
    ListSlices,
    OpenGate,
    PatchIdleImages,
    PatchImages,
    PatchTemplate,
    ReleaseBudget,
    RemoveRecord,
    RestoreFieldOwners,
    SetPaused,
    SetUpdateStrategy,
    WorkloadAction,
)
from inplace.engine.pods.stages import CHANGED
from inplace.engine.workloads.managed_fields import POD_PATH, TEMPLATE_PATH, return_ownership
from inplace.engine.workloads.templates import images_of
from inplace.kube.api import ApiClient
from inplace.kube.errors import Invalid
from inplace.kube.informers.cache_view import CacheView
from inplace.kube.protocols import JSON_PATCH, MERGE, STRATEGIC_MERGE
from inplace.kube.resources import ENDPOINT_SLICES, PODS, REPLICA_SETS, WORKLOADS, Resource
from inplace.model.constants import FIELD_MANAGER, RECORD_ANNOTATION
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH
from inplace.model.record import encode_record
from inplace.model.refs import PodRef, WorkloadKind
from inplace.runtime.conditions import conditions_body
from inplace.runtime.informers.target_informers import TargetCaches
from inplace.runtime.lease.disruption_claims import DisruptionClaims
from inplace.runtime.lease.lock import Fence

T = TypeVar("T")
Json = dict[str, Any]


class ImagesRewritten(Invalid):
    """Not written: the API server would store other images than requested. `images`: those, by container."""

    def __init__(self, what: str, requested: Mapping[str, str], images: Mapping[str, str]) -> None:
        changes = ", ".join(
            f"{made or 'nothing'} of {requested[name]} (container {name})" for name, made in sorted(images.items())
        )
        super().__init__(f"{CHANGED}: in {what} admission makes {changes}", status=422, reason=CHANGED)
        self.images = images


class Executor:
    """`perform` raises `ApiError`; it returns what a quorum read showed, or the object that a write was answered with.
    Thread-safe.

    `claims`: for a run that is driven. `dry_run`: every write is sent with dryRun=All, and no answer enters a cache.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        caches: TargetCaches,
        claims: DisruptionClaims | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        self._claims = claims
        self._api = api
        self._namespace = namespace
        self._caches = caches
        self._dry_run = dry_run

    def fenced_by(self, fence: Fence, budgets: tuple[str, ...] = ()) -> Executor:
        """The same executor, which writes only while the fence is safe and the claims of these budgets are held; both are
        checked right before each request goes out."""
        claims = self._claims
        api = self._api.replace(write_guard=lambda: fence.is_safe and (claims is None or claims.are_held(budgets)))
        return Executor(api, self._namespace, self._caches, claims, dry_run=self._dry_run)

    def perform(self, action: Action) -> Any:
        match action:
            case CloseGate(pod=pod, gate=gate, record=record, require_resource_version=is_versioned):
                body = gate_body(gate, False, "Upgrading", {RECORD_ANNOTATION: encode_record(record)}, self._utcnow())
                return self._patch_pod(pod, body, "status", version=is_versioned)
            case PatchImages(pod=pod, images=images, record=record, init=init, revision=revision):
                meta = {"annotations": {RECORD_ANNOTATION: encode_record(record)}, **revision_label(revision)}
                return self._patch_pod(pod, {**images_body(images, init), "metadata": meta}, "", version=True)
            case PatchIdleImages(pod=pod, images=images, init=init, revision=revision):
                body = {**images_body(images, init), "metadata": revision_label(revision)}
                return self._patch_pod(pod, body, "", version=True)
            case OpenGate(pod=pod, gate=gate, reason=reason):
                body = gate_body(gate, True, reason, {RECORD_ANNOTATION: None}, self._utcnow())
                return self._patch_pod(pod, body, "status", version=True)
            case RemoveRecord(pod=pod):
                return self._patch_pod(pod, {"metadata": {"annotations": {RECORD_ANNOTATION: None}}}, "", version=True)
            case KeepSteady(pod=pod, record=record):
                return self._patch_pod(
                    pod, {"metadata": {"annotations": {RECORD_ANNOTATION: encode_record(record)}}}, "", version=True
                )
            case SetPaused(paused=paused):
                body = {"spec": {"paused": True if paused else None}}
                return self._patch_workload(action, "Deployment", body, STRATEGIC_MERGE)
            case PatchTemplate(kind=kind, images=images, init=init):
                return self._patch_template(action, kind, images, {"spec": {"template": images_body(images, init)}})
            case SetUpdateStrategy(kind=kind, strategy=strategy):
                body = {"spec": {"updateStrategy": {"rollingUpdate": None, **strategy}}}
                return self._patch_workload(action, kind, body, MERGE)
            case DeleteDuplicateReplicaSet(name=name, uid=uid, resource_version=version):
                self._delete_duplicate_replica_set(name, uid, version)
            case CreateHistoryReplicaSet(manifest=manifest):
                return self._create_history_replica_set(manifest)
            case RestoreFieldOwners():
                self._restore_field_owners(action)
            case ClaimBudget(budget=budget):
                assert self._claims is not None, "only a run that is driven claims"
                return self._claims.claim(budget, self._api)
            case ReleaseBudget(name=name):
                assert self._claims is not None, "only a run that is driven claims"
                self._claims.release(name)
            case ListSlices():
                return self._api.list(ENDPOINT_SLICES, self._namespace)
            case ListPods():
                scope = self._caches.pod_scope
                return self._api.list(
                    PODS, self._namespace, label_selector=scope.label_selector, field_selector=scope.field_selector
                )
            case _:
                raise AssertionError(f"no such action: {action}")
        return None

    def _utcnow(self) -> datetime:
        return self._api.clock.utcnow()

    def _patch_pod(self, pod: PodRef, body: Json, subresource: str, *, version: bool) -> Pod:
        """A write with a version is never retried blindly: if the first try was done and its answer lost, the second would be
        refused as stale, and a closed pod would pass for an open one."""
        meta = {"uid": pod.uid, **({"resourceVersion": pod.resource_version} if version else {})}
        whole = {**body, "metadata": {**body.get("metadata", {}), **meta}}
        answer = self._api.patch(
            PODS,
            pod.namespace,
            pod.name,
            whole,
            STRATEGIC_MERGE,
            subresource=subresource,
            dry_run=self._dry_run,
            retries=not version or self._dry_run,
        )
        return self._put_in_cache(self._caches.pods, answer)

    def _patch_workload(
        self, action: WorkloadAction, kind: WorkloadKind, body: Json, content_type: str, *, dry_run: bool = False
    ) -> Any:
        whole = {"metadata": {"uid": action.uid, "resourceVersion": action.resource_version}, **body}
        is_dry = dry_run or self._dry_run
        answer = self._api.patch(WORKLOADS[kind], self._namespace, action.name, whole, content_type, dry_run=is_dry)
        return answer if is_dry else self._put_in_cache(self._caches.of_kind(kind), answer)

    def _patch_template(self, action: WorkloadAction, kind: WorkloadKind, images: Mapping[str, str], body: Json) -> Any:
        """Sends a dry run first: a template that admission changes must not exist even for a moment, since a controller would
        bring all pods to it. Raises `ImagesRewritten`."""
        if not self._dry_run:
            rehearsed = self._patch_workload(action, kind, body, STRATEGIC_MERGE, dry_run=True)
            have = images_of(rehearsed.spec.template)
            made = {name: have.get(name, "") for name, image in images.items() if have.get(name) != image}
            if made:
                raise ImagesRewritten(f"{kind.lower()}/{action.name}", images, made)
        return self._patch_workload(action, kind, body, STRATEGIC_MERGE)

    def _delete_duplicate_replica_set(self, name: str, uid: str, version: str) -> None:
        """If it is gone already that is a refusal like any other: the cache is behind, and gets time to catch up."""
        self._api.delete(
            REPLICA_SETS,
            self._namespace,
            name,
            uid=uid,
            resource_version=version,
            propagation="Orphan",
            dry_run=self._dry_run,
        )

    def _create_history_replica_set(self, manifest: Json) -> Any:
        """If it exists already that is a conflict: the cache is behind, and gets time to catch up."""
        answer = self._api.create(REPLICA_SETS, self._namespace, manifest, dry_run=self._dry_run)
        return self._put_in_cache(self._caches.replica_sets, answer)

    def _restore_field_owners(self, action: RestoreFieldOwners) -> None:
        """Judged on what this reads itself: managedFields are in no cache."""
        resource: Resource[Any] = PODS if action.kind == "Pod" else WORKLOADS[action.kind]
        path = POD_PATH if action.kind == "Pod" else TEMPLATE_PATH
        meta = self._api.get_raw(resource, self._namespace, action.name)["metadata"]
        if meta["uid"] != action.uid:
            return
        before = meta.get("managedFields") or []
        after = return_ownership(before, action.owners, path, FIELD_MANAGER)
        if after == before:
            return
        body = [
            {"op": "test", "path": "/metadata/uid", "value": action.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": after},
        ]
        self._api.patch(resource, self._namespace, action.name, body, JSON_PATCH, dry_run=self._dry_run)

    def _put_in_cache(self, cache: CacheView[Any] | None, answer: T) -> T:
        if cache is not None and not self._dry_run:
            cache.upsert(answer)
        return answer


def gate_body(gate: str, is_open: bool, reason: str, annotations: dict[str, str | None], at: datetime) -> Json:
    """One condition and our annotations, for a strategic merge on `pods/status`."""
    conditions = conditions_body(gate, is_open, reason, _MESSAGES.get(reason, ""), at)
    return {"metadata": {"annotations": annotations}, "status": {"conditions": conditions}}


_MESSAGES = {
    "Upgrading": "closed while inplace upgrades the pod's images",
    "Upgraded": "the restart of the upgraded containers is proven",
    "Released": "the upgrade was cancelled before the pod's images were changed",
    "GateAdded": "the pod had the gate, but no condition for it",
}


def revision_label(revision: str) -> Json:
    return {"labels": {CONTROLLER_REVISION_HASH: revision}} if revision else {}


def images_body(images: Mapping[str, str], init: Container[str]) -> Json:
    """Images by container name, for a strategic merge on a pod or a template: a name in the wrong list would add a
    container."""
    spec: Json = {}
    for name, image in sorted(images.items()):
        spec.setdefault("initContainers" if name in init else "containers", []).append({"name": name, "image": image})
    return {"spec": spec}
