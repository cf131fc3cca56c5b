"""A few manifests of kinds that the embedded cluster serves."""

from __future__ import annotations

from typing import Any

from inplace.runtime.manifests import BY_KIND, OURS, Manifest

LABELS = dict([OURS])


def manifest(kind: str, name: str, namespace: str = "inplace-system", **body: Any) -> Manifest:
    resource = BY_KIND[kind]
    metadata = {"name": name, "labels": LABELS, **({"namespace": namespace} if resource.is_namespaced else {})}
    whole = {"apiVersion": resource.api_version, "kind": kind, "metadata": metadata, **body}
    return Manifest(resource, namespace if resource.is_namespaced else "", whole)


NAMESPACE = manifest("Namespace", "inplace-system")
ACCOUNT = manifest("ServiceAccount", "inplace-controller")
SETTINGS = manifest("ConfigMap", "inplace-controller", data={"config.yaml": "resyncSeconds: 60\n"})
ALL = (NAMESPACE, ACCOUNT, SETTINGS)
