"""The manifests that this program ships: those of deploy/, as `kubectl kustomize` renders them.

In the wheel they lie beside the code; in a source checkout they are read from deploy/. Nothing in them is changed but the
controller's image and the namespace of the objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from inplace.kube.resources import DEPLOYMENTS, NAMESPACES, POD_DISRUPTION_BUDGETS, PartialObjectMetadata, Resource

PACKAGE = Path(__file__).parents[1]
SYSTEM_NAMESPACE = "inplace-system"
CONTROLLER = "inplace-controller"
OURS = ("app.kubernetes.io/name", "inplace")
"""The label that all of them carry; an object without it is not removed."""


def _resource(group: str, plural: str, kind: str, *, is_namespaced: bool = True) -> Resource[PartialObjectMetadata]:
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=kind,
        singular=kind.lower(),
        type=PartialObjectMetadata,
        is_namespaced=is_namespaced,
    )


RBAC = "rbac.authorization.k8s.io"
CONFIG_MAPS = _resource("", "configmaps", "ConfigMap")
CRDS = _resource("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", is_namespaced=False)
RESOURCES: tuple[Resource[Any], ...] = (
    NAMESPACES,
    CRDS,
    _resource("", "serviceaccounts", "ServiceAccount"),
    CONFIG_MAPS,
    _resource(RBAC, "roles", "Role"),
    _resource(RBAC, "rolebindings", "RoleBinding"),
    _resource(RBAC, "clusterroles", "ClusterRole", is_namespaced=False),
    _resource(RBAC, "clusterrolebindings", "ClusterRoleBinding", is_namespaced=False),
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
)
BY_KIND: Mapping[str, Resource[Any]] = {resource.kind: resource for resource in RESOURCES}


class Manifest(msgspec.Struct, frozen=True):
    """One object. `namespace` is empty for an object of the cluster."""

    resource: Resource[Any]
    namespace: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    def __str__(self) -> str:
        group = f".{self.resource.group}" if self.resource.group else ""
        return f"{self.resource.singular}{group}/{self.name}"


def manifests(namespace: str | None = None) -> tuple[Manifest, ...]:
    """In the order in which they can be applied. Without a namespace: for the whole cluster, with a namespace of their own."""
    text = _read("install.yaml" if namespace is None else "install-namespace.yaml")
    return tuple(_manifest(body, namespace or SYSTEM_NAMESPACE) for body in yaml.safe_load_all(text))


def definitions() -> tuple[Manifest, ...]:
    """The CustomResourceDefinitions alone."""
    return tuple(manifest for manifest in manifests() if manifest.resource is CRDS)


def settings_of(manifest: Manifest, body: dict[str, Any] | None) -> str:
    """The controller's settings file, as it is in the cluster, or else as shipped."""
    data = (body or manifest.body).get("data") or {}
    return str(data.get("config.yaml", ""))


def with_image(manifests: Iterable[Manifest], image: str) -> tuple[Manifest, ...]:
    """The same manifests, with the controller from another image than `inplace:VERSION`."""
    return tuple(_with_image(manifest, image) if manifest.resource is DEPLOYMENTS else manifest for manifest in manifests)


def _with_image(manifest: Manifest, image: str) -> Manifest:
    body = msgspec.json.decode(msgspec.json.encode(manifest.body))
    for container in body["spec"]["template"]["spec"]["containers"]:
        container["image"] = image
    return msgspec.structs.replace(manifest, body=body)


def _manifest(body: dict[str, Any], namespace: str) -> Manifest:
    resource = BY_KIND[body["kind"]]
    return Manifest(resource, namespace if resource.is_namespaced else "", body)


def _read(name: str) -> str:
    packaged = PACKAGE / "manifests" / name
    return (packaged if packaged.is_file() else PACKAGE.parent / "deploy" / name).read_text()
