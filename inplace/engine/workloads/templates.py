"""Compares pod templates as plain JSON, and changes nothing in them but images.

Templates are compared with templates only, never a pod's spec with a template: admission injects into pods.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.model.objects.meta import CANNOT_BE_READ
from inplace.model.objects.pods import PodSpec
from inplace.model.objects.workloads import POD_TEMPLATE_HASH, Deployment, ReplicaSet

REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def spec_of(template: Mapping[str, Any]) -> PodSpec:
    """The pod spec of a template; empty where it is no template, since anybody may write a revision's data."""
    try:
        return msgspec.convert(template.get("spec") or {}, PodSpec)
    except CANNOT_BE_READ:
        return PodSpec()


def images_of(template: Mapping[str, Any]) -> dict[str, str]:
    return spec_of(template).images()


def init_names_of(template: Mapping[str, Any]) -> frozenset[str]:
    return spec_of(template).init_container_names()


def has_images(template: Mapping[str, Any], images: Mapping[str, str]) -> bool:
    """Whether it asks for these images."""
    have = images_of(template)
    return all(have.get(name) == image for name, image in images.items())


def with_images(template: Mapping[str, Any], images: Mapping[str, str]) -> dict[str, Any]:
    """A copy in which the named containers have these images."""
    spec = dict(template.get("spec") or {})
    for group in ("containers", "initContainers"):
        if group in spec:
            spec[group] = [{**c, "image": images[c["name"]]} if c["name"] in images else c for c in spec[group] or ()]
    return {**template, "spec": spec}


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal but for the pod-template-hash label, as the Deployment controller compares (`EqualIgnoreHash`)."""
    return bool(_comparable(one) == _comparable(other))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The paths at which two templates differ, images and pod-template-hash left out."""
    images = dict.fromkeys({**images_of(one), **images_of(other)}, "")
    return sorted(_paths(_comparable(with_images(one, images)), _comparable(with_images(other, images)), ""))


def fingerprint(template: Mapping[str, Any]) -> str:
    """A hash of the template without its images: templates that differ only in images have the same."""
    without_images = _comparable(with_images(template, dict.fromkeys(images_of(template), "")))
    return hashlib.sha256(json.dumps(without_images, sort_keys=True).encode()).hexdigest()[:16]


def _comparable(template: Mapping[str, Any]) -> Any:
    meta = dict(template.get("metadata") or {})
    meta["labels"] = {k: v for k, v in (meta.get("labels") or {}).items() if k != POD_TEMPLATE_HASH}
    return _without_nulls({**template, "metadata": meta})


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None and v not in ({}, [])}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value


def _paths(one: Any, other: Any, path: str) -> list[str]:
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        return [p for key in {**one, **other} for p in _paths(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [p for i, pair in enumerate(zip(one, other, strict=True)) for p in _paths(*pair, f"{path}[{i}]")]
    return [path]


def history_replica_set(deployment: Deployment, live: ReplicaSet, old_images: Mapping[str, str]) -> dict[str, Any]:
    """A ReplicaSet of 0 replicas that keeps the old template in the Deployment's history (design, section 5).

    Name and hash are functions of what it buries, so that a second attempt meets the first. It carries the live one's
    annotations (revision, change-cause), and the controller then raises the live one to the next revision.
    """
    template = with_images(live.spec.template, old_images)
    what = msgspec.json.encode([live.metadata.uid, live.revision, dict(sorted(old_images.items()))])
    number, digest = int.from_bytes(hashlib.sha256(what).digest()[:8]), ""
    for _ in range(10):
        number, rest = divmod(number, len(_SAFE))
        digest += _SAFE[rest]
    meta = {**(template.get("metadata") or {})}
    labels = {**(meta.get("labels") or {}), POD_TEMPLATE_HASH: digest}
    selector = {
        **(msgspec.to_builtins(live.spec.selector)),
        "matchLabels": {**(live.spec.selector.match_labels or {}), POD_TEMPLATE_HASH: digest},
    }
    annotations = live.metadata.annotations or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment.metadata.name[:240]}-{digest}",
            "namespace": deployment.metadata.namespace,
            "labels": labels,
            "annotations": {k: v for k, v in annotations.items() if k != REVISION_HISTORY and "inplace.dev/" not in k},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": deployment.metadata.name,
                    "uid": deployment.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": live.spec.min_ready_seconds,
            "selector": selector,
            "template": {**template, "metadata": {**meta, "labels": labels}},
        },
    }


def is_tombstone_done(live: ReplicaSet, revision_before: int) -> bool:
    """Whether the controller has raised the live ReplicaSet past the revision it had. That the history ReplicaSet exists
    proves nothing: a history limit of 0 removes it at once."""
    return live.revision > revision_before
