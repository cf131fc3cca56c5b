"""PodDisruptionBudgets and Leases."""

from __future__ import annotations

import hashlib

from inplace.model.meta import LabelSelector, ObjectMeta, Wire


class DisruptionSpec(Wire, frozen=True):
    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class DisruptionCondition(Wire, frozen=True):
    reason: str = ""
    message: str = ""


class DisruptionStatus(Wire, frozen=True):
    observed_generation: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    current_healthy: int = 0
    conditions: tuple[DisruptionCondition, ...] | None = None


class PodDisruptionBudget(Wire, frozen=True):
    metadata: ObjectMeta
    spec: DisruptionSpec = DisruptionSpec()
    status: DisruptionStatus = DisruptionStatus()

    def covers(self, labels: dict[str, str] | None) -> bool:
        """A nil selector matches nothing (policy/v1)."""
        return self.spec.selector is not None and self.spec.selector.matches(labels)

    @property
    def lease_name(self) -> str:
        """`inplace-pdb-<name>`, of the Lease by which it is claimed. Too long a name ends in a hash of the whole."""
        name = f"inplace-pdb-{self.metadata.name}"
        return name if len(name) <= 253 else f"{name[:236]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

    @property
    def problem(self) -> str:
        """Why its controller cannot compute it; empty: it can. It allows no eviction then, however the pods are."""
        found = (c for c in self.status.conditions or () if c.reason == "SyncFailed")
        return next((c.message or c.reason for c in found), "")


class LeaseSpec(Wire, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Wire, frozen=True):
    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()
