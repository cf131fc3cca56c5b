"""A DaemonSet: its template changes first, and OnDelete holds its pods back (`workloads.template_first`).

It has no partition and no order: a pod that dies during the run comes back new. The controller keeps the newest revision under
the highest number and does not name it in the status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inplace.engine.snapshot import DaemonSetTarget, ObservedPod, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads import template_first
from inplace.engine.workloads.identity import identified
from inplace.engine.workloads.partitions import DEFAULT_MAX_UNAVAILABLE
from inplace.engine.workloads.revisions import Lineage, Revision
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, Write
from inplace.engine.workloads.template_first import ON_DELETE, PARTITION_ABOVE_ALL
from inplace.engine.workloads.template_last import GONE
from inplace.engine.workloads.templates import same_template
from inplace.engine.workloads.wording import NOBODY_REPLACES, describe_images
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH, ControllerRevision, DaemonSet
from inplace.model.refs import WorkloadKind
from inplace.model.run import CommitState, Run


class DaemonSetKind:
    """`WorkloadStrategy` of a DaemonSet. As long as that Protocol, since it is the whole page of its kind."""

    name: WorkloadKind = "DaemonSet"
    has_controller = True
    has_history = True
    is_ordered = False

    def __init__(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.target, DaemonSetTarget)
        self.snapshot, self.revisions_kept = snapshot, snapshot.target.revisions
        self.workload: DaemonSet | None = snapshot.target.daemon_set

    def desired_replicas(self) -> int:
        return self.workload.status.desired_number_scheduled if self.workload is not None else len(self.snapshot.pods)

    def blocked_replicas(self) -> int:
        return 0

    def pods_kept_back(self, run: Run) -> frozenset[str]:
        """When going back to an older revision than the template's, all: only the owner's OnDelete holds pods at theirs."""
        if self.workload is None or not run.keeps_template or (run.saved_strategy or {}).get("type") == "OnDelete":
            return frozenset()
        return frozenset(facts.uid for facts in self.snapshot.pods)

    def own_max_unavailable(self, run: Run) -> int | str:
        if self.workload is None:
            return DEFAULT_MAX_UNAVAILABLE
        return template_first.own_max_unavailable(self.workload.spec.update_strategy, run)

    def has_own_max_unavailable(self) -> bool:
        return False

    def ordinal(self, facts: ObservedPod) -> None:
        return None

    def prepare(self, run: Run) -> NextStep:
        return template_first.prepare(self, run)

    def hold_back_strategy(self, run: Run, partition: int = PARTITION_ABOVE_ALL) -> dict[str, Any]:
        return dict(ON_DELETE)

    def current_revision_matches(self, run: Run) -> bool:
        return True

    def follow(self, run: Run) -> None:
        return None

    def begin_commit(self, run: Run) -> None:
        return None

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        return template_first.finish(self, run)

    def updated_replicas(self) -> int:
        return self.workload.status.updated_number_scheduled if self.workload is not None else 0

    def will_complete(self, run: Run) -> bool:
        return False

    def may_uncommit(self, run: Run) -> bool:
        return False

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        return GONE

    def withdraw(self, run: Run) -> Perform | None:
        return template_first.restore_strategy_early(self, run)

    def pod_revision(self, run: Run) -> str:
        return run.revision

    def newest_revision(self) -> ControllerRevision | None:
        """The one with the highest number, which a return to an older template renews. None where it has another template than
        the DaemonSet: the watch of revisions lags behind then."""
        newest = max(self.revisions_kept, key=lambda revision: revision.revision, default=None)
        if newest is None or self.workload is None or not same_template(newest.template, self.workload.spec.template):
            return None
        return newest

    def label_of(self, revision: ControllerRevision) -> str:
        """The bare hash (measured)."""
        return revision.metadata.label(CONTROLLER_REVISION_HASH) or ""

    def may_be_replaced(self, facts: ObservedPod) -> bool:
        return True

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

    def revision_problem(self, run: Run, hang: str) -> None:
        return None

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
        if now.get("type") != "OnDelete":
            return ("its updateStrategy is its owner's own",)
        of_run = f"set by the run (its owner's: {(own or {}).get('type', 'RollingUpdate')})"
        whose = "its owner's" if own is None or now == own else of_run
        new = describe_images(self.workload.spec.template, run)
        return (f"updateStrategy OnDelete, {whose}: a pod recreated now starts with {new}; {NOBODY_REPLACES}",)

    def describe_hold(self, run: Run) -> str:
        if self.workload is None or run.saved_strategy is None or self.workload.spec.update_strategy == run.saved_strategy:
            return ""
        return "its updateStrategy is held at OnDelete"

    def is_rolling_out(self) -> bool:
        return False

    def revisions(self) -> list[Revision]:
        return template_first.revisions(self.revisions_kept)

    def lineage(self, pod: Pod) -> Lineage:
        return template_first.lineage(self.revisions_kept, pod)

    @staticmethod
    def infer_owner_strategy(strategy: Mapping[str, Any], is_of_our_writing: bool) -> dict[str, Any] | None:
        """OnDelete is a run's only where this program wrote it last; the strategy before was then the default, most likely."""
        if not is_of_our_writing or strategy.get("type") != "OnDelete":
            return None
        return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
