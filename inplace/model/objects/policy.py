"""Defines PodDisruptionBudgets (policy/v1)."""

from __future__ import annotations

import hashlib

from inplace.model.objects.meta import ApiStruct, LabelSelector, ObjectMeta


class PodDisruptionBudgetSpec(ApiStruct, frozen=True):
    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class DisruptionCondition(ApiStruct, frozen=True):
    reason: str = ""
    message: str = ""


class PodDisruptionBudgetStatus(ApiStruct, frozen=True):
    observed_generation: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    current_healthy: int = 0
    conditions: tuple[DisruptionCondition, ...] | None = None


class PodDisruptionBudget(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()

    def selects(self, labels: dict[str, str] | None) -> bool:
        """Whether the budget covers a pod with these labels. A nil selector matches nothing (policy/v1)."""
        return self.spec.selector is not None and self.spec.selector.matches(labels)

    @property
    def lease_name(self) -> str:
        """Name of the Lease that claims it: `inplace-pdb-<name>`; a name that is too long ends in a hash of the whole."""
        name = f"inplace-pdb-{self.metadata.name}"
        return name if len(name) <= 253 else f"{name[:236]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    @property
    def sync_failure(self) -> str:
        """Why its controller cannot compute it, empty if it can. Such a budget allows no eviction, whatever the pods' state."""
        failed = (c for c in self.status.conditions or () if c.reason == "SyncFailed")
        return next((c.message or c.reason for c in failed), "")
