"""StatefulSets and DaemonSets: the template goes first, held back by the update strategy; pods follow (design, section 5).

Always holds: as long as a pod of an older revision lives, the strategy keeps the controller from replacing it: a partition
above every replica, lowered behind the pods that are done, or OnDelete. The user's own strategy is saved in the run before it
is touched, and given back once the controller counts every pod as updated. A StatefulSet whose user has chosen OnDelete is
held already, and its strategy is not touched.

A pod that dies meanwhile comes back as its place calls for: above the partition, and in a DaemonSet, new; below it, old.

Going back from a template that its owner had changed leaves that as it is: the pods that the owner's own strategy holds back
carry their older revision again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inplace.engine.actions import PatchTemplate, SetUpdateStrategy
from inplace.engine.snapshot import DaemonSetTarget, ObservedPod, RevisionedTarget, Snapshot, StatefulSetTarget
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, Prepared, WaitFor
from inplace.engine.workloads.template_last import preconditions, restore_field_owners
from inplace.engine.workloads.templates import has_images, images_of, init_names_of, same_template
from inplace.engine.workloads.workload import never_made, partition_index, partition_of, pods_kept_back, pods_to_update
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH, ControllerRevision, DaemonSet, StatefulSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import Run

PARTITION_ABOVE_ALL = 2**31 - 1
"""A partition above any replica count (accepted by 1.36, measured)."""
ON_DELETE: Mapping[str, Any] = {"type": "OnDelete"}
HOLDABLE = ("RollingUpdate", "OnDelete")
"""The types of update strategy under which pods can be held back."""


def prepare(observed: Snapshot, target: RevisionedTarget, run: Run) -> NextStep:
    """Before the first pod: hold, patch the template, learn the revision."""
    workload, kind = _workload_of(target)
    if workload is None:
        return Blocked("the target is gone")
    if run.revision:
        return Prepared(run.revision)
    if run.keeps_template:
        return _before_the_template(target, run, kind)
    newest = newest_revision(target)
    is_seen = newest is not None and workload.is_observed and has_images(newest.template, run.images)
    if newest is not None and is_seen and has_images(workload.spec.template, run.images):
        label = label_of(newest, kind)
        if not unprotected_pod(observed, workload, run, label):
            return Prepared(label)
    if workload.spec.update_strategy != hold_back_strategy(run, kind, PARTITION_ABOVE_ALL):
        strategy = hold_back_strategy(run, kind, PARTITION_ABOVE_ALL)
        return Perform(
            SetUpdateStrategy(*preconditions(workload), kind, strategy), "holding the pods back while the template changes"
        )
    if not workload.is_observed:
        return WaitFor(f"waiting for the {kind} controller to see the change")
    if not has_images(workload.spec.template, run.images):
        if not current_revision_matches(target, run):
            return WaitFor(
                "waiting for currentRevision to be what the pods run, or a pod recreated now starts with an older one"
            )
        init = init_names_of(workload.spec.template)
        return Perform(PatchTemplate(*preconditions(workload), kind, run.images, init), "patching the template")
    return WaitFor(f"waiting for the {kind} controller to create the new revision")


def _before_the_template(target: RevisionedTarget, run: Run, kind: WorkloadKind) -> NextStep:
    """The revision that the pods had before their owner changed the template."""
    found = max((r for r in target.revisions if has_images(r.template, run.images)), key=lambda r: r.revision, default=None)
    if found is None:
        return Blocked("the revision that the pods had before is no longer in the history, so they stay as they are")
    return Prepared(label_of(found, kind))


def advance_partition(observed: Snapshot, run: Run) -> Perform | WaitFor | None:
    """While pods are worked on: a StatefulSet's partition goes down behind the front, once the controller counts those pods
    as updated; it would replace them otherwise."""
    if not isinstance(observed.target, StatefulSetTarget) or not run.revision or _is_on_delete(run) or run.keeps_template:
        return None
    stateful_set = observed.target.stateful_set
    if stateful_set is None:
        return None
    front = _front(stateful_set, observed.pods, run)
    if front >= partition_of(stateful_set.spec.update_strategy):
        return None
    labelled = sum(not f.pod.is_terminating and revision_label(f) == run.revision for f in observed.pods)
    if not stateful_set.is_observed or stateful_set.status.updated_replicas < labelled:
        return WaitFor("waiting for the StatefulSet controller to count the updated pods")
    strategy = hold_back_strategy(run, "StatefulSet", front)
    return Perform(
        SetUpdateStrategy(*preconditions(stateful_set), "StatefulSet", strategy),
        "lowering the partition behind the updated pods",
    )


def restore_strategy_early(observed: Snapshot, run: Run) -> Perform | None:
    """An early end that finds every pod of the newest revision: nothing is to be held back, so the strategy is given back."""
    target = observed.target
    if not isinstance(target, RevisionedTarget) or run.saved_strategy is None:
        return None
    workload, kind = _workload_of(target)
    newest = newest_revision(target)
    if workload is None or newest is None or not workload.is_observed or workload.spec.update_strategy == run.saved_strategy:
        return None
    label, behind = label_of(newest, kind), pods_kept_back(observed, run)
    if any(revision_label(facts) != label for facts in observed.pods if facts.uid not in behind):
        return None
    return Perform(SetUpdateStrategy(*preconditions(workload), kind, run.saved_strategy), "restoring the update strategy")


def finish(observed: Snapshot, target: RevisionedTarget, run: Run) -> NextStep:
    """Every pod is updated: wait until the controller says so, too, and give the strategy back."""
    workload, kind = _workload_of(target)
    if workload is None:
        return Blocked("the target is gone")
    assert run.saved_strategy is not None
    following = advance_partition(observed, run)
    if following is not None:
        return following
    if not workload.is_observed:
        return WaitFor(f"waiting for the {kind} controller to see the change")
    if not run.keeps_template and updated_of(workload) < pods_to_update(observed, run) - never_made(observed):
        return WaitFor(f"waiting for the {kind} controller to count every pod as updated")
    if _will_complete(workload, run):
        return WaitFor("waiting for currentRevision to become the new one")
    if workload.spec.update_strategy != run.saved_strategy:
        return Perform(SetUpdateStrategy(*preconditions(workload), kind, run.saved_strategy), "restoring the update strategy")
    return restore_field_owners(observed, run, workload, kind)


def hold_back_strategy(run: Run, kind: WorkloadKind, partition: int) -> dict[str, Any]:
    """The strategy that holds pods back, made from the user's."""
    own = run.saved_strategy or {}
    if kind == "DaemonSet" or _is_on_delete(run):
        return dict(ON_DELETE) if kind == "DaemonSet" else own
    return {**own, "rollingUpdate": {**(own.get("rollingUpdate") or {}), "partition": partition}}


def unholdable(observed: Snapshot, run: Run) -> str | None:
    """Why the template must not be changed: under an update strategy that we do not know, such as a StatefulSet's `Recreate`
    (1.37, alpha: KEP-3541), nothing says that pods can be held back, and a change may delete all of them."""
    if not isinstance(observed.target, RevisionedTarget):
        return None
    workload, kind = _workload_of(observed.target)
    strategies = [s for s in (workload.spec.update_strategy if workload is not None else {}, run.saved_strategy) if s]
    unknown = next((s["type"] for s in strategies if s.get("type", "RollingUpdate") not in HOLDABLE), None)
    if unknown is None:
        return None
    return (
        f"{run.target} has updateStrategy {unknown}, under which the {kind} controller may delete its pods once the template"
        f" changes: set its type to {' or '.join(HOLDABLE)} first"
    )


def may_be_ours(strategy: Mapping[str, Any], run: Run, kind: WorkloadKind) -> bool:
    """Whether a run could have left it so: the user's own, or a form of it that holds pods back."""
    return strategy in (run.saved_strategy, hold_back_strategy(run, kind, partition_of(strategy)))


def describe_strategy(strategy: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in sorted((strategy.get("rollingUpdate") or {}).items()))
    return f"{strategy.get('type')}" + (f" with {parameters}" if parameters else "")


def unprotected_pod(observed: Snapshot, workload: StatefulSet | DaemonSet, run: Run, label: str) -> str:
    """A pod of another revision that the strategy, as it is now, does not keep from being replaced; empty: none."""
    strategy, behind = workload.spec.update_strategy, pods_kept_back(observed, run)
    if strategy.get("type") == "OnDelete":
        return ""
    for facts in observed.pods:
        if facts.uid in behind or revision_label(facts) == label:
            continue
        if not isinstance(workload, StatefulSet):
            return facts.pod.name
        if not facts.pod.is_terminating and partition_index(workload, facts) >= partition_of(strategy):
            return facts.pod.name
    return ""


def newest_revision(target: RevisionedTarget) -> ControllerRevision | None:
    """Of the template as the controller has seen it: a return to an older template gives that one's revision the highest
    number again. A StatefulSet names it itself. A DaemonSet does not: where the one of its template is not here yet, although
    the controller has seen it (two watches race), there is none."""
    if isinstance(target, StatefulSetTarget) and target.stateful_set is not None:
        name = target.stateful_set.status.update_revision
        return next((r for r in target.revisions if r.metadata.name == name), None)
    newest = max(target.revisions, key=lambda r: r.revision, default=None)
    daemon_set = _workload_of(target)[0]
    is_there = newest is not None and daemon_set is not None and same_template(newest.template, daemon_set.spec.template)
    return newest if is_there else None


def label_of(revision: ControllerRevision, kind: WorkloadKind) -> str:
    """What `controller-revision-hash` of its pods says: the revision's name for a StatefulSet, the bare hash for a DaemonSet
    (measured)."""
    return revision.metadata.name if kind == "StatefulSet" else revision.metadata.label(CONTROLLER_REVISION_HASH) or ""


def revision_label(facts: ObservedPod) -> str:
    return facts.pod.metadata.label(CONTROLLER_REVISION_HASH) or ""


def revision_of_pods(target: RevisionedTarget, pods: Iterable[ObservedPod]) -> ControllerRevision | None:
    """The revision that the pods ran before: of the first that is not of the newest, else the newest."""
    kind = _workload_of(target)[1]
    newest = newest_revision(target)
    by_label = {label_of(revision, kind): revision for revision in target.revisions}
    for facts in pods:
        revision = by_label.get(revision_label(facts))
        if revision is not None and revision is not newest:
            return revision
    return newest


def current_revision_matches(target: RevisionedTarget, run: Run) -> bool:
    """Behind a partition a StatefulSet's controller recreates from `currentRevision`, which may be older than what runs. On
    the way back from the very end of a run it is the new one."""
    if not isinstance(target, StatefulSetTarget) or target.stateful_set is None or _is_on_delete(run):
        return True
    name = target.stateful_set.status.current_revision
    current = next((r for r in target.revisions if r.metadata.name == name), None)
    have = images_of(current.template) if current is not None else {}
    wanted = [{**run.from_images, **known} for known in run.known_images]
    return any(all(have.get(container) == images[container] for container in run.from_images) for images in wanted)


def updated_of(workload: StatefulSet | DaemonSet) -> int:
    match workload:
        case StatefulSet(status=status):
            return status.updated_replicas
        case DaemonSet(status=daemon_status):
            return daemon_status.updated_number_scheduled


def _front(stateful_set: StatefulSet, pods: Iterable[ObservedPod], run: Run) -> int:
    """The lowest index from which on every replica lives and carries the new revision."""
    done = {partition_index(stateful_set, f) for f in pods if not f.pod.is_terminating and revision_label(f) == run.revision}
    front = stateful_set.spec.replicas
    if front - 1 not in done:
        return PARTITION_ABOVE_ALL
    while front - 1 in done:
        front -= 1
    return max(front, partition_of(run.saved_strategy or {}))


def _will_complete(workload: StatefulSet | DaemonSet, run: Run) -> bool:
    """The controller makes the new revision the current one once every replica is updated and ready, under RollingUpdate;
    what a partition keeps back, or somebody keeps closed, is not waited for."""
    if not isinstance(workload, StatefulSet) or _is_on_delete(run):
        return False
    status, replicas = workload.status, workload.spec.replicas
    complete = status.updated_replicas == status.ready_replicas == replicas
    return complete and status.current_revision != status.update_revision


def _is_on_delete(run: Run) -> bool:
    return (run.saved_strategy or {}).get("type") == "OnDelete"


def _workload_of(target: RevisionedTarget) -> tuple[StatefulSet | DaemonSet | None, WorkloadKind]:
    match target:
        case StatefulSetTarget(stateful_set=stateful_set):
            return stateful_set, "StatefulSet"
        case DaemonSetTarget(daemon_set=daemon_set):
            return daemon_set, "DaemonSet"
