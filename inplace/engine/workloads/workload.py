"""The workload's own say: how many pods, which of them, how many may be missing, how long ready counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.snapshot import (
    DaemonSetTarget,
    DeploymentTarget,
    ObservedPod,
    PodsTarget,
    ReplicaSetTarget,
    Snapshot,
    StatefulSetTarget,
)
from inplace.engine.workloads.templates import spec_of
from inplace.model.int_or_percent import scaled_floor
from inplace.model.objects.pods import PodSpec
from inplace.model.objects.workloads import DaemonSet, Deployment, ReplicaSet, StatefulSet, Workload
from inplace.model.run import Run, RunOptions

DEFAULT_MAX_UNAVAILABLE = "25%"
CAREFUL_MAX_UNAVAILABLE = 1
"""What Kubernetes itself takes for StatefulSets and DaemonSets that say nothing."""


def workload_of(observed: Snapshot) -> Workload | None:
    """None: it is gone, or the target is bare pods."""
    match observed.target:
        case DeploymentTarget(deployment=workload):
            return workload
        case ReplicaSetTarget(replica_set=workload):
            return workload
        case StatefulSetTarget(stateful_set=workload):
            return workload
        case DaemonSetTarget(daemon_set=workload):
            return workload
        case PodsTarget():
            return None


def template_spec(observed: Snapshot) -> PodSpec | None:
    """The workload's pod template; for bare pods, the first pod's spec."""
    found = workload_of(observed)
    if found is not None:
        return spec_of(found.spec.template)
    return observed.pods[0].pod.spec if isinstance(observed.target, PodsTarget) and observed.pods else None


def is_gone(observed: Snapshot) -> bool:
    """Deleted, or about to be (its ReplicaSets may be orphaned by then); or no pods are left of a selection."""
    if isinstance(observed.target, PodsTarget):
        return not observed.pods
    workload = workload_of(observed)
    return workload is None or workload.metadata.deletion_timestamp is not None


def uid_of(observed: Snapshot) -> str:
    workload = workload_of(observed)
    return workload.metadata.uid if workload is not None else ""


def desired_replicas(observed: Snapshot) -> int:
    """How many pods there are to be."""
    match workload_of(observed):
        case Deployment() | ReplicaSet() | StatefulSet() as workload:
            return workload.spec.replicas
        case DaemonSet() as workload:
            return workload.status.desired_number_scheduled
        case None:
            return len(observed.pods)


def expected_labels(observed: Snapshot) -> tuple[dict[str, str], ...]:
    """Returns the labels of the pods that the workload's controller is still to make, once: empty if it has made them all."""
    owner = workload_of(observed)
    alive = sum(not facts.pod.is_terminating and not facts.pod.is_finished for facts in observed.pods)
    if owner is None or desired_replicas(observed) <= alive:
        return ()
    labels = (owner.spec.template.get("metadata") or {}).get("labels") or {}
    return ({str(key): str(value) for key, value in labels.items()},) if isinstance(labels, dict) else ()


def never_made(observed: Snapshot) -> int:
    """Replicas that the controller of an OrderedReady StatefulSet does not make as long as one below them has no node."""
    workload = workload_of(observed)
    if not isinstance(workload, StatefulSet) or workload.spec.pod_management_policy != "OrderedReady":
        return 0
    living = [facts.pod for facts in observed.pods if not facts.pod.is_terminating]
    return 0 if all(pod.is_scheduled for pod in living) else max(0, workload.spec.replicas - len(living))


def pods_to_update(observed: Snapshot, run: Run) -> int:
    """How many pods the run is to update: all, but for those that stay as they are."""
    behind = len(pods_kept_back(observed, run)) if run.keeps_template else own_partition(run)
    return max(0, desired_replicas(observed) - behind)


def own_partition(run: Run) -> int:
    """The user's `partition`, which limits the run: pods of a lower index keep their revision. A run that takes over a
    changed template was begun to bring all pods to it."""
    if run.adopts_template or run.saved_strategy is None:
        return 0
    return partition_of(run.saved_strategy)


def partition_index(stateful_set: StatefulSet, facts: ObservedPod) -> int:
    """What a partition counts: the ordinal in the pod's name, less `spec.ordinals.start`. -1 for a name without one."""
    ordinal = facts.pod.name.rpartition("-")[2]
    return int(ordinal) - stateful_set.first_ordinal if ordinal.isdecimal() else -1


def pods_kept_back(observed: Snapshot, run: Run) -> frozenset[str]:
    """Uids of the pods that stay as they are, because they are behind the user's own partition; on the way back to an older
    revision than the template's, because the user's own strategy does not hold them there."""
    partition = own_partition(run)
    workload = workload_of(observed)
    if run.keeps_template and isinstance(workload, (StatefulSet, DaemonSet)):
        return frozenset(facts.uid for facts in observed.pods if not _is_held(workload, facts, run.saved_strategy or {}))
    if not partition or not isinstance(workload, StatefulSet):
        return frozenset()
    return frozenset(facts.uid for facts in observed.pods if partition_index(workload, facts) < partition)


def partition_of(strategy: Mapping[str, Any]) -> int:
    """Of a StatefulSet's updateStrategy: pods with a lower index stay as they are."""
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def _is_held(workload: StatefulSet | DaemonSet, facts: ObservedPod, strategy: Mapping[str, Any]) -> bool:
    """Whether under this update strategy a pod of an older revision may stay."""
    if strategy.get("type") == "OnDelete":
        return True
    return isinstance(workload, StatefulSet) and partition_index(workload, facts) < partition_of(strategy)


def own_max_unavailable(observed: Snapshot, run: Run) -> int | str:
    """The workload's own, else Kubernetes' own default for its kind. While a run is on, a StatefulSet's and a DaemonSet's
    own strategy is the saved one."""
    match workload_of(observed):
        case Deployment(spec=spec):
            rolling = spec.strategy.rolling_update
            own = rolling.max_unavailable if rolling is not None else None
            return DEFAULT_MAX_UNAVAILABLE if own is None else own
        case StatefulSet() as workload if workload.spec.pod_management_policy == "OrderedReady":
            return CAREFUL_MAX_UNAVAILABLE
        case StatefulSet() | DaemonSet() as workload:
            strategy = workload.spec.update_strategy if run.saved_strategy is None else run.saved_strategy
            return _max_unavailable_in(strategy)
        case _:
            return DEFAULT_MAX_UNAVAILABLE


def _max_unavailable_in(strategy: Mapping[str, Any]) -> int | str:
    own = (strategy.get("rollingUpdate") or {}).get("maxUnavailable")
    return CAREFUL_MAX_UNAVAILABLE if own is None else own


def max_unavailable(observed: Snapshot, run: Run) -> int:
    asked = run.options.max_unavailable
    return scaled_floor(own_max_unavailable(observed, run) if asked is None else asked, desired_replicas(observed))


def min_ready_seconds(observed: Snapshot, options: RunOptions) -> float:
    if options.min_ready_seconds is not None:
        return options.min_ready_seconds
    workload = workload_of(observed)
    return float(workload.spec.min_ready_seconds) if workload is not None else 0.0
