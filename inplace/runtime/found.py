"""The target as it is found in the cluster by its name, before anything is watched."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from inplace.engine.preflight import owned_by
from inplace.kube.api import Api
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS, PODS, WORKLOADS, Resource
from inplace.kube.seam import Request
from inplace.model.names import TargetRef


class Refused(Exception):
    """Nothing was written. `str()` is one line: what, which object, why, what to do next."""


class Found(msgspec.Struct, frozen=True):
    """The target as it was found: `selector` picks its pods, `owner` is for the Lease."""

    uid: str
    selector: str
    owner: dict[str, Any] | None
    managed: tuple[tuple[str, tuple[Any, ...]], ...]
    """Pod name (empty: the workload) to its managedFields."""


def find(api: Api, target: TargetRef) -> Found:
    """Reads the target by name. Raises `Refused` or `ApiError`."""
    try:
        return _bare_pods(api, target) if target.kind == "Pods" else _workload(api, target, WORKLOADS[target.kind])
    except NotFound:
        raise Refused(f"{target} does not exist in namespace {target.namespace}") from None


def _workload(api: Api, target: TargetRef, resource: Resource[Any]) -> Found:
    workload = api.get(resource, target.namespace, target.name)
    meta = workload.metadata
    managed = api.get_raw(resource, target.namespace, target.name)["metadata"].get("managedFields") or []
    controller = meta.controller()
    if controller is not None:
        raise Refused(owned_by(str(target), controller))
    owner = {"apiVersion": resource.api_version, "kind": resource.kind, "name": meta.name, "uid": meta.uid}
    return Found(meta.uid, workload.spec.selector.text(), owner, (("", tuple(managed)),))


def _bare_pods(api: Api, target: TargetRef) -> Found:
    managed = []
    for name in target.pod_names:
        with suppress(NotFound):
            raw = api.get_raw(PODS, target.namespace, name)
            managed.append((name, tuple(raw["metadata"].get("managedFields") or ())))
    return Found("", target.selector, None, tuple(managed))


def knows_rollouts(api: Api) -> bool:
    """Whether the CustomResourceDefinition is there."""
    try:
        api.raw(Request(method="GET", path=INPLACE_ROLLOUTS.path(), query=(("limit", "1"),)))
    except NotFound:
        return False
    except Forbidden:
        return True  # authorization comes before the question whether there is such a thing: it is not for us to say
    return True
