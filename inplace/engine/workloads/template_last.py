"""Makes a Deployment or a ReplicaSet consistent after its pods: the template-last commit (design, section 5).

Each call looks at everything and returns the one next step, so that the same function finishes a commit wherever it was cut
off. Safety lies in the order: neither template of a Deployment is ever patched unpaused, and the owner's `paused` is restored
only after the controller has shown, by the revision, that it takes the upgraded ReplicaSet for the new one.
"""

from __future__ import annotations

from collections.abc import Mapping

from inplace.engine.actions import (
    Action,
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    FieldsKind,
    PatchTemplate,
    RestoreFieldOwners,
    SetPaused,
)
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, RelistPods, WaitFor
from inplace.engine.workloads.templates import (
    has_images,
    history_replica_set,
    init_names_of,
    is_tombstone_done,
    same_template,
    with_images,
)
from inplace.model.objects.workloads import Deployment, ReplicaSet, Workload
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, FieldOwner, Run

GONE = Blocked("the target is gone")


def next_for_replica_set(snapshot: Snapshot, rs: ReplicaSet, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
    """The next step of a ReplicaSet's commit."""
    if not has_images(rs.spec.template, run.images):
        return Perform(_patch_replica_set(rs, run), "patching the template")
    if not rs.is_observed:
        return WaitFor("waiting for the ReplicaSet controller to see the new template")
    if not listed_fresh.get("replicaset"):
        return RelistPods("replicaset")
    return restore_field_owners(snapshot, run, rs, "ReplicaSet")


def next_for_deployment(
    snapshot: Snapshot,
    deployment: Deployment,
    replica_sets: tuple[ReplicaSet, ...],
    run: Run,
    commit: CommitState,
    listed_fresh: Mapping[str, bool],
) -> NextStep:
    """The next step of a Deployment's commit.

    `listed_fresh`: for each moment of a `RelistPods` before, whether a list made after it shows every pod updated.
    """
    live = next((rs for rs in replica_sets if rs.metadata.uid == commit.live_uid), None)
    if live is None:
        return Blocked(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
    history_wanted = run.from_images != run.images and "history" not in run.forgone
    templates = (deployment.spec.template, live.spec.template)
    are_new = all(has_images(template, run.images) for template in templates)
    if not are_new or (history_wanted and not is_tombstone_done(live, commit.revision)):
        return _steps_while_paused(deployment, live, replica_sets, run, listed_fresh)
    if deployment.spec.paused != commit.paused:
        return Perform(SetPaused(*preconditions(deployment), paused=commit.paused), "unpausing the Deployment")
    if not deployment.is_observed:
        return WaitFor("waiting for the Deployment controller to see that it is unpaused")
    return restore_field_owners(snapshot, run, deployment, "Deployment")


def _steps_while_paused(
    deployment: Deployment,
    live: ReplicaSet,
    replica_sets: tuple[ReplicaSet, ...],
    run: Run,
    listed_fresh: Mapping[str, bool],
) -> NextStep:
    """The steps that are safe only while the Deployment is paused, in order."""
    if not deployment.spec.paused:
        return Perform(SetPaused(*preconditions(deployment), paused=True), "pausing the Deployment while its templates change")
    if not deployment.is_observed:
        return WaitFor("waiting for the Deployment controller to see the change")
    is_new, live_is_new = has_images(deployment.spec.template, run.images), has_images(live.spec.template, run.images)
    removal = None if is_new and live_is_new else _remove_duplicate(live, replica_sets, run)
    if removal is not None:
        return removal
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
    keeping = CreateHistoryReplicaSet(manifest["metadata"]["name"], manifest)
    return Perform(keeping, "keeping the old template in the history", "history")


def _patch_replica_set(rs: ReplicaSet, run: Run) -> Action:
    return PatchTemplate(*preconditions(rs), "ReplicaSet", run.images, init_names_of(rs.spec.template))


def _patch_deployment(deployment: Deployment, run: Run) -> Action:
    return PatchTemplate(*preconditions(deployment), "Deployment", run.images, init_names_of(deployment.spec.template))


def controller_follows(deployment: Deployment) -> bool:
    """Whether the controller has seen the ReplicaSet's new template.

    `updatedReplicas == replicas` proves it. At 0 replicas that proves nothing, and the templates, compared before, must do.
    """
    status = deployment.status
    if not deployment.is_observed:
        return False
    if deployment.spec.replicas == 0:
        return True
    return status.replicas > 0 and status.updated_replicas == status.replicas


def _remove_duplicate(live: ReplicaSet, replica_sets: tuple[ReplicaSet, ...], run: Run) -> NextStep | None:
    """Removes another owned ReplicaSet that has the new template already.

    The controller picks the *oldest* match, so `updatedReplicas` would stay 0 and unpausing would recreate every pod.
    """
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


def restore_paused(deployment: Deployment | None, run: Run) -> Perform | None:
    """Restores `paused` although the commit is not done."""
    if deployment is None or run.commit is None or deployment.spec.paused == run.commit.paused:
        return None
    return Perform(SetPaused(*preconditions(deployment), paused=run.commit.paused), "unpausing the Deployment")


def restore_field_owners(snapshot: Snapshot, run: Run, workload: Workload, kind: WorkloadKind) -> Perform | Done:
    """The last step of every sequence: image fields go back to who had applied them."""
    return _restore_owners(snapshot, run, preconditions(workload), kind, run.owners)


def restore_pod_field_owners(snapshot: Snapshot, run: Run) -> Perform | Done:
    """The same for bare pods, one by one."""
    for facts in snapshot.pods:
        owners = tuple(owner for owner in run.owners if owner.pod in ("", facts.pod.name))
        step = _restore_owners(snapshot, run, (facts.ref.name, facts.ref.uid, facts.ref.resource_version), "Pod", owners)
        if isinstance(step, Perform):
            return step
    return Done()


def _restore_owners(
    snapshot: Snapshot, run: Run, ref: tuple[str, str, str], kind: FieldsKind, owners: tuple[FieldOwner, ...]
) -> Perform | Done:
    if not (owners or run.saved_strategy is not None) or ref[1] in snapshot.fields_returned or "fields" in run.forgone:
        return Done()
    return Perform(RestoreFieldOwners(*ref, kind=kind, owners=owners), "returning image fields to their owner", "fields")


def preconditions(workload: Workload) -> tuple[str, str, str]:
    """Name, uid and resourceVersion of the workload that an action was decided on."""
    meta = workload.metadata
    return meta.name, meta.uid, meta.resource_version
