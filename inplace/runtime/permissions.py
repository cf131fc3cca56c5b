"""Whether we have the permissions, and the cluster is new enough: checked before the first write, so that no run stops halfway
for a missing permission."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import lacking
from inplace.kube.protocols import Request
from inplace.kube.resources import WORKLOADS
from inplace.model.constants import GROUP, ROLLOUT_PLURAL
from inplace.model.refs import TargetKind
from inplace.runtime.errors import RefusedError

MIN_MINOR_VERSION = 34
"""Kubernetes 1.34 is the first that reports a pod's observedGeneration by default (KEP-5067)."""

Purpose = Literal["look", "upgrade"]


class Permission(msgspec.Struct, frozen=True):
    verb: str
    group: str
    resource: str
    subresource: str = ""
    name: str = ""
    """The name of the one object that it is about; empty: all."""

    @property
    def what(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{what} {self.name}" if self.name else what


def required_permissions(kind: TargetKind, purpose: Purpose) -> tuple[Permission, ...]:
    """Everything that one run of a target of this kind may need."""
    reads = [("", "pods"), ("", "services"), ("discovery.k8s.io", "endpointslices"), ("policy", "poddisruptionbudgets")]
    reads.append(("coordination.k8s.io", "leases"))
    writes = [Permission("patch", "", "pods"), Permission("patch", "", "pods", "status")]
    writes += [Permission(verb, "coordination.k8s.io", "leases") for verb in ("create", "patch")]
    match kind:
        case "Deployment":
            reads += [("apps", "deployments"), ("apps", "replicasets")]
            writes += [Permission("patch", "apps", "deployments")]
            writes += [Permission(verb, "apps", "replicasets") for verb in ("patch", "create", "delete")]
        case "StatefulSet" | "DaemonSet" | "ReplicaSet":
            plural = WORKLOADS[kind].plural
            reads.append(("apps", plural))
            writes.append(Permission("patch", "apps", plural))
            if kind != "ReplicaSet":
                reads.append(("apps", "controllerrevisions"))
        case "Pods":
            writes.append(Permission("get", "", "pods"))
            writes.append(Permission("delete", "coordination.k8s.io", "leases"))
    looks = [Permission(verb, group, resource) for group, resource in reads for verb in ("list", "watch")]
    looks += [Permission("get", group, resource) for group, resource in reads if group in ("apps", "coordination.k8s.io")]
    return tuple(looks + writes) if purpose == "upgrade" else tuple(looks)


def controller_permissions() -> tuple[Permission, ...]:
    """Everything that runs of any kind may need, and the rollouts themselves. Missing permission to write Events is no reason
    to refuse."""
    kinds: tuple[TargetKind, ...] = get_args(TargetKind)
    runs = [right for kind in kinds for purpose in get_args(Purpose) for right in required_permissions(kind, purpose)]
    rollouts = [Permission(verb, GROUP, ROLLOUT_PLURAL) for verb in ("list", "watch", "patch", "delete")]
    return tuple(dict.fromkeys((*runs, *rollouts, Permission("patch", GROUP, ROLLOUT_PLURAL, "status"))))


def format_permissions(rights: Iterable[Permission]) -> str:
    """Returns, by verb and for a person, for example `list pods, services; patch pods/status`."""
    by_verb: dict[str, list[str]] = {}
    for right in rights:
        by_verb.setdefault(right.verb, []).append(right.what)
    return "; ".join(f"{verb} {', '.join(dict.fromkeys(whats))}" for verb, whats in by_verb.items())


def refusal(rights: Iterable[Permission], namespace: str | None) -> RefusedError:
    """The error for missing permissions. `namespace` None: in all."""
    listed = ["kubectl", "auth", "can-i", "--list", *(["-n", namespace] if namespace else [])]
    return RefusedError(lacking("you", format_permissions(rights), namespace), shown_by=" ".join(listed))


def missing_permissions(api: ApiClient, namespace: str, rights: tuple[Permission, ...]) -> tuple[Permission, ...]:
    """Those that the API server would refuse us (SelfSubjectAccessReview; it persists nothing). Raises `ApiError`."""
    with ThreadPoolExecutor(8) as pool:
        allowed = pool.map(lambda right: _is_allowed(api, namespace, right), rights)
        return tuple(right for right, yes in zip(rights, allowed, strict=True) if not yes)


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status


# Made here, on one thread: see `inplace.kube.codec`.
_REVIEW = msgspec.json.Decoder(_Review)


def _is_allowed(api: ApiClient, namespace: str, right: Permission) -> bool:
    attributes = {"namespace": namespace, **msgspec.to_builtins(right)}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = api.raw(Request(method="POST", path=path, body=msgspec.json.encode(body)))
    return _REVIEW.decode(answer.body).status.allowed


class _Version(msgspec.Struct, rename={"git_version": "gitVersion"}):
    major: str = ""
    minor: str = ""
    git_version: str = ""


def version_problem(api: ApiClient) -> str | None:
    """A line for a person where the API server is older than 1.34. Raises `ApiError`."""
    version = msgspec.json.decode(api.raw(Request(method="GET", path="/version")).body, type=_Version)
    minor = "".join(c for c in version.minor if c.isdigit())
    if version.major == "1" and minor and int(minor) < MIN_MINOR_VERSION:
        why = "which tells the generation that a kubelet has seen of a pod"
        return f"the cluster runs Kubernetes {version.git_version}; inplace needs 1.{MIN_MINOR_VERSION} or newer, {why}"
    return None
