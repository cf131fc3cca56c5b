"""A StatefulSet: its template changes first, and a partition holds its pods back (`workloads.template_first`).

Pods go from the highest ordinal down, and the partition follows behind them, once the controller counts them as updated. A pod
that dies below it is recreated from `currentRevision`, so that must be what the pods ran. The owner's own partition limits the
run; the owner's OnDelete holds pods back by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inplace.engine.actions import SetUpdateStrategy
from inplace.engine.snapshot import ObservedPod, Snapshot, StatefulSetTarget
from inplace.engine.timers import Timers
from inplace.engine.workloads import template_first
from inplace.engine.workloads.identity import identified
from inplace.engine.workloads.partitions import (
    CAREFUL_MAX_UNAVAILABLE,
    DEFAULT_MAX_UNAVAILABLE,
    own_partition,
    partition_index,
    partition_of,
)
from inplace.engine.workloads.revisions import Lineage, Revision, revision_label
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, WaitFor, Write
from inplace.engine.workloads.template_first import PARTITION_ABOVE_ALL, is_on_delete
from inplace.engine.workloads.template_last import GONE, preconditions
from inplace.engine.workloads.templates import images_of
from inplace.engine.workloads.wording import NOBODY_REPLACES, describe_images
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import ControllerRevision, StatefulSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, Run


class StatefulSetKind:
    """`WorkloadStrategy` of a StatefulSet. As long as that Protocol, since it is the whole page of its kind."""

    name: WorkloadKind = "StatefulSet"
    has_controller = True
    has_history = True
    is_ordered = True

    def __init__(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.target, StatefulSetTarget)
        self.snapshot, self.revisions_kept = snapshot, snapshot.target.revisions
        self.workload: StatefulSet | None = snapshot.target.stateful_set

    def desired_replicas(self) -> int:
        return self.workload.spec.replicas if self.workload is not None else len(self.snapshot.pods)

    def blocked_replicas(self) -> int:
        """Under OrderedReady, those above a pod that has no node."""
        if self.workload is None or self.workload.spec.pod_management_policy != "OrderedReady":
            return 0
        living = [facts.pod for facts in self.snapshot.pods if not facts.pod.is_terminating]
        return 0 if all(pod.is_scheduled for pod in living) else max(0, self.workload.spec.replicas - len(living))

    def pods_kept_back(self, run: Run) -> frozenset[str]:
        """Behind the owner's partition; when going back to an older revision than the template's, those that the owner's
        strategy does not hold at theirs."""
        workload, partition = self.workload, own_partition(run)
        if workload is None:
            return frozenset()
        if run.keeps_template:
            own = run.saved_strategy or {}
            pods = () if own.get("type") == "OnDelete" else self.snapshot.pods
            return frozenset(facts.uid for facts in pods if partition_index(workload, facts) >= partition_of(own))
        pods = self.snapshot.pods if partition else ()
        return frozenset(facts.uid for facts in pods if partition_index(workload, facts) < partition)

    def own_max_unavailable(self, run: Run) -> int | str:
        if self.workload is None:
            return DEFAULT_MAX_UNAVAILABLE
        if self.workload.spec.pod_management_policy == "OrderedReady":
            return CAREFUL_MAX_UNAVAILABLE
        return template_first.own_max_unavailable(self.workload.spec.update_strategy, run)

    def has_own_max_unavailable(self) -> bool:
        return False

    def ordinal(self, facts: ObservedPod) -> int | None:
        return partition_index(self.workload, facts) if self.workload is not None else None

    def prepare(self, run: Run) -> NextStep:
        return template_first.prepare(self, run)

    def hold_back_strategy(self, run: Run, partition: int = PARTITION_ABOVE_ALL) -> dict[str, Any]:
        own = run.saved_strategy or {}
        if is_on_delete(run):
            return own
        return {**own, "rollingUpdate": {**(own.get("rollingUpdate") or {}), "partition": partition}}

    def current_revision_matches(self, run: Run) -> bool:
        """Behind a partition the controller recreates from `currentRevision`, which may be older than what runs. Going back
        from the very end of a run, it is the new one."""
        if self.workload is None or is_on_delete(run):
            return True
        name = self.workload.status.current_revision
        current = next((revision for revision in self.revisions_kept if revision.metadata.name == name), None)
        have = images_of(current.template) if current is not None else {}
        wanted = [{**run.from_images, **known} for known in run.known_images]
        return any(all(have.get(container) == images[container] for container in run.from_images) for images in wanted)

    def follow(self, run: Run) -> Perform | WaitFor | None:
        """Lowers the partition behind the front once the controller counts those pods as updated; before, it would replace
        them."""
        workload = self.workload
        if workload is None or not run.revision or is_on_delete(run) or run.keeps_template:
            return None
        front = self._front(workload, run)
        if front >= partition_of(workload.spec.update_strategy):
            return None
        pods = (facts for facts in self.snapshot.pods if not facts.pod.is_terminating)
        labelled = sum(revision_label(facts) == run.revision for facts in pods)
        if not workload.is_observed or workload.status.updated_replicas < labelled:
            return WaitFor("waiting for the StatefulSet controller to count the updated pods")
        action = SetUpdateStrategy(*preconditions(workload), self.name, self.hold_back_strategy(run, front))
        return Perform(action, "lowering the partition behind the updated pods")

    def _front(self, workload: StatefulSet, run: Run) -> int:
        """The lowest index from which on every replica lives and carries the new revision, but no lower than the owner's
        partition."""
        updated = (f for f in self.snapshot.pods if not f.pod.is_terminating and revision_label(f) == run.revision)
        done = {partition_index(workload, facts) for facts in updated}
        front = workload.spec.replicas
        if front - 1 not in done:
            return PARTITION_ABOVE_ALL
        while front - 1 in done:
            front -= 1
        return max(front, partition_of(run.saved_strategy or {}))

    def begin_commit(self, run: Run) -> None:
        return None

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        return template_first.finish(self, run)

    def updated_replicas(self) -> int:
        return self.workload.status.updated_replicas if self.workload is not None else 0

    def will_complete(self, run: Run) -> bool:
        """Under RollingUpdate, once every replica is updated and ready. What a partition keeps back, or somebody keeps closed,
        is not waited for."""
        if self.workload is None or is_on_delete(run):
            return False
        status, replicas = self.workload.status, self.workload.spec.replicas
        complete = status.updated_replicas == status.ready_replicas == replicas
        return complete and status.current_revision != status.update_revision

    def may_uncommit(self, run: Run) -> bool:
        return False

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        return GONE

    def withdraw(self, run: Run) -> Perform | None:
        return template_first.restore_strategy_early(self, run)

    def pod_revision(self, run: Run) -> str:
        return run.revision

    def newest_revision(self) -> ControllerRevision | None:
        """The status names it: a return to an older template gives that one's revision the highest number again."""
        name = self.workload.status.update_revision if self.workload is not None else ""
        return next((revision for revision in self.revisions_kept if revision.metadata.name == name), None)

    def label_of(self, revision: ControllerRevision) -> str:
        """The revision's name (measured)."""
        return revision.metadata.name

    def may_be_replaced(self, facts: ObservedPod) -> bool:
        """From the partition on."""
        if self.workload is None or facts.pod.is_terminating:
            return False
        return partition_index(self.workload, facts) >= partition_of(self.workload.spec.update_strategy)

    def identify(self, run: Run) -> Run:
        return identified(run, self.workload)

    def external_change(self, run: Run, timers: Timers) -> Blocked | None:
        return template_first.external_change(self, run, timers)

    def yield_to_owner(self, run: Run) -> Perform | None:
        return template_first.yield_to_owner(self, run)

    def owner_settings(self, run: Run) -> Run:
        return template_first.owner_settings(self, run)

    def is_paused(self) -> bool:
        return False

    def is_left_paused(self, run: Run) -> bool:
        return False

    def templates(self) -> Iterator[Mapping[str, Any]]:
        return template_first.templates(self)

    def believed_commit(self, run: Run, is_vouched: bool) -> Run:
        return run

    def problem(self, run: Run, hang: str, resuming: bool) -> str | None:
        return template_first.problem(self, run, resuming)

    def revision_problem(self, run: Run, hang: str) -> str | None:
        """A pod that dies while a partition holds the others back is recreated from `currentRevision`."""
        if self.workload is None or self.current_revision_matches(run):
            return None
        status, pods = self.workload.status, self.snapshot.pods
        newest = [facts for facts in pods if revision_label(facts) == status.update_revision]
        if len(newest) == len(pods) == self.workload.spec.replicas:
            return None  # its controller is about to make the newest the current one
        return (
            f"{run.target} is between two revisions (currentRevision {status.current_revision}, updateRevision"
            f" {status.update_revision}): bring its pods to the template first (`inplace upgrade {run.target}`)"
            f"{f', and {hang}' if hang else ''}"
        )

    def pod_problem(self, facts: ObservedPod) -> None:
        return None

    def current_images(self, run: Run) -> dict[str, str]:
        return template_first.current_images(self, run)

    def newest_revision_label(self) -> str:
        return template_first.newest_label(self)

    def writes(self, run: Run) -> Iterator[Write]:
        return template_first.writes(self, run)

    def describe_midrun(self, run: Run) -> tuple[str, ...]:
        if self.workload is None:
            return ()
        now, own = self.workload.spec.update_strategy, run.saved_strategy
        new = describe_images(self.workload.spec.template, run)
        if own is None or now == own:
            if now.get("type") == "OnDelete":
                return (f"updateStrategy OnDelete, its owner's: a pod recreated now starts with {new}; {NOBODY_REPLACES}",)
            return ("its updateStrategy is its owner's own",)
        partition, ordinal = partition_of(now), partition_of(now) + self.workload.first_ordinal
        number, becomes = str(partition), f"with {new} from ordinal {ordinal} on, and below with what it ran before"
        if partition >= self.desired_replicas():
            number, becomes = "above every pod" if partition == PARTITION_ABOVE_ALL else number, "with what it ran before"
        whose = f"set by the run (its owner's: {partition_of(own)})"
        return (f"partition {number}, {whose}: a pod recreated now starts {becomes}; {NOBODY_REPLACES}",)

    def describe_hold(self, run: Run) -> str:
        if self.workload is None or run.saved_strategy is None or self.workload.spec.update_strategy == run.saved_strategy:
            return ""
        partition = partition_of(self.workload.spec.update_strategy)
        shown = "above every pod" if partition == PARTITION_ABOVE_ALL else str(partition)
        return f"its partition is held at {shown}"

    def is_rolling_out(self) -> bool:
        return False

    def revisions(self) -> list[Revision]:
        return template_first.revisions(self.revisions_kept)

    def lineage(self, pod: Pod) -> Lineage:
        return template_first.lineage(self.revisions_kept, pod)

    @staticmethod
    def infer_owner_strategy(strategy: Mapping[str, Any], is_of_our_writing: bool) -> dict[str, Any] | None:
        if partition_of(strategy) != PARTITION_ABOVE_ALL:
            return None
        return {**strategy, "rollingUpdate": {**strategy["rollingUpdate"], "partition": 0}}
