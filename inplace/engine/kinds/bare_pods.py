"""Bare pods, by names or by a selector: no controller, no template, no history.

A pod that leaves is not replaced. Each carries its own field owners, and a record under another run's Lease keeps it from this
one. Nothing is prepared or committed: at the end image fields go back to their owners, pod by pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inplace.engine.pods.goals import goal_of
from inplace.engine.snapshot import ObservedPod, PodsTarget, Snapshot
from inplace.engine.timers import Timers
from inplace.engine.workloads.identity import identified
from inplace.engine.workloads.partitions import DEFAULT_MAX_UNAVAILABLE
from inplace.engine.workloads.revisions import Lineage, Revision
from inplace.engine.workloads.sequence import Blocked, NextStep, Prepared, Write
from inplace.engine.workloads.template_changes import foreign_images
from inplace.engine.workloads.template_last import GONE, restore_pod_field_owners
from inplace.engine.workloads.wording import owned_by
from inplace.model.objects.pods import Pod
from inplace.model.run import CommitState, Run


class BarePodsKind:
    """`WorkloadStrategy` of bare pods. As long as that Protocol, since it is the whole page of its kind."""

    has_controller = False
    has_history = False

    def __init__(self, snapshot: Snapshot) -> None:
        assert isinstance(snapshot.target, PodsTarget)
        self._snapshot, self._target = snapshot, snapshot.target

    def desired_replicas(self) -> int:
        return len(self._snapshot.pods)

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

    def begin_commit(self, run: Run) -> None:
        return None

    def commit(self, run: Run, listed_fresh: Mapping[str, bool]) -> NextStep:
        return restore_pod_field_owners(self._snapshot, run) if run.commit is None else GONE

    def may_uncommit(self, run: Run) -> bool:
        return False

    def uncommit(self, run: Run, commit: CommitState) -> NextStep:
        return GONE

    def withdraw(self, run: Run) -> None:
        return None

    def pod_revision(self, run: Run) -> None:
        return None

    def identify(self, run: Run) -> Run:
        return identified(run, None)

    def external_change(self, run: Run, timers: Timers) -> Blocked | None:
        """A pod that was created anew, or has joined the selection, never ran what the run would go back to."""
        untouched = (facts for facts in self._snapshot.pods if facts.record is None and not facts.pod.is_terminating)
        found = (foreign_images(facts.images, run, f"pod/{facts.pod.name}") for facts in untouched)
        return next((blocked for blocked in found if blocked is not None), None)

    def yield_to_owner(self, run: Run) -> None:
        return None

    def owner_settings(self, run: Run) -> Run:
        return run

    def is_paused(self) -> bool:
        return False

    def is_left_paused(self, run: Run) -> bool:
        return False

    def templates(self) -> Iterator[Mapping[str, Any]]:
        yield from ()

    def believed_commit(self, run: Run, is_vouched: bool) -> Run:
        return run

    def problem(self, run: Run, hang: str, resuming: bool) -> str | None:
        if self._target.missing:
            return f"pod/{self._target.missing[0]} does not exist in namespace {run.target.namespace}"
        if not self._snapshot.pods:
            return f"no pods match {run.target.selector!r} in namespace {run.target.namespace}"
        return None if resuming else self._mixed_images(run)

    def _mixed_images(self, run: Run) -> str | None:
        """A run knows one set of images to go back to, and must not give it to a pod that never ran it."""
        behind = self._behind(run)
        for name in sorted(run.images):
            by_image = {facts.images[name]: facts.pod.name for facts in reversed(behind) if name in facts.images}
            if len(by_image) > 1:
                pods = ", ".join(f"pod/{pod} {image}" for image, pod in sorted(by_image.items())[:5])
                return (
                    f"{run.target} run different images of container {name} ({pods}), so that there would be no way back:"
                    " upgrade the pods of one image at a time"
                )
        return None

    def _behind(self, run: Run) -> list[ObservedPod]:
        goal = goal_of(run)
        return [facts for facts in self._snapshot.pods if not goal.is_met_by(facts)]

    def revision_problem(self, run: Run, hang: str) -> None:
        return None

    def pod_problem(self, facts: ObservedPod) -> str | None:
        pod, owner = facts.pod, facts.pod.metadata.controller()
        if "kubernetes.io/config.mirror" in (pod.metadata.annotations or {}):
            return f"pod/{pod.name} is a mirror of a static pod: change its manifest on node {pod.spec.node_name}"
        return owned_by(f"pod/{pod.name}", owner) if owner is not None else None

    def current_images(self, run: Run) -> dict[str, str]:
        """Of the first pod that is to be changed."""
        first = next(iter((*self._behind(run), *self._snapshot.pods)), None)
        return first.pod.spec.images() if first is not None else {}

    def newest_revision_label(self) -> str:
        return ""

    def writes(self, run: Run) -> Iterator[Write]:
        yield from ()

    def describe_midrun(self, run: Run) -> tuple[str, ...]:
        return ("a pod deleted now does not come back: nothing manages it",)

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
