"""The workload's own say: how many pods, how many may be missing, how long ready counts."""

from __future__ import annotations

from inplace.engine.observed import DeploymentTarget, Observed, PodsTarget, ReplicaSetTarget
from inplace.model.quantity import budget_of
from inplace.model.run import Options

DEFAULT_MAX_UNAVAILABLE = "25%"


def is_gone(observed: Observed) -> bool:
    """Deleted, or no pods left of a selection."""
    match observed.target:
        case DeploymentTarget(deployment=None) | ReplicaSetTarget(replica_set=None):
            return True
        case PodsTarget():
            return not observed.pods
        case _:
            return False


def uid_of(observed: Observed) -> str:
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return deployment.metadata.uid
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return rs.metadata.uid
        case _:
            return ""


def desired(observed: Observed) -> int:
    """How many pods there are to be."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return deployment.spec.replicas
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return rs.spec.replicas
        case _:
            return len(observed.pods)


def own_max_unavailable(observed: Observed) -> int | str:
    """The workload's own, else 25 %."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            rolling = deployment.spec.strategy.rolling_update
            own = rolling.max_unavailable if rolling is not None else None
            return DEFAULT_MAX_UNAVAILABLE if own is None else own
        case _:
            return DEFAULT_MAX_UNAVAILABLE


def max_unavailable(observed: Observed, options: Options) -> int:
    value = options.max_unavailable if options.max_unavailable is not None else own_max_unavailable(observed)
    return budget_of(value, desired(observed))


def min_ready_seconds(observed: Observed, options: Options) -> float:
    if options.min_ready_seconds is not None:
        return options.min_ready_seconds
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return float(deployment.spec.min_ready_seconds)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return float(rs.spec.min_ready_seconds)
        case PodsTarget() | DeploymentTarget() | ReplicaSetTarget():
            return 0.0
