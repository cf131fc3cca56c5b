"""Deployments and ReplicaSets: what the template-last commit reads (design, section 5)."""

from __future__ import annotations

from typing import Any

from inplace.model.meta import LabelSelector, ObjectMeta, Wire

REVISION = "deployment.kubernetes.io/revision"
POD_TEMPLATE_HASH = "pod-template-hash"


class RollingUpdate(Wire, frozen=True):
    max_unavailable: int | str | None = None


class DeploymentStrategy(Wire, frozen=True):
    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Wire, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    replicas: int = 1
    min_ready_seconds: int = 0
    paused: bool = False
    strategy: DeploymentStrategy = DeploymentStrategy()
    revision_history_limit: int | None = None


class WorkloadStatus(Wire, frozen=True):
    """Status of a Deployment or a ReplicaSet."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0


class Deployment(Wire, frozen=True):
    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def is_observed(self) -> bool:
        return self.status.observed_generation >= self.metadata.generation


class ReplicaSetSpec(Wire, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    replicas: int = 1
    min_ready_seconds: int = 0


class ReplicaSet(Wire, frozen=True):
    metadata: ObjectMeta
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def is_observed(self) -> bool:
        return self.status.observed_generation >= self.metadata.generation

    @property
    def is_active(self) -> bool:
        return self.spec.replicas > 0 or self.status.replicas > 0

    @property
    def revision(self) -> int:
        text = self.metadata.annotation(REVISION) or "0"
        return int(text) if text.isdigit() else 0
