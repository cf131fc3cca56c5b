"""Describes what an orphaned run has left behind and what is to be done about it, for `repair` and its dry run.

The planner alone decides what is done, with a request to stop; this module only predicts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.kinds.image_provenance import believed_commit, unfinished
from inplace.engine.kinds.registry import STRATEGIES, strategy_for
from inplace.engine.planning.plan import PlanContext
from inplace.engine.planning.planner import pod_policy
from inplace.engine.pods.stages import PodAssessment, assess_pod
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.record import UnreadableRecord, UpgradeRecord
from inplace.model.refs import TargetKind, TargetRef
from inplace.model.run import Run, StopRequest


class Leftovers(msgspec.Struct, frozen=True):
    """`todo`: actions, in the imperative. `undecided`: what stays as it is until a user decides. `stuck`: pods that cannot be
    freed now."""

    todo: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()


def leftovers(snapshot: Snapshot, spec: PlanContext, run: Run, now: float) -> Leftovers:
    """Describes the leftovers of a run without a living holder."""
    policy = pod_policy(snapshot, spec, run, StopRequest("Interrupted", ""))
    assessments = [assess_pod(facts, policy, snapshot.evidence.get(facts.uid), now) for facts in snapshot.pods]
    todo = [line for assessment in assessments if (line := _describe_pod(assessment))]
    held = []
    if run.commit is not None:
        if believed_commit(snapshot, run).commit is not None and all(
            facts.spec_has_images(run.images) for facts in snapshot.pods
        ):
            images = ", ".join(f"{name}={image}" for name, image in run.images.items())
            todo.append(f"finish its commit of {images}" + ("" if run.commit.paused else ", and unpause the Deployment"))
        else:
            held.append(unfinished(snapshot, run))
    strategy = strategy_for(snapshot).describe_hold(run)
    if strategy and strategy_for(snapshot).withdraw(run) is not None:
        todo.append("restore its updateStrategy")
    elif strategy and run.images:
        held.append(f"{strategy}, since pods of two revisions live: `inplace upgrade`, `undo` or `abort` ends that")
    elif strategy:
        held.append(f"{strategy}, since pods of two revisions live: {_ENDS.format(run.target)}")
    return Leftovers(
        tuple(todo), tuple(held), tuple(_stuck(f) for f in snapshot.pods if isinstance(f.record, UnreadableRecord))
    )


_ENDS = "`inplace upgrade {}` brings them to the template and ends that"


def leftovers_without_run(snapshot: Snapshot, strategy: dict[str, Any], target: TargetRef) -> str:
    """Describes for `status` how a run whose Lease is gone still holds the workload, whose own strategy was `strategy`."""
    hold = strategy_for(snapshot).describe_hold(Run(id="", target=target, images={}, saved_strategy=strategy))
    return f"{hold} by a run whose Lease is gone: {_ENDS.format(target)}"


def _describe_pod(assessment: PodAssessment) -> str:
    if not isinstance(assessment.facts.record, UpgradeRecord):
        return ""
    name = f"pod/{assessment.facts.pod.name}"
    match assessment.stage:
        case "Released":
            return f"reopen {name}, whose image was not changed"
        case "Returning":
            return f"open {name} on {_images(assessment)}, whose restart is proven"
        case "Restarting":
            return f"open {name} on {_images(assessment)} once its restart is proven ({assessment.reason})"
        case _:
            return ""


def _images(assessment: PodAssessment) -> str:
    record = assessment.facts.record
    names = record.to_images if isinstance(record, UpgradeRecord) else {}
    return ", ".join(f"{name}={assessment.facts.images.get(name, '')}" for name in names)


def _stuck(facts: ObservedPod) -> str:
    match facts.record:
        case UnreadableRecord(problem=problem):
            return f"pod/{facts.pod.name}: {problem}"
        case _:
            return describe_held_pod(facts)


def describe_held_pod(facts: ObservedPod) -> str:
    """Says of a pod with a record that it is closed or, if it has no gate, that it has not come back."""
    has_gate = not isinstance(facts.record, UpgradeRecord) or facts.record.gate_before != "Absent"
    return f"pod/{facts.pod.name} is still closed" if has_gate else f"pod/{facts.pod.name} has not come back"


def held_pods(snapshot: Snapshot) -> tuple[str, ...]:
    """Describes the pods that carry a record."""
    return tuple(_stuck(facts) for facts in snapshot.pods if facts.record is not None and not facts.pod.is_terminating)


def infer_owner_strategy(strategy: Mapping[str, Any], kind: TargetKind, is_of_our_writing: bool) -> dict[str, Any] | None:
    """Returns the probable original strategy of a workload whose run is lost, if its present one can only be that of a run.
    None: it may be its owner's."""
    return STRATEGIES[kind].infer_owner_strategy(strategy, is_of_our_writing)
