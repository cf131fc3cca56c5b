"""What holds for a target of any kind: its pod template, whether it is gone, how many pods a run updates and may take out."""

from __future__ import annotations

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.partitions import count_to_update
from inplace.engine.workloads.templates import spec_of
from inplace.model.int_or_percent import scaled_floor
from inplace.model.objects.pods import PodSpec
from inplace.model.run import Run, RunOptions


def template_spec(snapshot: Snapshot) -> PodSpec | None:
    """The workload's pod template; for bare pods, the first pod's spec. None where there is neither."""
    workload = snapshot.target.workload
    if workload is not None:
        return spec_of(workload.spec.template)
    if strategy_for(snapshot).has_controller or not snapshot.pods:
        return None
    return snapshot.pods[0].pod.spec


def is_gone(snapshot: Snapshot) -> bool:
    """Whether it is deleted or about to be (its ReplicaSets may be orphaned by then); of bare pods, whether none are left."""
    if not strategy_for(snapshot).has_controller:
        return not snapshot.pods
    workload = snapshot.target.workload
    return workload is None or workload.metadata.deletion_timestamp is not None


def uid_of(snapshot: Snapshot) -> str:
    """Empty where it is gone, and for bare pods."""
    workload = snapshot.target.workload
    return workload.metadata.uid if workload is not None else ""


def expected_labels(snapshot: Snapshot) -> tuple[dict[str, str], ...]:
    """Returns the labels of the pods that the workload's controller is still to make, once: empty if it has made them all."""
    owner = snapshot.target.workload
    alive = sum(not facts.pod.is_terminating and not facts.pod.is_terminal for facts in snapshot.pods)
    if owner is None or strategy_for(snapshot).desired_replicas() <= alive:
        return ()
    labels = (owner.spec.template.get("metadata") or {}).get("labels") or {}
    return ({str(key): str(value) for key, value in labels.items()},) if isinstance(labels, dict) else ()


def pods_to_update(snapshot: Snapshot, run: Run) -> int:
    """How many pods the run updates: all but those that stay as they are."""
    strategy = strategy_for(snapshot)
    return count_to_update(run, strategy.desired_replicas(), len(strategy.pods_kept_back(run)))


def max_unavailable(snapshot: Snapshot, run: Run) -> int:
    """How many pods may be unavailable at once: the run's option, else the workload's own limit."""
    strategy, option = strategy_for(snapshot), run.options.max_unavailable
    return scaled_floor(strategy.own_max_unavailable(run) if option is None else option, strategy.desired_replicas())


def min_ready_seconds(snapshot: Snapshot, options: RunOptions) -> float:
    """How long a pod must be ready to count as updated: the run's option, else the workload's own."""
    if options.min_ready_seconds is not None:
        return options.min_ready_seconds
    workload = snapshot.target.workload
    return float(workload.spec.min_ready_seconds) if workload is not None else 0.0
