"""`spec.paused` of an InPlaceRollout, for commands: it also holds back a command that would drive the run without a
controller."""

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
    """The rollout that has this run; None where there is none, or rollouts may not be listed."""
    try:
        listed = api.list(INPLACE_ROLLOUTS, target.namespace).items
    except (NotFound, Forbidden):
        return None
    alive = (rollout for rollout in listed if rollout.metadata.deletion_timestamp is None)
    return next((rollout for rollout in alive if rollout.status.run_id == run.id), None)


def require_not_paused(api: ApiClient, target: TargetRef, run: Run | None) -> None:
    """Call it before an unfinished run is resumed or taken over. Raises `RefusedError`."""
    rollout = find_rollout(api, target, run) if run is not None and run.is_unfinished else None
    if run is not None and rollout is not None and is_paused_by_spec(rollout, run):
        raise RefusedError(f"{target} is held by InPlaceRollout {rollout.metadata.name}: {RELEASE_FIRST}")
