"""What an update strategy says of pods: which of them it keeps back, and how many it lets be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.snapshot import ObservedPod
from inplace.model.objects.workloads import StatefulSet
from inplace.model.run import Run

DEFAULT_MAX_UNAVAILABLE = "25%"
CAREFUL_MAX_UNAVAILABLE = 1
"""The default of Kubernetes for StatefulSets and DaemonSets."""


def partition_of(strategy: Mapping[str, Any]) -> int:
    """Of a StatefulSet's updateStrategy: pods with a lower index keep their revision."""
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def partition_index(stateful_set: StatefulSet, facts: ObservedPod) -> int:
    """What a partition counts: the ordinal in the pod's name, less `spec.ordinals.start`. -1 for a name without one."""
    ordinal = facts.pod.name.rpartition("-")[2]
    return int(ordinal) - stateful_set.first_ordinal if ordinal.isdecimal() else -1


def own_partition(run: Run) -> int:
    """The owner's `partition`, which limits the run: pods of a lower index keep their revision. 0 for a run that adopts a
    changed template, since it brings all pods to it."""
    if run.adopts_template or run.saved_strategy is None:
        return 0
    return partition_of(run.saved_strategy)


def count_to_update(run: Run, desired: int, kept_back: int) -> int:
    """How many of `desired` pods the run updates. `kept_back`: how many of the pods that exist stay as they are."""
    return max(0, desired - (kept_back if run.keeps_template else own_partition(run)))


def max_unavailable_in(strategy: Mapping[str, Any]) -> int | str:
    own = (strategy.get("rollingUpdate") or {}).get("maxUnavailable")
    return CAREFUL_MAX_UNAVAILABLE if own is None else own
