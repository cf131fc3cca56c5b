"""The brake of an InPlaceRollout, for commands: whoever would drive its run without a controller is held by it, too."""

from __future__ import annotations

from inplace.engine.runs.spec_paused import RELEASE_FIRST, is_paused_by_spec
from inplace.kube.api import ApiClient
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.refs import TargetRef
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError


def find_rollout(api: ApiClient, target: TargetRef, run: Run) -> InPlaceRollout | None:
    """The one whose run that is, where there is one and we may look."""
    try:
        listed = api.list(INPLACE_ROLLOUTS, target.namespace).items
    except (NotFound, Forbidden):
        return None
    alive = (each for each in listed if each.metadata.deletion_timestamp is None)
    return next((each for each in alive if each.status.run_id == run.id), None)


def require_not_paused(api: ApiClient, target: TargetRef, run: Run | None) -> None:
    """Before a run that is open is gone on with, or taken over. Raises `Refused`."""
    rollout = find_rollout(api, target, run) if run is not None and run.is_unfinished else None
    if run is not None and rollout is not None and is_paused_by_spec(rollout, run):
        raise RefusedError(f"{target} is held by InPlaceRollout {rollout.metadata.name}: {RELEASE_FIRST}")
