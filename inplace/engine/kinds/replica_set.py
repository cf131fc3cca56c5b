"""A ReplicaSet without a Deployment: its template changes last, and its controller never touches living pods.

So nothing is paused and no history is kept: the commit patches the template, and a list of the pods made after that finds those
that were created from the old one meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inplace.engine.snapshot import ObservedPod, ReplicaSetTarget, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.identity import identified
from inplace.engine.workloads.partitions import DEFAULT_MAX_UNAVAILABLE
from inplace.engine.workloads.revisions import Lineage, Revision
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Prepared, Write
from inplace.engine.workloads.template_changes import edited, foreign_template_images
from inplace.engine.workloads.template_last import GONE, next_for_replica_set
from inplace.engine.workloads.templates import has_images, images_of
from inplace.engine.workloads.uncommit import uncommit_replica_set
from inplace.engine.workloads.wording import describe_images
from inplace.model.objects.pods import Pod
from inplace.model.run import CommitState, Run


class ReplicaSetKind:
    """`WorkloadStrategy` of a ReplicaSet. As long as that Protocol, since it is the whole page of its kind."""

    has_controller = True
    has_history = False

    def __init__(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.target, ReplicaSetTarget)
        self._snapshot, self._replica_set = snapshot, snapshot.target.replica_set

    def desired_replicas(self) -> int:
        return self._replica_set.spec.replicas if self._replica_set is not None else len(self._snapshot.pods)

    def blocked_replicas(self) -> int:
        return 0

    def pods_kept_back(self, run: Run) -> frozenset[str]:
        return frozenset()

    def own_max_unavailable(self, run: Run) -> int | str:
        return DEFAULT_MAX_UNAVAILABLE

    def has_own_max_unavailable(self) -> bool:
        return False

    def ordinal(self, facts: ObservedPod) -> None:
        return None

    def prepare(self, run: Run) -> NextStep:
        return Prepared(run.revision)

    def follow(self, run: Run) -> None:
        return None

    def begin_commit(self, run: Run) -> CommitState | None:
        """None also for a run that goes back: it has not touched the template, and what its owner changed in it stays."""
        rs = self._replica_set
        if run.rolling_back or rs is None or has_images(rs.spec.template, run.images):
            return None
        return CommitState(live_uid=rs.metadata.uid)

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        if run.commit is None:
            return Done()
        if self._replica_set is None:
            return GONE
        return next_for_replica_set(self._snapshot, self._replica_set, run, listed_fresh)

    def may_uncommit(self, run: Run) -> bool:
        return run.commit is not None

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        return GONE if self._replica_set is None else uncommit_replica_set(self._snapshot, self._replica_set, run)

    def withdraw(self, run: Run) -> None:
        return None

    def pod_revision(self, run: Run) -> None:
        return None

    def identify(self, run: Run) -> Run:
        return identified(run, self._replica_set)

    def external_change(self, run: Run, timers: Timers) -> Blocked | None:
        rs = self._replica_set
        if rs is None:
            return None
        return foreign_template_images(rs.spec.template, run, f"rs/{rs.metadata.name}") or edited(rs, run)

    def yield_to_owner(self, run: Run) -> None:
        return None

    def owner_settings(self, run: Run) -> Run:
        return run

    def is_paused(self) -> bool:
        return False

    def is_left_paused(self, run: Run) -> bool:
        return False

    def templates(self) -> Iterator[Mapping[str, Any]]:
        if self._replica_set is not None:
            yield self._replica_set.spec.template

    def believed_commit(self, run: Run, is_vouched: bool) -> Run:
        return run

    def problem(self, run: Run, hang: str, resuming: bool) -> None:
        return None

    def revision_problem(self, run: Run, hang: str) -> None:
        return None

    def pod_problem(self, facts: ObservedPod) -> None:
        return None

    def current_images(self, run: Run) -> dict[str, str]:
        return images_of(self._replica_set.spec.template) if self._replica_set is not None else {}

    def newest_revision_label(self) -> str:
        return ""

    def writes(self, run: Run) -> Iterator[Write]:
        yield from ()

    def describe_midrun(self, run: Run) -> tuple[str, ...]:
        if self._replica_set is None:
            return ()
        return (f"a pod recreated now starts with {describe_images(self._replica_set.spec.template, run)}",)

    def describe_hold(self, run: Run) -> str:
        return ""

    def is_rolling_out(self) -> bool:
        return False

    def revisions(self) -> list[Revision]:
        return []

    def lineage(self, pod: Pod) -> Lineage:
        return Lineage()

    @staticmethod
    def infer_owner_strategy(strategy: Mapping[str, Any], is_of_our_writing: bool) -> None:
        return None
