"""Looks up a target in the cluster by its name, before anything is watched."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from inplace.engine.workloads.wording import owned_by
from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, Forbidden, NotFound
from inplace.kube.protocols import Request
from inplace.kube.resources import INPLACE_ROLLOUTS, NAMESPACES, WORKLOADS, Resource
from inplace.model.objects.meta import ApiStruct, ObjectMeta
from inplace.model.refs import TargetRef
from inplace.runtime.errors import RefusedError


class ResolvedTarget(msgspec.Struct, frozen=True):
    """The target as it was read: `selector` selects its pods, `owner` is the ownerReference for the Lease."""

    uid: str
    selector: str
    owner: dict[str, Any] | None
    managed: tuple[tuple[str, tuple[Any, ...]], ...]
    """Pod name (empty: the workload) to its managedFields."""


class _OwnedMeta(ObjectMeta, frozen=True):
    managed_fields: tuple[dict[str, Any], ...] | None = None


class _OwnedPod(ApiStruct, frozen=True):
    """A pod, as far as it says who owns its fields."""

    metadata: _OwnedMeta


_OWNED_PODS = Resource(group="", version="v1", plural="pods", kind="Pod", singular="pod", type=_OwnedPod)


def resolve_target(api: ApiClient, target: TargetRef) -> ResolvedTarget:
    """Reads the target by name. Raises `RefusedError` or `ApiError`."""
    try:
        return _bare_pods(api, target) if target.kind == "Pods" else _workload(api, target, WORKLOADS[target.kind])
    except NotFound:
        raise RefusedError(_why_absent(api, target)) from None


def _why_absent(api: ApiClient, target: TargetRef) -> str:
    """Names the namespace if that does not exist, or a similar name if there is one."""
    why = f"{target} does not exist in namespace {target.namespace}"
    with suppress(ApiError):
        require_namespace(api, target.namespace)
        if target.kind != "Pods":
            from difflib import get_close_matches

            names = [workload.metadata.name for workload in api.list(WORKLOADS[target.kind], target.namespace).items]
            for name in get_close_matches(target.name, names, n=1):
                return f"{why}; did you mean {msgspec.structs.replace(target, name=name)}?"
    return why


def require_namespace(api: ApiClient, name: str) -> None:
    """Raises `RefusedError` where it does not exist; passes if that may not be read."""
    try:
        api.get(NAMESPACES, None, name)
    except NotFound:
        raise RefusedError(
            f"namespace {name} does not exist: name another with -n (`kubectl get namespaces` lists them)"
        ) from None
    except ApiError:
        return


def _workload(api: ApiClient, target: TargetRef, resource: Resource[Any]) -> ResolvedTarget:
    workload = api.get(resource, target.namespace, target.name)
    meta = workload.metadata
    managed = api.get_raw(resource, target.namespace, target.name)["metadata"].get("managedFields") or []
    controller = meta.controller()
    if controller is not None:
        raise RefusedError(owned_by(str(target), controller))
    owner = {"apiVersion": resource.api_version, "kind": resource.kind, "name": meta.name, "uid": meta.uid}
    return ResolvedTarget(meta.uid, workload.spec.selector.to_selector_string(), owner, (("", tuple(managed)),))


def _bare_pods(api: ApiClient, target: TargetRef) -> ResolvedTarget:
    """Reads them with one list, however many they are."""
    field = f"metadata.name={target.pod_names[0]}" if len(target.pod_names) == 1 else ""
    pods = api.list(_OWNED_PODS, target.namespace, label_selector=target.selector, field_selector=field).items
    wanted = [pod.metadata for pod in pods if not target.pod_names or pod.metadata.name in target.pod_names]
    return ResolvedTarget("", target.selector, None, tuple((meta.name, meta.managed_fields or ()) for meta in wanted))


def crd_installed(api: ApiClient) -> bool:
    """Whether the CustomResourceDefinition exists."""
    try:
        api.raw(Request(method="GET", path=INPLACE_ROLLOUTS.path(), query=(("limit", "1"),)))
    except NotFound:
        return False
    except Forbidden:
        return True  # the API server authorizes before it looks whether the kind exists: assume that it does
    return True
