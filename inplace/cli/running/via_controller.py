"""`--controller`: leaves the run to the controller in the cluster, as an `InPlaceRollout`, and follows it.

The same command again follows the rollout that is still going on, instead of creating a second one.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, Result, run_foreground
from inplace.engine.runs.rollouts import rollout_from_run
from inplace.kube.errors import NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.refs import SHORT_NAMES
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout, Undo
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.followed_run import RolloutRun
from inplace.runtime.foreground.follower import Follower
from inplace.runtime.foreground.session import Session
from inplace.runtime.observability.frames import Frame

NO_CRD = "the cluster has no InPlaceRollout CRD: install the controller with `inplace install`, or leave out --controller"


def run_via_controller(cluster: ClusterContext, run: Run, options: ForegroundOptions, undo: Undo | None = None) -> ExitCode:
    """Creates the rollout and follows it. Raises as `run_foreground` does; `RefusedError` if the cluster has no controller."""

    def follow(session: Session, on_frame: Callable[[Frame], None]) -> Result:
        for warning in session.view.new_pod_warnings(run):
            streams.note(f"warning: {warning}")
        rollout = _existing_rollout(cluster, run, undo) or _create_rollout(cluster, run, undo)
        session.has_started = True
        return Follower(session.view, RolloutRun(cluster.api, rollout, session.notify), on_frame).follow()

    return run_foreground(cluster, run.target, follow, options)


def _existing_rollout(cluster: ClusterContext, run: Run, undo: Undo | None) -> InPlaceRollout | None:
    """Finds an unfinished rollout for the same images on the same target."""
    requested = rollout_from_run(run, "", undo).spec
    try:
        listed = cluster.api.list(INPLACE_ROLLOUTS, run.target.namespace).items
    except NotFound:
        raise RefusedError(NO_CRD) from None
    for rollout in listed:
        spec = rollout.spec
        is_same = (spec.target, spec.images, spec.undo) == (requested.target, requested.images, requested.undo)
        if is_same and rollout.status.phase not in TERMINAL_PHASES:
            streams.note(f"inplacerollout/{rollout.metadata.name} is already doing this: following it")
            return rollout
    return None


def _create_rollout(cluster: ClusterContext, run: Run, undo: Undo | None) -> InPlaceRollout:
    target = run.target
    word = target.name or "pods"
    name = f"{word[:200]}-{SHORT_NAMES[target.kind] if target.kind != 'Pods' else 'pods'}-{run.id[:8]}"
    created = cluster.api.create(INPLACE_ROLLOUTS, target.namespace, rollout_from_run(run, name, undo))
    streams.note(f"created inplacerollout/{created.metadata.name} in namespace {target.namespace}")
    return created
