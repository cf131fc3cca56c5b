"""Defines Deployments, ReplicaSets, StatefulSets and DaemonSets with the fields that planning reads (design, section 5)."""

from __future__ import annotations

from typing import Any

from inplace.model.objects.meta import ApiStruct, LabelSelector, ObjectMeta

REVISION = "deployment.kubernetes.io/revision"
POD_TEMPLATE_HASH = "pod-template-hash"
CONTROLLER_REVISION_HASH = "controller-revision-hash"


class RollingUpdate(ApiStruct, frozen=True):
    max_unavailable: int | str | None = None


class DeploymentStrategy(ApiStruct, frozen=True):
    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(ApiStruct, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    replicas: int = 1
    min_ready_seconds: int = 0
    paused: bool = False
    strategy: DeploymentStrategy = DeploymentStrategy()
    revision_history_limit: int | None = None


class WorkloadStatus(ApiStruct, frozen=True):
    """Status of a Deployment or a ReplicaSet."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0


class Deployment(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def is_observed(self) -> bool:
        return self.status.observed_generation >= self.metadata.generation


class ReplicaSetSpec(ApiStruct, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    replicas: int = 1
    min_ready_seconds: int = 0


class ReplicaSet(ApiStruct, frozen=True):
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


class Ordinals(ApiStruct, frozen=True):
    start: int = 0


class StatefulSetSpec(ApiStruct, frozen=True):
    """Spec of a StatefulSet. `update_strategy` is plain JSON, so that it can be saved and restored to the letter."""

    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    replicas: int = 1
    min_ready_seconds: int = 0
    pod_management_policy: str = "OrderedReady"
    update_strategy: dict[str, Any] = {}
    ordinals: Ordinals | None = None


class StatefulSetStatus(WorkloadStatus, frozen=True):
    current_revision: str = ""
    update_revision: str = ""


class StatefulSet(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()

    @property
    def is_observed(self) -> bool:
        return self.status.observed_generation >= self.metadata.generation

    @property
    def first_ordinal(self) -> int:
        return self.spec.ordinals.start if self.spec.ordinals is not None else 0


class DaemonSetSpec(ApiStruct, frozen=True):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    min_ready_seconds: int = 0
    update_strategy: dict[str, Any] = {}


class DaemonSetStatus(ApiStruct, frozen=True):
    observed_generation: int = 0
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_ready: int = 0


class DaemonSet(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()

    @property
    def is_observed(self) -> bool:
        return self.status.observed_generation >= self.metadata.generation


class ControllerRevision(ApiStruct, frozen=True):
    """A former template of a StatefulSet or DaemonSet. `data` is `{"spec": {"template": ...}}` with a `$patch` marker."""

    metadata: ObjectMeta
    revision: int = 0
    data: dict[str, Any] = {}

    @property
    def template(self) -> dict[str, Any]:
        spec = self.data.get("spec")
        template = spec.get("template") if isinstance(spec, dict) else None
        if not isinstance(template, dict):
            return {}  # not a controller's: any user who may create revisions can write anything into one
        return {key: value for key, value in template.items() if key != "$patch"}


Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet
