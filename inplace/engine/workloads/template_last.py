"""Makes the workload end consistent, after its pods: the template-last commit (design, section 5).

Each call looks at everything and names the one next act or wait, so that a commit cut off anywhere is finished by the same
function. The order is the safety: neither template of a Deployment is ever patched unpaused, and the user's `paused` is given
back only after the controller has shown, by the revision, that it takes the upgraded ReplicaSet for the new one.
"""

from __future__ import annotations

from collections.abc import Mapping

from inplace.engine.actions import (
    Action,
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    FieldsOf,
    PatchTemplate,
    RestoreFieldOwners,
    SetPaused,
)
from inplace.engine.snapshot import DeploymentTarget, PodsTarget, ReplicaSetTarget, Snapshot
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, RelistPods, WaitFor
from inplace.engine.workloads.templates import (
    has_images,
    history_replica_set,
    images_of,
    init_names_of,
    is_tombstone_done,
    same_template,
    with_images,
)
from inplace.model.objects.workloads import Deployment, ReplicaSet, Workload
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, FieldOwner, Run


def start_commit(observed: Snapshot, run: Run) -> CommitState | None:
    """What must be saved before the first write of a commit; None where nothing is to be committed: a run that goes back has
    not touched the templates, and what its user has changed in them stays."""
    if run.rolling_back:
        return None
    match observed.target:
        case PodsTarget():
            return None
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return None if has_images(rs.spec.template, run.images) else CommitState(live_uid=rs.metadata.uid)
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            live = active_replica_set(observed.target)
            if live is None or (
                has_images(deployment.spec.template, run.images) and has_images(live.spec.template, run.images)
            ):
                return None
            have = images_of(deployment.spec.template)
            template = {name: have[name] for name in run.images if name in have}
            return CommitState(paused=run.paused, live_uid=live.metadata.uid, revision=live.revision, template=template)
        case _:
            return None


def active_replica_set(target: DeploymentTarget) -> ReplicaSet | None:
    """The one ReplicaSet that has pods; at 0 replicas, the newest."""
    active = [rs for rs in target.replica_sets if rs.is_active]
    if active:
        return active[0] if len(active) == 1 else None
    return max(target.replica_sets, key=lambda rs: rs.revision, default=None)


def next_step(observed: Snapshot, run: Run, commit: CommitState, listed_fresh: Mapping[str, bool]) -> NextStep:
    """`listed_fresh`: for each moment asked for before, whether a list made after it shows every pod updated."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return _next_for_deployment(observed, deployment, run, commit, listed_fresh)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return _next_for_replica_set(observed, rs, run, listed_fresh)
        case _:
            return Blocked("the target is gone")


def _next_for_replica_set(observed: Snapshot, rs: ReplicaSet, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
    if not has_images(rs.spec.template, run.images):
        return Perform(_patch_replica_set(rs, run), "patching the template")
    if not rs.is_observed:
        return WaitFor("waiting for the ReplicaSet controller to see the new template")
    if not listed_fresh.get("replicaset"):
        return RelistPods("replicaset")
    return restore_field_owners(observed, run, rs, "ReplicaSet")


def _next_for_deployment(
    observed: Snapshot, deployment: Deployment, run: Run, commit: CommitState, listed_fresh: Mapping[str, bool]
) -> NextStep:
    assert isinstance(observed.target, DeploymentTarget)
    replica_sets = observed.target.replica_sets
    live = next((rs for rs in replica_sets if rs.metadata.uid == commit.live_uid), None)
    if live is None:
        return Blocked(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
    history_wanted = run.from_images != run.images and "history" not in run.forgone
    templates = (deployment.spec.template, live.spec.template)
    held = all(has_images(template, run.images) for template in templates)
    if not held or (history_wanted and not is_tombstone_done(live, commit.revision)):
        return _steps_while_paused(deployment, live, replica_sets, run, listed_fresh)
    if deployment.spec.paused != commit.paused:
        return Perform(SetPaused(*preconditions(deployment), paused=commit.paused), "unpausing the Deployment")
    if not deployment.is_observed:
        return WaitFor("waiting for the Deployment controller to see that it is unpaused")
    return restore_field_owners(observed, run, deployment, "Deployment")


def _steps_while_paused(
    deployment: Deployment,
    live: ReplicaSet,
    replica_sets: tuple[ReplicaSet, ...],
    run: Run,
    listed_fresh: Mapping[str, bool],
) -> NextStep:
    """The acts that are safe only while the Deployment is paused, in their order."""
    if not deployment.spec.paused:
        return Perform(SetPaused(*preconditions(deployment), paused=True), "pausing the Deployment while its templates change")
    if not deployment.is_observed:
        return WaitFor("waiting for the Deployment controller to see the change")
    is_new, live_is_new = has_images(deployment.spec.template, run.images), has_images(live.spec.template, run.images)
    twin = None if is_new and live_is_new else _duplicate_replica_set(live, replica_sets, run)
    if twin is not None:
        return twin
    if not live_is_new:
        return Perform(_patch_replica_set(live, run), "patching the ReplicaSet's template")
    if not live.is_observed:
        return WaitFor("waiting for the ReplicaSet controller to see the new template")
    if not is_new:
        if not listed_fresh.get("replicaset"):
            return RelistPods("replicaset")
        return Perform(_patch_deployment(deployment, run), "patching the Deployment's template")
    if not controller_follows(deployment):
        return WaitFor("waiting for the Deployment controller to adopt the ReplicaSet as the new one")
    manifest = history_replica_set(deployment, live, run.from_images)
    if any(rs.metadata.name == manifest["metadata"]["name"] for rs in replica_sets):
        return WaitFor("waiting for the Deployment controller to number the new revision", "history")
    burying = CreateHistoryReplicaSet(manifest["metadata"]["name"], manifest)
    return Perform(burying, "keeping the old template in the history", "history")


def _patch_replica_set(rs: ReplicaSet, run: Run) -> Action:
    return PatchTemplate(*preconditions(rs), "ReplicaSet", run.images, init_names_of(rs.spec.template))


def _patch_deployment(deployment: Deployment, run: Run) -> Action:
    return PatchTemplate(*preconditions(deployment), "Deployment", run.images, init_names_of(deployment.spec.template))


def controller_follows(deployment: Deployment) -> bool:
    """`updatedReplicas == replicas` proves that the controller has seen the ReplicaSet; vacuous at 0, where the templates,
    compared before, must do."""
    status = deployment.status
    if not deployment.is_observed:
        return False
    if deployment.spec.replicas == 0:
        return True
    return status.replicas > 0 and status.updated_replicas == status.replicas


def _duplicate_replica_set(live: ReplicaSet, replica_sets: tuple[ReplicaSet, ...], run: Run) -> NextStep | None:
    """Another owned ReplicaSet that holds the new template already: the controller picks the *oldest* match, so that
    `updatedReplicas` would stay 0 and unpausing would recreate every pod."""
    wanted = with_images(live.spec.template, run.images)
    for rs in replica_sets:
        if rs.metadata.uid != live.metadata.uid and same_template(rs.spec.template, wanted):
            if rs.metadata.deletion_timestamp is None:
                return Perform(
                    DeleteDuplicateReplicaSet(*preconditions(rs)), "removing an older ReplicaSet with the same template"
                )
            holding = ", ".join(rs.metadata.finalizers or ())
            held = f", which finalizers hold ({holding})" if holding else ""
            return WaitFor(f"waiting for rs/{rs.metadata.name}, an older one with the same template, to be gone{held}")
    return None


def restore_paused(target: DeploymentTarget, run: Run) -> Perform | None:
    """Gives `paused` back though the commit is not done."""
    deployment = target.deployment
    if deployment is None or run.commit is None or deployment.spec.paused == run.commit.paused:
        return None
    return Perform(SetPaused(*preconditions(deployment), paused=run.commit.paused), "unpausing the Deployment")


def restore_field_owners(observed: Snapshot, run: Run, workload: Workload, kind: WorkloadKind) -> NextStep:
    return _returning(observed, run, preconditions(workload), kind, run.owners)


def _returning(
    observed: Snapshot, run: Run, ref: tuple[str, str, str], kind: FieldsOf, owners: tuple[FieldOwner, ...]
) -> Perform | Done:
    if not (owners or run.saved_strategy is not None) or ref[1] in observed.fields_returned or "fields" in run.forgone:
        return Done()
    return Perform(RestoreFieldOwners(*ref, kind=kind, owners=owners), "returning image fields to their owner", "fields")


def finish_without_commit(observed: Snapshot, run: Run) -> NextStep:
    """Where no commit is needed. The owners of bare pods get their image fields back, too."""
    if isinstance(observed.target, PodsTarget):
        for facts in observed.pods:
            owners = tuple(owner for owner in run.owners if owner.pod in ("", facts.pod.name))
            returning = _returning(observed, run, (facts.ref.name, facts.ref.uid, facts.ref.resource_version), "Pod", owners)
            if isinstance(returning, Perform):
                return returning
    return Done()


def preconditions(workload: Workload) -> tuple[str, str, str]:
    """Name, uid and resourceVersion: what an action on the workload is judged on."""
    meta = workload.metadata
    return meta.name, meta.uid, meta.resource_version
