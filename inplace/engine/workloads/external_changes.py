"""Somebody else changed the workload under the run: noticed on every plan, before anything more is started.

Judged between templates only. The stop is safe: gates are reopened where no image was patched, and nothing of the other's
change is undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.actions import SetUpdateStrategy
from inplace.engine.snapshot import (
    DaemonSetTarget,
    DeploymentTarget,
    PodsTarget,
    ReplicaSetTarget,
    RevisionedTarget,
    Snapshot,
    StatefulSetTarget,
)
from inplace.engine.timers import Timers
from inplace.engine.workloads.identity import edited_since, is_another, rolled_out_since
from inplace.engine.workloads.sequence import Blocked, Perform
from inplace.engine.workloads.template_first import label_of, may_be_ours, revision_label, unprotected_pod
from inplace.engine.workloads.template_last import active_replica_set, preconditions, restore_paused
from inplace.engine.workloads.templates import differences, has_images, images_of
from inplace.model.images import accepts
from inplace.model.objects.workloads import DaemonSet, ReplicaSet, StatefulSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import Run

GRACE_SECONDS = 1.0
"""A pod of an older revision above a StatefulSet's partition may just be one that its controller has made before it saw the
partition go down, and deletes at once. A DaemonSet's never makes one."""


def detect_external_change(observed: Snapshot, run: Run, clocks: Timers) -> Blocked | None:
    if is_another(observed, run):
        return Blocked(f"{run.target} was deleted and created again since the run was begun")
    match observed.target:
        case DeploymentTarget():
            return _deployment(observed.target, run)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return _foreign_images(rs.spec.template, run, f"rs/{rs.metadata.name}") or _edited(rs, run)
        case StatefulSetTarget(stateful_set=workload) if workload is not None:
            return _revisioned(observed, observed.target, workload, "StatefulSet", run, clocks)
        case DaemonSetTarget(daemon_set=daemon_set) if daemon_set is not None:
            return _revisioned(observed, observed.target, daemon_set, "DaemonSet", run, clocks)
        case PodsTarget():
            return _other_pod(observed, run)
        case ReplicaSetTarget() | StatefulSetTarget() | DaemonSetTarget():
            return None


def _other_pod(observed: Snapshot, run: Run) -> Blocked | None:
    """A bare pod that has been made anew, or is another of the selection: it never ran what the run would go back to."""
    untouched = (facts for facts in observed.pods if facts.record is None and not facts.pod.is_terminating)
    return next((b for f in untouched if (b := _foreign(f.images, run, f"pod/{f.pod.name}")) is not None), None)


def _deployment(target: DeploymentTarget, run: Run) -> Blocked | None:
    deployment, replica_sets = target.deployment, target.replica_sets
    if deployment is None:
        return None
    live = active_replica_set(target)
    if run.commit is not None:
        live = next((rs for rs in replica_sets if rs.metadata.uid == run.commit.live_uid), None)
    name, template = f"deploy/{deployment.metadata.name}", deployment.spec.template
    foreign = _foreign_images(template, run, name)
    if foreign is not None:
        return foreign
    pods_of = [rs for rs in replica_sets if rs is live or rs.is_active]
    changed = sorted({path for rs in pods_of for path in differences(template, rs.spec.template)})
    if changed:
        return Blocked(f"the template of {name} was edited in the middle ({', '.join(changed[:5])})")
    rolled_out = rolled_out_since(live, run) if live is not None else ""
    if rolled_out:
        return Blocked(rolled_out)
    others = [rs.metadata.name for rs in pods_of if rs is not live]
    if others or live is None:
        return Blocked(f"{name} has other active ReplicaSets ({', '.join(others)}): somebody started a rollout")
    if run.commit is None and deployment.spec.paused != run.paused:
        return Blocked(f"{name} was {'paused' if deployment.spec.paused else 'unpaused'} in the middle")
    return None


def _foreign_images(template: Mapping[str, Any], run: Run, name: str) -> Blocked | None:
    """Images in the template that are neither the run's old nor its new ones, nor those of a run that it took over from."""
    return _foreign(images_of(template), run, name)


def _foreign(have: Mapping[str, str], run: Run, name: str) -> Blocked | None:
    for container in run.images:
        image, known = have.get(container), {images.get(container) for images in run.known_images}
        if image not in known and not any(accepts(meant, image) for meant in known if meant and image):
            return Blocked(f"somebody set container {container} of {name} to {have.get(container)} in the middle")
    return None


def _revisioned(
    observed: Snapshot,
    target: RevisionedTarget,
    workload: StatefulSet | DaemonSet,
    kind: WorkloadKind,
    run: Run,
    clocks: Timers,
) -> Blocked | None:
    name, changed = str(run.target), _other_template(observed, target, workload, kind, run)
    if changed is not None:
        return changed
    if not may_be_ours(workload.spec.update_strategy, run, kind):
        return Blocked(f"the updateStrategy of {name} was changed in the middle")
    pod = unprotected_pod(observed, workload, run, run.revision) if run.revision else ""
    if pod and (kind == "DaemonSet" or clocks.expired("disturbed/strategy", GRACE_SECONDS)):
        return Blocked(f"the updateStrategy of {name} was changed in the middle: it lets its controller replace pod/{pod}")
    return None


def _other_template(
    observed: Snapshot, target: RevisionedTarget, workload: StatefulSet | DaemonSet, kind: WorkloadKind, run: Run
) -> Blocked | None:
    name, template = str(run.target), workload.spec.template
    foreign = _foreign_images(template, run, name)
    if foreign is not None:
        return foreign
    if run.revision and not run.keeps_template and not has_images(template, run.images):
        return Blocked(f"the template of {name} was set back in the middle")
    changed = differences_from_pods(observed, target, kind, template)
    if changed:
        return Blocked(f"the template of {name} was edited in the middle ({', '.join(changed[:5])})")
    return _edited(workload, run)


def _edited(workload: ReplicaSet | StatefulSet | DaemonSet, run: Run) -> Blocked | None:
    """Also where every pod carries what was edited by now, so that template and pods agree."""
    edited = edited_since(workload.spec.template, run)
    return Blocked(edited) if edited else None


def yield_to_owner(observed: Snapshot, run: Run) -> Perform | None:
    """Somebody else changed the workload while the run held it back: it goes on to what they wanted, as it would have
    without the run. A strategy of their own stays, and so does all of another object of that name."""
    if is_another(observed, run):
        return None
    match observed.target:
        case DeploymentTarget() as target:
            return restore_paused(target, run)
        case StatefulSetTarget(stateful_set=s) as target if s is not None:
            return _give_strategy_back(observed, target, s, "StatefulSet", run)
        case DaemonSetTarget(daemon_set=d) as target if d is not None:
            return _give_strategy_back(observed, target, d, "DaemonSet", run)
        case _:
            return None


def _give_strategy_back(
    observed: Snapshot, target: RevisionedTarget, workload: StatefulSet | DaemonSet, kind: WorkloadKind, run: Run
) -> Perform | None:
    now, own = workload.spec.update_strategy, run.saved_strategy
    if own is None or now == own or not may_be_ours(now, run, kind):
        return None
    if _other_template(observed, target, workload, kind, run) is None:
        return None
    return Perform(SetUpdateStrategy(*preconditions(workload), kind, own), "restoring the update strategy")


def differences_from_pods(
    observed: Snapshot, target: RevisionedTarget, kind: WorkloadKind, template: Mapping[str, Any]
) -> list[str]:
    """In what, but images, the template differs from the revisions that the pods carry."""
    carried = {revision_label(facts) for facts in observed.pods}
    revisions = [r for r in target.revisions if label_of(r, kind) in carried]
    return sorted({path for r in revisions for path in differences(template, r.template)})
