"""Takes back a commit that cannot be finished: first the templates as they were, then `paused` as its owner had it.

As careful as the commit itself. A Deployment is unpaused only after its controller has shown that it sees the old template in
the ReplicaSet: by `updatedReplicas`, which must be seen at 0 before, since a count that never changed proves nothing. A
controller that still saw the new template there would recreate every pod.
"""

from __future__ import annotations

from inplace.engine.actions import PatchTemplate, SetPaused
from inplace.engine.snapshot import DeploymentTarget, Snapshot
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, WaitFor
from inplace.engine.workloads.template_last import GONE, controller_follows, preconditions, restore_field_owners
from inplace.engine.workloads.templates import has_images, history_replica_set, init_names_of
from inplace.model.objects.workloads import Deployment, ReplicaSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, Run


def deployment_may_uncommit(target: DeploymentTarget, run: Run) -> bool:
    """False once the history shows a new revision: then the controller has adopted the templates, and its owner can go back to
    the revision before."""
    deployment, live = target.deployment, _live_of(target.replica_sets, run.commit)
    if live is None or run.commit is None or live.revision > run.commit.revision:
        return False
    if deployment is None:
        return False
    kept = history_replica_set(deployment, live, run.from_images)["metadata"]["name"]
    return all(rs.metadata.name != kept for rs in target.replica_sets)


def uncommit_replica_set(snapshot: Snapshot, rs: ReplicaSet, run: Run) -> NextStep:
    if not has_images(rs.spec.template, run.from_images):
        return Perform(_patch(rs, "ReplicaSet", run.from_images), "putting the template back")
    return restore_field_owners(snapshot, run, rs, "ReplicaSet")


def uncommit_deployment(snapshot: Snapshot, target: DeploymentTarget, run: Run, commit: CommitState) -> NextStep:
    """The next step of the way back."""
    deployment, live = target.deployment, _live_of(target.replica_sets, commit)
    if deployment is None:
        return GONE
    if live is None:
        return Blocked(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
    before = commit.template or run.from_images
    is_old, live_is_old = has_images(deployment.spec.template, before), has_images(live.spec.template, run.from_images)
    if deployment.spec.paused == commit.paused and is_old and live_is_old:
        return restore_field_owners(snapshot, run, deployment, "Deployment")
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
