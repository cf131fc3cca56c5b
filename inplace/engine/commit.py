"""Makes the workload end consistent, after its pods: the template-last commit (design, section 5).

Each call looks at everything and names the one next act or wait, so that a commit cut off anywhere is finished by the same
function. The order is the safety: neither template of a Deployment is ever patched unpaused, and the user's `paused` is given
back only after the controller has shown, by the revision, that it takes the upgraded ReplicaSet for the new one.
"""

from __future__ import annotations

from collections.abc import Mapping

from inplace.engine.actions import (
    Action,
    CreateTombstone,
    DeleteTwin,
    FieldsOf,
    PatchTemplate,
    PauseTarget,
    ReturnFields,
)
from inplace.engine.acts import Act, Await, Broken, Done, FreshList, Next
from inplace.engine.observed import DeploymentTarget, Observed, PodsTarget, ReplicaSetTarget
from inplace.engine.templates import (
    holds,
    images_of,
    init_names_of,
    is_tombstone_done,
    same_template,
    tombstone,
    with_images,
)
from inplace.model.names import WorkloadKind
from inplace.model.run import Commit, FieldOwner, Run
from inplace.model.workloads import Deployment, ReplicaSet, Workload


def begin(observed: Observed, run: Run) -> Commit | None:
    """What must be saved before the first write of a commit; None where nothing is to be committed: a run that goes back has
    not touched the templates, and what its user has changed in them stays."""
    if run.rolling_back:
        return None
    match observed.target:
        case PodsTarget():
            return None
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return None if holds(rs.spec.template, run.images) else Commit(live_uid=rs.metadata.uid)
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            live = live_of(observed.target)
            if live is None or (holds(deployment.spec.template, run.images) and holds(live.spec.template, run.images)):
                return None
            have = images_of(deployment.spec.template)
            template = {name: have[name] for name in run.images if name in have}
            return Commit(paused=run.paused, live_uid=live.metadata.uid, revision=live.revision, template=template)
        case _:
            return None


def live_of(target: DeploymentTarget) -> ReplicaSet | None:
    """The one ReplicaSet that has pods; at 0 replicas, the newest."""
    active = [rs for rs in target.replica_sets if rs.is_active]
    if active:
        return active[0] if len(active) == 1 else None
    return max(target.replica_sets, key=lambda rs: rs.revision, default=None)


def next_act(observed: Observed, run: Run, commit: Commit, listed_fresh: Mapping[str, bool]) -> Next:
    """`listed_fresh`: for each moment asked for before, whether a list made after it shows every pod updated."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return _next_for_deployment(observed, deployment, run, commit, listed_fresh)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return _next_for_replica_set(observed, rs, run, listed_fresh)
        case _:
            return Broken("the target is gone")


def _next_for_replica_set(observed: Observed, rs: ReplicaSet, run: Run, listed_fresh: Mapping[str, bool]) -> Next:
    if not holds(rs.spec.template, run.images):
        return Act(_patch_replica_set(rs, run), "patching the template")
    if not rs.is_observed:
        return Await("waiting for the ReplicaSet controller to see the new template")
    if not listed_fresh.get("replicaset"):
        return FreshList("replicaset")
    return give_back(observed, run, rs, "ReplicaSet")


def _next_for_deployment(
    observed: Observed, deployment: Deployment, run: Run, commit: Commit, listed_fresh: Mapping[str, bool]
) -> Next:
    assert isinstance(observed.target, DeploymentTarget)
    replica_sets = observed.target.replica_sets
    live = next((rs for rs in replica_sets if rs.metadata.uid == commit.live_uid), None)
    if live is None:
        return Broken(f"the ReplicaSet that deploy/{deployment.metadata.name} had at the start is gone")
    history_wanted = run.from_images != run.images and "history" not in run.forgone
    templates = (deployment.spec.template, live.spec.template)
    held = all(holds(template, run.images) for template in templates)
    if not held or (history_wanted and not is_tombstone_done(live, commit.revision)):
        return _behind_pause(deployment, live, replica_sets, run, listed_fresh)
    if deployment.spec.paused != commit.paused:
        return Act(PauseTarget(*judged(deployment), paused=commit.paused), "unpausing the Deployment")
    if not deployment.is_observed:
        return Await("waiting for the Deployment controller to see that it is unpaused")
    return give_back(observed, run, deployment, "Deployment")


def _behind_pause(
    deployment: Deployment,
    live: ReplicaSet,
    replica_sets: tuple[ReplicaSet, ...],
    run: Run,
    listed_fresh: Mapping[str, bool],
) -> Next:
    """The acts that are safe only while the Deployment is paused, in their order."""
    if not deployment.spec.paused:
        return Act(PauseTarget(*judged(deployment), paused=True), "pausing the Deployment while its templates change")
    if not deployment.is_observed:
        return Await("waiting for the Deployment controller to see the change")
    is_new, live_is_new = holds(deployment.spec.template, run.images), holds(live.spec.template, run.images)
    twin = None if is_new and live_is_new else _older_twin(live, replica_sets, run)
    if twin is not None:
        return twin
    if not live_is_new:
        return Act(_patch_replica_set(live, run), "patching the ReplicaSet's template")
    if not live.is_observed:
        return Await("waiting for the ReplicaSet controller to see the new template")
    if not is_new:
        if not listed_fresh.get("replicaset"):
            return FreshList("replicaset")
        return Act(_patch_deployment(deployment, run), "patching the Deployment's template")
    if not controller_follows(deployment):
        return Await("waiting for the Deployment controller to adopt the ReplicaSet as the new one")
    manifest = tombstone(deployment, live, run.from_images)
    if any(rs.metadata.name == manifest["metadata"]["name"] for rs in replica_sets):
        return Await("waiting for the Deployment controller to number the new revision", "history")
    burying = CreateTombstone(manifest["metadata"]["name"], manifest)
    return Act(burying, "keeping the old template in the history", "history")


def _patch_replica_set(rs: ReplicaSet, run: Run) -> Action:
    return PatchTemplate(*judged(rs), "ReplicaSet", run.images, init_names_of(rs.spec.template))


def _patch_deployment(deployment: Deployment, run: Run) -> Action:
    return PatchTemplate(*judged(deployment), "Deployment", run.images, init_names_of(deployment.spec.template))


def controller_follows(deployment: Deployment) -> bool:
    """`updatedReplicas == replicas` proves that the controller has seen the ReplicaSet; vacuous at 0, where the templates,
    compared before, must do."""
    status = deployment.status
    if not deployment.is_observed:
        return False
    if deployment.spec.replicas == 0:
        return True
    return status.replicas > 0 and status.updated_replicas == status.replicas


def _older_twin(live: ReplicaSet, replica_sets: tuple[ReplicaSet, ...], run: Run) -> Next | None:
    """Another owned ReplicaSet that holds the new template already: the controller picks the *oldest* match, so that
    `updatedReplicas` would stay 0 and unpausing would recreate every pod."""
    wanted = with_images(live.spec.template, run.images)
    for rs in replica_sets:
        if rs.metadata.uid != live.metadata.uid and same_template(rs.spec.template, wanted):
            if rs.metadata.deletion_timestamp is None:
                return Act(DeleteTwin(*judged(rs)), "removing an older ReplicaSet with the same template")
            holding = ", ".join(rs.metadata.finalizers or ())
            held = f", which finalizers hold ({holding})" if holding else ""
            return Await(f"waiting for rs/{rs.metadata.name}, an older one with the same template, to be gone{held}")
    return None


def unpause(target: DeploymentTarget, run: Run) -> Act | None:
    """Gives `paused` back though the commit is not done."""
    deployment = target.deployment
    if deployment is None or run.commit is None or deployment.spec.paused == run.commit.paused:
        return None
    return Act(PauseTarget(*judged(deployment), paused=run.commit.paused), "unpausing the Deployment")


def give_back(observed: Observed, run: Run, workload: Workload, kind: WorkloadKind) -> Next:
    return _returning(observed, run, judged(workload), kind, run.owners)


def _returning(
    observed: Observed, run: Run, ref: tuple[str, str, str], kind: FieldsOf, owners: tuple[FieldOwner, ...]
) -> Act | Done:
    if not (owners or run.strategy is not None) or ref[1] in observed.fields_returned or "fields" in run.forgone:
        return Done()
    return Act(ReturnFields(*ref, kind=kind, owners=owners), "returning image fields to their owner", "fields")


def after_pods(observed: Observed, run: Run) -> Next:
    """Where no commit is needed. The owners of bare pods get their image fields back, too."""
    if isinstance(observed.target, PodsTarget):
        for facts in observed.pods:
            owners = tuple(owner for owner in run.owners if owner.pod in ("", facts.pod.name))
            returning = _returning(observed, run, (facts.ref.name, facts.ref.uid, facts.ref.resource_version), "Pod", owners)
            if isinstance(returning, Act):
                return returning
    return Done()


def judged(workload: Workload) -> tuple[str, str, str]:
    """Name, uid and resourceVersion: what an action on the workload is judged on."""
    meta = workload.metadata
    return meta.name, meta.uid, meta.resource_version
