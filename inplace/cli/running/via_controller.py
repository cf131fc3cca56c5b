"""`--controller`: the run is left to the controller in the cluster, as an `InPlaceRollout`, and followed here.

The same command again follows the one that goes on already, instead of asking for a second one.
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

NO_CRD = "the cluster knows no InPlaceRollout: `inplace install` installs the controller; or leave out --controller"


def run_via_controller(cluster: ClusterContext, run: Run, how: ForegroundOptions, undo: Undo | None = None) -> ExitCode:
    """Creates the rollout and follows it. Raises as `drive` does; `Refused` where the cluster has no controller."""

    def act(session: Session, told: Callable[[Frame], None]) -> Result:
        for told_before in session.new_pods(run):
            streams.note(f"warning: {told_before}")
        rollout = _existing_rollout(cluster, run, undo) or _created(cluster, run, undo)
        session.has_started = True
        return Follower(session, RolloutRun(cluster.api, rollout, session.notify), told).follow()

    return run_foreground(cluster, run.target, act, how)


def _existing_rollout(cluster: ClusterContext, run: Run, undo: Undo | None) -> InPlaceRollout | None:
    """One for the same images on the same target that is not over."""
    wanted = rollout_from_run(run, "", undo).spec
    try:
        listed = cluster.api.list(INPLACE_ROLLOUTS, run.target.namespace).items
    except NotFound:
        raise RefusedError(NO_CRD) from None
    for rollout in listed:
        spec = rollout.spec
        is_same = (spec.target, spec.images, spec.undo) == (wanted.target, wanted.images, wanted.undo)
        if is_same and rollout.status.phase not in TERMINAL_PHASES:
            streams.note(f"inplacerollout/{rollout.metadata.name} is doing that already: following it")
            return rollout
    return None


def _created(cluster: ClusterContext, run: Run, undo: Undo | None) -> InPlaceRollout:
    target = run.target
    word = target.name or "pods"
    name = f"{word[:200]}-{SHORT_NAMES[target.kind] if target.kind != 'Pods' else 'pods'}-{run.id[:8]}"
    created = cluster.api.create(INPLACE_ROLLOUTS, target.namespace, rollout_from_run(run, name, undo))
    streams.note(f"created inplacerollout/{created.metadata.name} in namespace {target.namespace}")
    return created
