"""Takes a commit back that cannot be finished: the templates as they were, and then `paused` as its owner had it.

As careful as the way there. A Deployment is given back only after its controller has shown that it sees the ReplicaSet as it
was: by `updatedReplicas`, which has to be seen at 0 before, since a count that never changed proves nothing. A controller that
still saw the new template there would recreate every pod.
"""

from __future__ import annotations

from inplace.engine.actions import PatchTemplate, PauseTarget
from inplace.engine.acts import Act, Await, Broken, Next
from inplace.engine.commit import controller_follows, give_back, judged, unpause
from inplace.engine.observed import DeploymentTarget, Observed, ReplicaSetTarget
from inplace.engine.templates import holds, init_names_of, tombstone
from inplace.model.names import WorkloadKind
from inplace.model.run import Commit, Run
from inplace.model.workloads import Deployment, ReplicaSet


def may_uncommit(observed: Observed, run: Run) -> bool:
    """Not once the history says that there was a new revision: then the controller has taken the templates over, and they are
    what its owner can go back from."""
    match observed.target:
        case DeploymentTarget(deployment=deployment, replica_sets=replica_sets) if deployment is not None:
            live = _live_of(replica_sets, run.commit)
            if live is None or run.commit is None or live.revision > run.commit.revision:
                return False
            buried = tombstone(deployment, live, run.from_images)["metadata"]["name"]
            return all(rs.metadata.name != buried for rs in replica_sets)
        case ReplicaSetTarget():
            return run.commit is not None
        case _:
            return False


def uncommit(observed: Observed, run: Run, commit: Commit) -> Next:
    """The one next act or wait."""
    match observed.target:
        case DeploymentTarget(deployment=deployment, replica_sets=replica_sets) if deployment is not None:
            live = _live_of(replica_sets, commit)
            if live is None:
                return Broken(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
            return _of_deployment(observed, deployment, live, run, commit)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            if not holds(rs.spec.template, run.from_images):
                return Act(_patch(rs, "ReplicaSet", run.from_images), "putting the template back")
            return give_back(observed, run, rs, "ReplicaSet")
        case _:
            return Broken("the target is gone")


def left_paused(observed: Observed, run: Run) -> bool:
    """By this run, and not by its owner."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None and run.commit is not None:
            return deployment.spec.paused and not run.commit.paused
        case _:
            return False


def give_pause_back(observed: Observed, run: Run) -> Act | None:
    """At an early end: where the controller follows the templates already, nothing is to be held back."""
    target = observed.target
    if not isinstance(target, DeploymentTarget) or run.commit is None or may_uncommit(observed, run):
        return None
    return unpause(target, run)


def _of_deployment(observed: Observed, deployment: Deployment, live: ReplicaSet, run: Run, commit: Commit) -> Next:
    before = commit.template or run.from_images
    is_old, live_is_old = holds(deployment.spec.template, before), holds(live.spec.template, run.from_images)
    if deployment.spec.paused == commit.paused and is_old and live_is_old:
        return give_back(observed, run, deployment, "Deployment")
    if not deployment.spec.paused:
        return Act(PauseTarget(*judged(deployment), paused=True), "pausing the Deployment while its templates go back")
    if not deployment.is_observed:
        return Await("waiting for the Deployment controller to see the change")
    if not is_old:
        return Act(_patch(deployment, "Deployment", before), "putting the Deployment's template back")
    if not live_is_old:
        if not commit.paused and deployment.spec.replicas and deployment.status.updated_replicas:
            return Await("waiting for the Deployment controller to see that the ReplicaSet differs")
        return Act(_patch(live, "ReplicaSet", run.from_images), "putting the ReplicaSet's template back")
    if not live.is_observed:
        return Await("waiting for the ReplicaSet controller to see the old template")
    if not controller_follows(deployment):
        return Await("waiting for the Deployment controller to adopt the ReplicaSet again")
    return Act(PauseTarget(*judged(deployment), paused=commit.paused), "unpausing the Deployment")


def _patch(workload: Deployment | ReplicaSet, kind: WorkloadKind, images: dict[str, str]) -> PatchTemplate:
    return PatchTemplate(*judged(workload), kind, images, init_names_of(workload.spec.template))


def _live_of(replica_sets: tuple[ReplicaSet, ...], commit: Commit | None) -> ReplicaSet | None:
    return next((rs for rs in replica_sets if commit is not None and rs.metadata.uid == commit.live_uid), None)
