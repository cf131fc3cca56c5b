"""`--controller`: the run is left to the controller in the cluster, as an `InPlaceRollout`, and followed here.

The same command again follows the one that goes on already, instead of asking for a second one.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.cli import out
from inplace.cli.driving import Result, Showing, drive
from inplace.cli.exits import Code
from inplace.cli.world import Cluster
from inplace.engine.rollouts import rollout_of
from inplace.kube.errors import NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.names import SHORT
from inplace.model.rollout import OVER, InPlaceRollout, Undo
from inplace.model.run import Run
from inplace.runtime.following import Follower
from inplace.runtime.found import Refused
from inplace.runtime.frames import Frame
from inplace.runtime.session import Session
from inplace.runtime.subjects import ByRollout

NO_CRD = "the cluster knows no InPlaceRollout: `inplace install` installs the controller; or leave out --controller"


def hand_over(cluster: Cluster, run: Run, how: Showing, undo: Undo | None = None) -> Code:
    """Creates the rollout and follows it. Raises as `drive` does; `Refused` where the cluster has no controller."""

    def act(session: Session, told: Callable[[Frame], None]) -> Result:
        for told_before in session.new_pods(run):
            out.note(f"warning: {told_before}")
        rollout = _going_on(cluster, run, undo) or _created(cluster, run, undo)
        session.has_begun = True
        return Follower(session, ByRollout(cluster.api, rollout, session.said), told).follow()

    return drive(cluster, run.target, act, how)


def _going_on(cluster: Cluster, run: Run, undo: Undo | None) -> InPlaceRollout | None:
    """One for the same images on the same target that is not over."""
    wanted = rollout_of(run, "", undo).spec
    try:
        listed = cluster.api.list(INPLACE_ROLLOUTS, run.target.namespace).items
    except NotFound:
        raise Refused(NO_CRD) from None
    for rollout in listed:
        spec = rollout.spec
        is_same = (spec.target, spec.images, spec.undo) == (wanted.target, wanted.images, wanted.undo)
        if is_same and rollout.status.phase not in OVER:
            out.note(f"inplacerollout/{rollout.metadata.name} is doing that already: following it")
            return rollout
    return None


def _created(cluster: Cluster, run: Run, undo: Undo | None) -> InPlaceRollout:
    target = run.target
    word = target.name or "pods"
    name = f"{word[:200]}-{SHORT[target.kind] if target.kind != 'Pods' else 'pods'}-{run.id[:8]}"
    created = cluster.api.create(INPLACE_ROLLOUTS, target.namespace, rollout_of(run, name, undo))
    out.note(f"created inplacerollout/{created.metadata.name} in namespace {target.namespace}")
    return created
