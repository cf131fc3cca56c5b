"""Brings our manifests to a cluster by server-side apply, one object after the other.

Before the first write it is known whether all of them may be written. Applying again changes what differs and nothing else, so
a broken-off install is finished by the same command. Fields that others have set beside ours are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.codec import decode_raw
from inplace.kube.errors import ApiError, Forbidden, NotFound
from inplace.kube.protocols import Request
from inplace.kube.resources import NAMESPACES
from inplace.runtime.errors import RefusedError
from inplace.runtime.manifests import CONFIG_MAPS, Manifest
from inplace.runtime.permissions import Permission, format_permissions, missing_permissions, version_problem

APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "inplace-install"
"""Not the one of upgrades: an apply gives up what its manager owned and no longer says."""
IGNORED_METADATA = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
"""Of the metadata: what differs in a dry run, or by the write itself."""

Change = Literal["created", "configured", "unchanged", "kept"]
"""`kept`: settings that are there already are their owner's."""


class ApplyResult(msgspec.Struct, frozen=True):
    """`kept`: existing settings belong to their owner."""

    manifest: Manifest
    change: Change


def check(api: ApiClient, manifests: Iterable[Manifest]) -> None:
    """Raises `RefusedError` where the cluster is too old or a permission is missing, and `ApiError`."""
    old = version_problem(api)
    if old is not None:
        raise RefusedError(old)
    by_namespace: dict[str, list[Permission]] = {}
    for manifest in manifests:
        resource = manifest.resource
        rights = [Permission(verb, resource.group, resource.plural) for verb in ("get", "create", "patch")]
        by_namespace.setdefault(manifest.namespace, []).extend(rights)
    refuse_missing(api, by_namespace)


def refuse_missing(api: ApiClient, by_namespace: dict[str, list[Permission]]) -> None:
    lines = []
    for namespace, rights in by_namespace.items():
        missing = missing_permissions(api.replace(limiter=None), namespace, tuple(dict.fromkeys(rights)))
        if missing:
            lines.append(
                f"{format_permissions(missing)} {f'in namespace {namespace}' if namespace else 'in the whole cluster'}"
            )
    if lines:
        raise RefusedError(f"you may not {', nor '.join(lines)}: ask somebody who administers the cluster")


def apply(api: ApiClient, manifests: Iterable[Manifest], *, dry_run: bool = False) -> Iterator[ApplyResult]:
    """Yields each result as soon as it is there. Raises `ApiError`."""
    created: set[str] = set()
    for manifest in manifests:
        if dry_run and manifest.namespace in created:
            yield ApplyResult(manifest, "created")  # the server cannot judge it: its namespace is not there yet
            continue
        applied = _apply(api, manifest, dry_run)
        if applied.change == "created" and manifest.resource is NAMESPACES:
            created.add(manifest.name)
        yield applied


def _apply(api: ApiClient, manifest: Manifest, dry_run: bool) -> ApplyResult:
    before = existing(api, manifest)
    if before is not None and manifest.resource is CONFIG_MAPS:
        return ApplyResult(manifest, "kept")
    query = (("fieldManager", FIELD_MANAGER), ("force", "true"), *((("dryRun", "All"),) if dry_run else ()))
    path = manifest.resource.path(manifest.namespace or None, manifest.name)
    body = msgspec.json.encode(manifest.body)
    try:
        answer = api.raw(Request(method="PATCH", path=path, query=query, body=body, content_type=APPLY))
    except ApiError as error:
        raise type(error)(f"{manifest}: {_why(error, manifest)}", status=error.status, reason=error.reason) from None
    if before is None:
        return ApplyResult(manifest, "created")
    is_same = _comparable(before) == _comparable(decode_raw(answer.body))
    return ApplyResult(manifest, "unchanged" if is_same else "configured")


def existing(api: ApiClient, manifest: Manifest) -> dict[str, Any] | None:
    try:
        return api.get_raw(manifest.resource, manifest.namespace or None, manifest.name)
    except NotFound:
        return None


def _why(error: ApiError, manifest: Manifest) -> str:
    """RBAC's own words list every right, over pages, and those about a kind that is not served do not name it."""
    if isinstance(error, NotFound) and "requested resource" in str(error):
        return f"this cluster knows no {manifest.resource.kind} ({manifest.resource.api_version})"
    if isinstance(error, Forbidden) and "not currently held" in str(error):
        return "you can only give rights that you have yourself (RBAC): ask somebody who administers the cluster"
    return str(error)


def _comparable(body: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in body["metadata"].items() if key not in IGNORED_METADATA}
    return {**body, "metadata": metadata, "status": None}
