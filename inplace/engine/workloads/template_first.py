"""StatefulSets and DaemonSets: the template changes first, held back by the update strategy; pods follow (design, section 5).

Always holds: as long as a pod of an older revision lives, the strategy keeps the controller from replacing it, by a partition
above every replica that is lowered behind the finished pods, or by OnDelete. The owner's strategy is saved in the run before it
is changed, and restored once the controller counts every pod as updated. A StatefulSet whose owner chose OnDelete is held back
already, and its strategy is not changed.

A pod that dies meanwhile comes back as its place demands: with the new images above the partition and in a DaemonSet, with the
old ones below it.

A run that goes back from a template that its owner had changed leaves the template alone: the pods that the owner's strategy
holds back carry their older revision again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from inplace.engine.actions import PatchTemplate, SetUpdateStrategy
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.partitions import count_to_update, max_unavailable_in, partition_of
from inplace.engine.workloads.revisions import Lineage, Revision, revision_label, revision_of
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, Prepared, WaitFor, Write
from inplace.engine.workloads.template_changes import edited, foreign_template_images
from inplace.engine.workloads.template_last import GONE, preconditions, restore_field_owners
from inplace.engine.workloads.templates import differences, has_images, images_of, init_names_of
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH, ControllerRevision, DaemonSet, StatefulSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import Run

PARTITION_ABOVE_ALL = 2**31 - 1
"""A partition above any replica count (accepted by 1.36, measured)."""
ON_DELETE: Mapping[str, Any] = {"type": "OnDelete"}
HOLDABLE = ("RollingUpdate", "OnDelete")
"""The types of update strategy under which pods can be held back."""
GRACE_SECONDS = 1.0
"""How long a pod of an older revision may stand above a StatefulSet's partition: its controller may have created it before it
saw the partition go down, and deletes it at once. A DaemonSet's controller never creates one."""


class RevisionedKind(Protocol):
    """What the pages of StatefulSet and DaemonSet tell the functions here."""

    snapshot: Snapshot
    name: WorkloadKind
    is_ordered: bool
    """Its controller may still create a pod of the older revision, and deletes it at once."""
    revisions_kept: tuple[ControllerRevision, ...]

    @property
    def workload(self) -> StatefulSet | DaemonSet | None: ...

    def desired_replicas(self) -> int: ...
    def blocked_replicas(self) -> int: ...
    def pods_kept_back(self, run: Run) -> frozenset[str]: ...

    def updated_replicas(self) -> int:
        """How many pods its controller counts as updated."""

    def hold_back_strategy(self, run: Run, partition: int = PARTITION_ABOVE_ALL) -> dict[str, Any]:
        """The strategy that holds pods back, made from the owner's."""

    def may_be_replaced(self, facts: ObservedPod) -> bool:
        """Whether its controller may replace this pod of an older revision under RollingUpdate, as the strategy is now."""

    def newest_revision(self) -> ControllerRevision | None:
        """The revision of the template as its controller has seen it."""

    def label_of(self, revision: ControllerRevision) -> str:
        """What `controller-revision-hash` of its pods says (measured)."""

    def current_revision_matches(self, run: Run) -> bool:
        """Whether a pod recreated behind the hold starts with what the pods ran before."""

    def will_complete(self, run: Run) -> bool:
        """Whether its controller is about to make the new revision the current one."""

    def follow(self, run: Run) -> Perform | WaitFor | None: ...


def prepare(kind: RevisionedKind, run: Run) -> NextStep:
    """Before the first pod: hold back, patch the template, learn the revision."""
    workload = kind.workload
    if workload is None:
        return GONE
    if run.revision:
        return Prepared(run.revision)
    if run.keeps_template:
        return _revision_before(kind, run)
    newest = kind.newest_revision()
    is_seen = newest is not None and workload.is_observed and has_images(newest.template, run.images)
    if newest is not None and is_seen and has_images(workload.spec.template, run.images):
        label = kind.label_of(newest)
        if not unprotected_pod(kind, run, label):
            return Prepared(label)
    strategy = kind.hold_back_strategy(run)
    if workload.spec.update_strategy != strategy:
        action = SetUpdateStrategy(*preconditions(workload), kind.name, strategy)
        return Perform(action, "holding the pods back while the template changes")
    if not workload.is_observed:
        return WaitFor(f"waiting for the {kind.name} controller to see the change")
    if not has_images(workload.spec.template, run.images):
        if not kind.current_revision_matches(run):
            return WaitFor(
                "waiting for currentRevision to be what the pods run, or a pod recreated now starts with an older one"
            )
        init = init_names_of(workload.spec.template)
        return Perform(PatchTemplate(*preconditions(workload), kind.name, run.images, init), "patching the template")
    return WaitFor(f"waiting for the {kind.name} controller to create the new revision")


def _revision_before(kind: RevisionedKind, run: Run) -> NextStep:
    """The revision that the pods had before their owner changed the template."""
    kept = (revision for revision in kind.revisions_kept if has_images(revision.template, run.images))
    found = max(kept, key=lambda revision: revision.revision, default=None)
    if found is None:
        return Blocked("the revision that the pods had before is no longer in the history, so they stay as they are")
    return Prepared(kind.label_of(found))


def restore_strategy_early(kind: RevisionedKind, run: Run) -> Perform | None:
    """At an early end: restores the owner's strategy where every pod is of the newest revision, so that nothing needs to be
    held back."""
    workload, newest = kind.workload, kind.newest_revision()
    if workload is None or run.saved_strategy is None or newest is None:
        return None
    if not workload.is_observed or workload.spec.update_strategy == run.saved_strategy:
        return None
    label, behind = kind.label_of(newest), kind.pods_kept_back(run)
    if any(revision_label(facts) != label for facts in kind.snapshot.pods if facts.uid not in behind):
        return None
    return _restore_strategy(kind, workload, run.saved_strategy)


def finish(kind: RevisionedKind, run: Run) -> NextStep:
    """Every pod is updated: wait until the controller agrees, and restore the owner's strategy."""
    workload = kind.workload
    if workload is None:
        return GONE
    assert run.saved_strategy is not None
    following = kind.follow(run)
    if following is not None:
        return following
    if not workload.is_observed:
        return WaitFor(f"waiting for the {kind.name} controller to see the change")
    to_update = count_to_update(run, kind.desired_replicas(), len(kind.pods_kept_back(run)))
    if not run.keeps_template and kind.updated_replicas() < to_update - kind.blocked_replicas():
        return WaitFor(f"waiting for the {kind.name} controller to count every pod as updated")
    if kind.will_complete(run):
        return WaitFor("waiting for currentRevision to become the new one")
    if workload.spec.update_strategy != run.saved_strategy:
        return _restore_strategy(kind, workload, run.saved_strategy)
    return restore_field_owners(kind.snapshot, run, workload, kind.name)


def _restore_strategy(kind: RevisionedKind, workload: StatefulSet | DaemonSet, strategy: dict[str, Any]) -> Perform:
    return Perform(SetUpdateStrategy(*preconditions(workload), kind.name, strategy), "restoring the update strategy")


def is_on_delete(run: Run) -> bool:
    """Whether the owner chose OnDelete."""
    return (run.saved_strategy or {}).get("type") == "OnDelete"


def may_be_ours(kind: RevisionedKind, strategy: Mapping[str, Any], run: Run) -> bool:
    """Whether a run could have left it so: the owner's own, or a form of it that holds pods back."""
    return strategy in (run.saved_strategy, kind.hold_back_strategy(run, partition_of(strategy)))


def owner_settings(kind: RevisionedKind, run: Run) -> Run:
    """The run with the update strategy of its owner, unless the one there may be its own."""
    workload = kind.workload
    if workload is None:
        return run
    strategy = workload.spec.update_strategy
    if run.saved_strategy is not None and may_be_ours(kind, strategy, run):
        return run
    return msgspec.structs.replace(run, saved_strategy=strategy)


def own_max_unavailable(now: Mapping[str, Any], run: Run) -> int | str:
    """`now`: the update strategy as it is. During a run its owner's is the saved one."""
    return max_unavailable_in(now if run.saved_strategy is None else run.saved_strategy)


def unprotected_pod(kind: RevisionedKind, run: Run, label: str) -> str:
    """A pod of another revision than `label` that the strategy, as it is now, lets the controller replace; empty: none."""
    workload, behind = kind.workload, kind.pods_kept_back(run)
    if workload is None or workload.spec.update_strategy.get("type") == "OnDelete":
        return ""
    pods = (facts for facts in kind.snapshot.pods if facts.uid not in behind and revision_label(facts) != label)
    return next((facts.pod.name for facts in pods if kind.may_be_replaced(facts)), "")


def external_change(kind: RevisionedKind, run: Run, timers: Timers) -> Blocked | None:
    """Another template, another update strategy, or one that no longer protects the pods of the older revision."""
    workload = kind.workload
    if workload is None:
        return None
    changed = _other_template(kind, workload, run)
    if changed is not None:
        return changed
    if not may_be_ours(kind, workload.spec.update_strategy, run):
        return Blocked(f"the updateStrategy of {run.target} was changed in the middle")
    pod = unprotected_pod(kind, run, run.revision) if run.revision else ""
    if pod and (not kind.is_ordered or timers.expired("disturbed/strategy", GRACE_SECONDS)):
        return Blocked(
            f"the updateStrategy of {run.target} was changed in the middle: it lets its controller replace pod/{pod}"
        )
    return None


def _other_template(kind: RevisionedKind, workload: StatefulSet | DaemonSet, run: Run) -> Blocked | None:
    template = workload.spec.template
    foreign = foreign_template_images(template, run, str(run.target))
    if foreign is not None:
        return foreign
    if run.revision and not run.keeps_template and not has_images(template, run.images):
        return Blocked(f"the template of {run.target} was set back in the middle")
    changed = differences_from_pods(kind, template)
    if changed:
        return Blocked(f"the template of {run.target} was edited in the middle ({', '.join(changed[:5])})")
    return edited(workload, run)


def yield_to_owner(kind: RevisionedKind, run: Run) -> Perform | None:
    """Somebody else changed the template: restores the owner's strategy, so that the change is rolled out. A strategy that
    somebody else set stays."""
    workload, own = kind.workload, run.saved_strategy
    if workload is None or own is None or workload.spec.update_strategy == own:
        return None
    if not may_be_ours(kind, workload.spec.update_strategy, run) or _other_template(kind, workload, run) is None:
        return None
    return _restore_strategy(kind, workload, own)


def differences_from_pods(kind: RevisionedKind, template: Mapping[str, Any]) -> list[str]:
    """In what, apart from images, the template differs from the revisions that the pods carry."""
    carried = {revision_label(facts) for facts in kind.snapshot.pods}
    revisions = [revision for revision in kind.revisions_kept if kind.label_of(revision) in carried]
    return sorted({path for revision in revisions for path in differences(template, revision.template)})


def problem(kind: RevisionedKind, run: Run, resuming: bool) -> str | None:
    """Why a run must not begin, or be resumed."""
    workload = kind.workload
    assert workload is not None
    refused = unholdable(kind, run)
    if refused is not None or resuming:
        return refused
    if not kind.revisions_kept:
        return f"{run.target} has no ControllerRevision yet: wait until its controller has made one"
    changed = differences_from_pods(kind, workload.spec.template)
    if not changed:
        return None
    return (
        f"the template of {run.target} differs from its pods' revisions in more than images ({', '.join(changed[:5])}):"
        " roll that out first (kubectl delete pod, or its updateStrategy), then upgrade images in place"
    )


def unholdable(kind: RevisionedKind, run: Run) -> str | None:
    """Why the template must not be changed: under an update strategy unknown here, such as a StatefulSet's `Recreate` (1.37,
    alpha: KEP-3541), pods may not be held back, and a change may delete all of them."""
    now = kind.workload.spec.update_strategy if kind.workload is not None else {}
    strategies = [strategy for strategy in (now, run.saved_strategy) if strategy]
    unknown = next((s["type"] for s in strategies if s.get("type", "RollingUpdate") not in HOLDABLE), None)
    if unknown is None:
        return None
    return (
        f"{run.target} has updateStrategy {unknown}, under which the {kind.name} controller may delete its pods once the"
        f" template changes: set its type to {' or '.join(HOLDABLE)} first"
    )


def current_images(kind: RevisionedKind, run: Run) -> dict[str, str]:
    """Of the revision that the pods had before: of the first pod that is not of the newest one, else the newest."""
    behind, newest = kind.pods_kept_back(run), kind.newest_revision()
    by_label = {kind.label_of(revision): revision for revision in kind.revisions_kept}
    carried = (by_label.get(revision_label(facts)) for facts in kind.snapshot.pods if facts.uid not in behind)
    found = next((revision for revision in carried if revision is not None and revision is not newest), newest)
    if found is not None:
        return images_of(found.template)
    return images_of(kind.workload.spec.template) if kind.workload is not None else {}


def newest_label(kind: RevisionedKind) -> str:
    newest = kind.newest_revision()
    return kind.label_of(newest) if newest is not None else ""


def templates(kind: RevisionedKind) -> Iterator[Mapping[str, Any]]:
    """Of the revisions and of the workload itself."""
    yield from (revision.template for revision in kind.revisions_kept)
    if kind.workload is not None:
        yield kind.workload.spec.template


def writes(kind: RevisionedKind, run: Run) -> Iterator[Write]:
    """What a run writes to the workload besides its template."""
    workload = kind.workload
    if workload is not None:
        action = SetUpdateStrategy(*preconditions(workload), kind.name, kind.hold_back_strategy(run))
        yield Write(f"change the updateStrategy of {run.target}", action, workload)


def revisions(kept: Iterable[ControllerRevision]) -> list[Revision]:
    return [revision_of(revision.revision, revision.template, revision.metadata) for revision in kept]


def lineage(kept: Iterable[ControllerRevision], pod: Pod) -> Lineage:
    label = pod.metadata.label(CONTROLLER_REVISION_HASH) or ""
    for revision in kept:
        # A StatefulSet's pods carry its name, a DaemonSet's its hash.
        if label in (revision.metadata.name, revision.metadata.label(CONTROLLER_REVISION_HASH)):
            return Lineage(revision.metadata.name, revision.revision)
    return Lineage(label)
