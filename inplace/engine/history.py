"""The revisions that the stock controllers keep of a workload's template, as kubectl numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.observed import (
    DaemonSetTarget,
    DeploymentTarget,
    PodsTarget,
    ReplicaSetTarget,
    StatefulSetTarget,
    Target,
)
from inplace.engine.templates import images_of
from inplace.model.meta import ObjectMeta

CHANGE_CAUSE = "kubernetes.io/change-cause"


class Revision(msgspec.Struct, frozen=True):
    """`created_at`: of the object that keeps it, a ReplicaSet or a ControllerRevision."""

    number: int
    template: Mapping[str, Any]
    cause: str = ""
    created_at: str = ""

    @property
    def images(self) -> dict[str, str]:
        return images_of(self.template)


def revisions(target: Target) -> tuple[Revision, ...]:
    """The oldest first. ReplicaSets and bare pods have none."""
    match target:
        case DeploymentTarget(replica_sets=replica_sets):
            kept = [_revision(rs.revision, rs.spec.template, rs.metadata) for rs in replica_sets]
        case StatefulSetTarget(revisions=stored) | DaemonSetTarget(revisions=stored):
            kept = [_revision(r.revision, r.template, r.metadata) for r in stored]
        case ReplicaSetTarget() | PodsTarget():
            kept = []
    return tuple(sorted((r for r in kept if r.number > 0), key=lambda r: r.number))


def _revision(number: int, template: Mapping[str, Any], meta: ObjectMeta) -> Revision:
    return Revision(number, template, meta.annotation(CHANGE_CAUSE) or "", meta.creation_timestamp or "")


def number_of(target: Target) -> int:
    """The newest one's; 0 for none."""
    return max((r.number for r in revisions(target)), default=0)
