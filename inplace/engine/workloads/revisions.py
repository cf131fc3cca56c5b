"""The revisions that the stock controllers keep of a workload's template, and how their pods name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.snapshot import ObservedPod
from inplace.engine.workloads.templates import REVISION_HISTORY, images_of
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH

CHANGE_CAUSE = "kubernetes.io/change-cause"


class Revision(msgspec.Struct, frozen=True):
    """One revision of the template.

    `created_at`: when the object that keeps it, a ReplicaSet or a ControllerRevision, was created; empty where that object is
    older than the revision, since a classic rollback gives an older one a new number.
    """

    number: int
    template: Mapping[str, Any]
    cause: str = ""
    created_at: str = ""

    @property
    def images(self) -> dict[str, str]:
        return images_of(self.template)


def revision_of(number: int, template: Mapping[str, Any], meta: ObjectMeta) -> Revision:
    """`meta`: of the object that keeps it."""
    created_at = "" if meta.annotation(REVISION_HISTORY) else meta.creation_timestamp or ""
    return Revision(number, template, meta.annotation(CHANGE_CAUSE) or "", created_at)


class Lineage(msgspec.Struct, frozen=True):
    """What stands between a workload and a pod, for people.

    `owner`: `rs/web-5f55fd76bb`, or the name of a ControllerRevision; empty where nothing does. `revision`: its number; 0 where
    that is not known.
    """

    owner: str = ""
    revision: int = 0


def revision_label(facts: ObservedPod) -> str:
    """Names the revision of a StatefulSet's or DaemonSet's pod; empty for other pods."""
    return facts.pod.metadata.label(CONTROLLER_REVISION_HASH) or ""
