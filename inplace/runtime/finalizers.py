"""Our finalizer on a rollout: there while something must be freed before the rollout may go, and only then.

That is while pods are in flight, and, if a deletion is to roll them back first (`onDelete: Abort`), while the run is
unfinished. A rollout that stands at a pause has no finalizer: it can be deleted, alone or with its namespace, without a
controller.
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
    """The rollout as if it were being deleted: it is gone already, and what it held must be freed all the same."""
    meta = msgspec.structs.replace(rollout.metadata, deletion_timestamp=rollout.metadata.deletion_timestamp or "gone")
    return msgspec.structs.replace(rollout, metadata=meta)


def remove_finalizer(api: ApiClient, rollout: InPlaceRollout) -> bool:
    """Removes it from a rollout that nobody drives. False: the rollout is gone, or has changed. Raises `ApiError`."""
    meta = rollout.metadata
    body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": without_finalizer(rollout)}}
    with suppress(NotFound, Conflict):
        api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, body, MERGE)
        return True
    return False
