"""Builders of workloads, as the API server would show them: `tests.builders` has the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.snapshot import DaemonSetTarget, StatefulSetTarget
from inplace.model.constants import DEFAULT_GATE
from inplace.model.objects.meta import LabelSelector, ObjectMeta, OwnerReference
from inplace.model.objects.workloads import (
    CONTROLLER_REVISION_HASH,
    POD_TEMPLATE_HASH,
    REVISION,
    ControllerRevision,
    DaemonSet,
    DaemonSetSpec,
    DaemonSetStatus,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    Ordinals,
    ReplicaSet,
    ReplicaSetSpec,
    RollingUpdate,
    StatefulSet,
    StatefulSetSpec,
    StatefulSetStatus,
    WorkloadStatus,
)

NS = "default"
GATE = DEFAULT_GATE
OLD = {"app": "repo/app:1"}
DEPLOYMENT_UID = "uid-deploy-web"
LIVE_UID = "uid-rs-web-1"


def template(images: Mapping[str, str] = OLD, hash_: str = "", **pod_spec: Any) -> dict[str, Any]:
    labels = {"app": "web"} | ({POD_TEMPLATE_HASH: hash_} if hash_ else {})
    probe = {"periodSeconds": 1}
    spec = {
        "containers": [{"name": n, "image": i, "readinessProbe": probe} for n, i in images.items()],
        "readinessGates": [{"conditionType": GATE}],
        "terminationGracePeriodSeconds": 30,
    }
    return {"metadata": {"labels": labels, "creationTimestamp": None}, "spec": {**spec, **pod_spec}}


def deployment(
    images: Mapping[str, str] = OLD,
    *,
    replicas: int = 3,
    paused: bool = False,
    generation: int = 1,
    observed: int | None = None,
    updated: int | None = None,
    max_unavailable: int | str | None = "25%",
    min_ready: int = 0,
    version: int = 100,
    template_: Mapping[str, Any] | None = None,
) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name="web", namespace=NS, uid=DEPLOYMENT_UID, resource_version=str(version), generation=generation),
        spec=DeploymentSpec(
            selector=LabelSelector(match_labels={"app": "web"}),
            template=dict(template_) if template_ is not None else template(images),
            replicas=replicas,
            min_ready_seconds=min_ready,
            paused=paused,
            strategy=DeploymentStrategy(rolling_update=RollingUpdate(max_unavailable=max_unavailable)),
        ),
        status=WorkloadStatus(
            observed_generation=generation if observed is None else observed,
            replicas=replicas,
            updated_replicas=replicas if updated is None else updated,
        ),
    )


def replica_set(
    images: Mapping[str, str] = OLD,
    *,
    name: str = "web-1",
    uid: str = LIVE_UID,
    replicas: int = 3,
    revision: int = 1,
    generation: int = 1,
    observed: int | None = None,
    version: int = 200,
    annotations: Mapping[str, str] = {},
    owner: OwnerReference | None = None,
    template_: Mapping[str, Any] | None = None,
) -> ReplicaSet:
    hash_ = name.rsplit("-", 1)[-1]
    return ReplicaSet(
        metadata=ObjectMeta(
            name=name,
            namespace=NS,
            uid=uid,
            resource_version=str(version),
            generation=generation,
            annotations={REVISION: str(revision), **annotations},
            owner_references=(owner,) if owner else None,
        ),
        spec=ReplicaSetSpec(
            selector=LabelSelector(match_labels={"app": "web", POD_TEMPLATE_HASH: hash_}),
            template=dict(template_) if template_ is not None else template(images, hash_),
            replicas=replicas,
        ),
        status=WorkloadStatus(observed_generation=generation if observed is None else observed, replicas=replicas),
    )


def partition(index: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": index}}


def revision(
    number: int = 1, images: Mapping[str, str] = OLD, *, template_: Mapping[str, Any] | None = None
) -> ControllerRevision:
    """Called web-1, with the hash 1."""
    meta = ObjectMeta(name=f"web-{number}", namespace=NS, labels={CONTROLLER_REVISION_HASH: str(number)})
    held = {"$patch": "replace", **(template_ if template_ is not None else template(images))}
    return ControllerRevision(metadata=meta, revision=number, data={"spec": {"template": held}})


def stateful_set(
    images: Mapping[str, str] = OLD,
    *revisions: ControllerRevision,
    replicas: int = 3,
    strategy: Mapping[str, Any] = partition(0),
    current: str = "web-1",
    update: str = "web-1",
    updated: int | None = None,
    ready: int | None = None,
    generation: int = 1,
    observed: int | None = None,
    ordered: bool = False,
    start: int = 0,
    template_: Mapping[str, Any] | None = None,
) -> StatefulSetTarget:
    """With revision 1 unless told."""
    workload = StatefulSet(
        metadata=ObjectMeta(name="web", namespace=NS, uid=DEPLOYMENT_UID, resource_version="100", generation=generation),
        spec=StatefulSetSpec(
            template=dict(template_) if template_ is not None else template(images),
            replicas=replicas,
            pod_management_policy="OrderedReady" if ordered else "Parallel",
            update_strategy=dict(strategy),
            ordinals=Ordinals(start) if start else None,
        ),
        status=StatefulSetStatus(
            observed_generation=generation if observed is None else observed,
            replicas=replicas,
            updated_replicas=replicas if updated is None else updated,
            ready_replicas=replicas if ready is None else ready,
            current_revision=current,
            update_revision=update,
        ),
    )
    return StatefulSetTarget(workload, revisions or (revision(),))


def daemon_set(
    images: Mapping[str, str] = OLD,
    *revisions: ControllerRevision,
    desired: int = 2,
    strategy: Mapping[str, Any] = {"type": "RollingUpdate"},
    updated: int | None = None,
    generation: int = 1,
    observed: int | None = None,
    template_: Mapping[str, Any] | None = None,
) -> DaemonSetTarget:
    """With revision 1 unless told."""
    workload = DaemonSet(
        metadata=ObjectMeta(name="web", namespace=NS, uid=DEPLOYMENT_UID, resource_version="100", generation=generation),
        spec=DaemonSetSpec(
            template=dict(template_) if template_ is not None else template(images), update_strategy=dict(strategy)
        ),
        status=DaemonSetStatus(
            observed_generation=generation if observed is None else observed,
            desired_number_scheduled=desired,
            updated_number_scheduled=desired if updated is None else updated,
        ),
    )
    return DaemonSetTarget(workload, revisions or (revision(),))
