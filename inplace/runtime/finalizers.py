"""Our finalizer on a rollout: there while something is to be freed before the rollout may go, and only then.

That is while pods are in flight, and, where a deletion is to take them back first (`onDelete: Abort`), while the run is open.
One that stands at a pause is kept by nothing: whoever deletes it, or its namespace, needs no controller.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import Conflict, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.constants import FINALIZER
from inplace.model.rollout import InPlaceRollout


def has_finalizer(rollout: InPlaceRollout) -> bool:
    return FINALIZER in (rollout.metadata.finalizers or ())


def with_finalizer(rollout: InPlaceRollout) -> list[str]:
    return [*(rollout.metadata.finalizers or ()), FINALIZER]


def without_finalizer(rollout: InPlaceRollout) -> list[str]:
    return [name for name in rollout.metadata.finalizers or () if name != FINALIZER]


def as_deleted(rollout: InPlaceRollout) -> InPlaceRollout:
    """One that is gone already: nothing of ours has kept it, and what it held is let go like that of one being deleted."""
    meta = msgspec.structs.replace(rollout.metadata, deletion_timestamp=rollout.metadata.deletion_timestamp or "gone")
    return msgspec.structs.replace(rollout, metadata=meta)


def free(api: ApiClient, rollout: InPlaceRollout) -> bool:
    """Takes it off, where nobody carries the rollout out. False: it is gone, or has changed since. Raises `ApiError`."""
    meta = rollout.metadata
    body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": without_finalizer(rollout)}}
    with suppress(NotFound, Conflict):
        api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, body, MERGE)
        return True
    return False
