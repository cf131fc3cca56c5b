"""What a kind of target must answer: the Protocol that every page in this folder satisfies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.revisions import Lineage, Revision
from inplace.engine.workloads.sequence import Blocked, NextStep, Perform, WaitFor, Write
from inplace.model.objects.pods import Pod
from inplace.model.run import CommitState, Run


class WorkloadStrategy(Protocol):
    """One kind of target, as one snapshot shows it.

    It has more methods than other classes because it is the whole list of what depends on the kind: everything else in the
    engine is written once for all kinds. Pages inherit nothing; what two of them share are functions in `engine.workloads`.
    """

    has_controller: bool
    """A controller replaces pods that leave, and reads a template. False for bare pods."""
    has_history: bool
    """A controller numbers the revisions of the template, so that `undo --to-revision` can name one."""

    def __init__(self, snapshot: Snapshot) -> None:
        """`snapshot.target` is of this kind."""

    # How many pods, which of them, in what order.

    def desired_replicas(self) -> int:
        """How many pods there should be."""

    def blocked_replicas(self) -> int:
        """How many of these the controller will not create for now."""

    def pods_kept_back(self, run: Run) -> frozenset[str]:
        """Uids of the pods that the run leaves as they are, because the owner's own settings hold them back."""

    def own_max_unavailable(self, run: Run) -> int | str:
        """The workload's own limit, else the default that Kubernetes has for its kind."""

    def has_own_max_unavailable(self) -> bool:
        """Whether the workload sets that limit where its owner can see it."""

    def ordinal(self, facts: ObservedPod) -> int | None:
        """Where pods have a fixed order, the place of this one: the highest goes first."""

    # The sequence around the pods.

    def prepare(self, run: Run) -> NextStep:
        """Before the first pod. `Prepared` with the revision that pods will carry, empty where they carry none."""

    def follow(self, run: Run) -> Perform | WaitFor | None:
        """While pods are worked on, and once more before a run stops halfway."""

    def begin_commit(self, run: Run) -> CommitState | None:
        """What must be stored before the first write of a commit; None where there is nothing to commit."""

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        """After the last pod: the next step that makes the workload consistent, until `Done`.

        `listed_fresh`: for each moment of a `RelistPods` before, whether a list made after it shows every pod updated.
        """

    def may_uncommit(self, run: Run) -> bool:
        """Whether a commit that cannot be finished can still be taken back."""

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        """The next step that takes a commit back, until `Done`."""

    def withdraw(self, run: Run) -> Perform | None:
        """At an early end: releases what the run holds back, where that no longer protects a pod."""

    def pod_revision(self, run: Run) -> str | None:
        """What the revision label of an updated pod must say, empty while not known; None where pods have no such label."""

    # What somebody else did, and what the owner had set.

    def identify(self, run: Run) -> Run:
        """A new run with what is needed to recognise its target again."""

    def external_change(self, run: Run, timers: Timers) -> Blocked | None:
        """What somebody else changed under the run."""

    def yield_to_owner(self, run: Run) -> Perform | None:
        """After such a change: releases what the run held back, so that it takes effect."""

    def owner_settings(self, run: Run) -> Run:
        """The run with the settings that the owner has made, as they are now, apart from those that this run wrote itself."""

    def is_paused(self) -> bool:
        """Whether the controller is told to leave a changed template alone."""

    def is_left_paused(self, run: Run) -> bool:
        """Whether this run paused it, and not its owner."""

    def templates(self) -> Iterator[Mapping[str, Any]]:
        """Every template that the workload and its history hold."""

    def believed_commit(self, run: Run, is_vouched: bool) -> Run:
        """The run as far as its stored commit fits what is there. `is_vouched`: the images before are known besides the run."""

    # What is refused, and what a dry run sends to the server.

    def problem(self, run: Run, hang: str, resuming: bool) -> str | None:
        """Why a run must not begin on a target of this kind. `hang`: why a rollout under way does not progress."""

    def revision_problem(self, run: Run, hang: str) -> str | None:
        """Why the revisions as they are do not allow a new run, once it is clear that something would change."""

    def pod_problem(self, facts: ObservedPod) -> str | None:
        """Why this pod must not be touched, whatever the run."""

    def current_images(self, run: Run) -> dict[str, str]:
        """What the pods of the run ran before. The template may be ahead of them: paused, partitioned or OnDelete."""

    def newest_revision_label(self) -> str:
        """What the pods of the newest revision carry as a label; empty where pods have none."""

    def writes(self, run: Run) -> Iterator[Write]:
        """The writes of the sequence besides the change of the target's own template, for a server dry run."""

    # What people are shown.

    def describe_midrun(self, run: Run) -> tuple[str, ...]:
        """How the workload stands in the middle of the run: what holds pods back, and what a recreated pod starts with."""

    def describe_hold(self, run: Run) -> str:
        """How the run holds pods back by the update strategy; empty where it does not."""

    def is_rolling_out(self) -> bool:
        """Whether a classic rollout is under way."""

    def revisions(self) -> list[Revision]:
        """The history that its controller keeps, in any order."""

    def lineage(self, pod: Pod) -> Lineage:
        """What stands between the workload and a pod: a ReplicaSet or a ControllerRevision."""

    @staticmethod
    def infer_owner_strategy(strategy: Mapping[str, Any], is_of_our_writing: bool) -> dict[str, Any] | None:
        """What the update strategy most likely was before a run that nobody remembers; None: it may well be the owner's."""
