"""Takes a commit back that cannot be finished: the templates as they were, and then `paused` as its owner had it.

As careful as the way there. A Deployment is given back only after its controller has shown that it sees the ReplicaSet as it
was: by `updatedReplicas`, which has to be seen at 0 before, since a count that never changed proves nothing. A controller that
still saw the new template there would recreate every pod.
"""

from __future__ import annotations

from inplace.engine.actions import PatchTemplate, SetPaused
from inplace.engine.snapshot import DeploymentTarget, ReplicaSetTarget, Snapshot
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, WaitFor
from inplace.engine.workloads.template_last import controller_follows, preconditions, restore_field_owners, restore_paused
from inplace.engine.workloads.templates import has_images, history_replica_set, init_names_of
from inplace.model.objects.workloads import Deployment, ReplicaSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, Run


def may_uncommit(observed: Snapshot, run: Run) -> bool:
    """Not once the history says that there was a new revision: then the controller has taken the templates over, and they are
    what its owner can go back from."""
    match observed.target:
        case DeploymentTarget(deployment=deployment, replica_sets=replica_sets) if deployment is not None:
            live = _live_of(replica_sets, run.commit)
            if live is None or run.commit is None or live.revision > run.commit.revision:
                return False
            buried = history_replica_set(deployment, live, run.from_images)["metadata"]["name"]
            return all(rs.metadata.name != buried for rs in replica_sets)
        case ReplicaSetTarget():
            return run.commit is not None
        case _:
            return False


def uncommit(observed: Snapshot, run: Run, commit: CommitState) -> NextStep:
    """The one next act or wait."""
    match observed.target:
        case DeploymentTarget(deployment=deployment, replica_sets=replica_sets) if deployment is not None:
            live = _live_of(replica_sets, commit)
            if live is None:
                return Blocked(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
            return _of_deployment(observed, deployment, live, run, commit)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            if not has_images(rs.spec.template, run.from_images):
                return Perform(_patch(rs, "ReplicaSet", run.from_images), "putting the template back")
            return restore_field_owners(observed, run, rs, "ReplicaSet")
        case _:
            return Blocked("the target is gone")


def left_paused(observed: Snapshot, run: Run) -> bool:
    """By this run, and not by its owner."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None and run.commit is not None:
            return deployment.spec.paused and not run.commit.paused
        case _:
            return False


def give_pause_back(observed: Snapshot, run: Run) -> Perform | None:
    """At an early end: where the controller follows the templates already, nothing is to be held back."""
    target = observed.target
    if not isinstance(target, DeploymentTarget) or run.commit is None or may_uncommit(observed, run):
        return None
    return restore_paused(target, run)


def _of_deployment(observed: Snapshot, deployment: Deployment, live: ReplicaSet, run: Run, commit: CommitState) -> NextStep:
    before = commit.template or run.from_images
    is_old, live_is_old = has_images(deployment.spec.template, before), has_images(live.spec.template, run.from_images)
    if deployment.spec.paused == commit.paused and is_old and live_is_old:
        return restore_field_owners(observed, run, deployment, "Deployment")
    if not deployment.spec.paused:
        return Perform(SetPaused(*preconditions(deployment), paused=True), "pausing the Deployment while its templates go back")
    if not deployment.is_observed:
        return WaitFor("waiting for the Deployment controller to see the change")
    if not is_old:
        return Perform(_patch(deployment, "Deployment", before), "putting the Deployment's template back")
    if not live_is_old:
        if not commit.paused and deployment.spec.replicas and deployment.status.updated_replicas:
            return WaitFor("waiting for the Deployment controller to see that the ReplicaSet differs")
        return Perform(_patch(live, "ReplicaSet", run.from_images), "putting the ReplicaSet's template back")
    if not live.is_observed:
        return WaitFor("waiting for the ReplicaSet controller to see the old template")
    if not controller_follows(deployment):
        return WaitFor("waiting for the Deployment controller to adopt the ReplicaSet again")
    return Perform(SetPaused(*preconditions(deployment), paused=commit.paused), "unpausing the Deployment")


def _patch(workload: Deployment | ReplicaSet, kind: WorkloadKind, images: dict[str, str]) -> PatchTemplate:
    return PatchTemplate(*preconditions(workload), kind, images, init_names_of(workload.spec.template))


def _live_of(replica_sets: tuple[ReplicaSet, ...], commit: CommitState | None) -> ReplicaSet | None:
    return next((rs for rs in replica_sets if commit is not None and rs.metadata.uid == commit.live_uid), None)
