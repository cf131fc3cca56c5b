"""Defines Leases (coordination.k8s.io/v1)."""

from __future__ import annotations

from inplace.model.objects.meta import ApiStruct, ObjectMeta


class LeaseSpec(ApiStruct, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: LeaseSpec = LeaseSpec()
