"""Claims of PodDisruptionBudgets that several targets share: one run at a time closes pods under a budget.

Always holds: what is counted under a claim was read after the claim was made, and the next claimant reads what was closed under
this one. A claim is a Lease, `inplace-pdb-<name>`, owned by the budget. It is taken and released with its resourceVersion, is
not renewed, and is valid for 10 s from before it was requested; another run takes it over after it has seen it unchanged for 15
s. Both are measured by clocks that go on while a machine sleeps, as for a target's Lease (`lock`). So a close that is sent
under a claim is there, or has been refused, before another run counts.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import msgspec

from inplace.engine.availability.budget import headroom_under_claim
from inplace.kube.api import ApiClient
from inplace.kube.clock import format_micro_time
from inplace.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import LEASES, POD_DISRUPTION_BUDGETS, PODS
from inplace.kube.retry import NO_RETRY
from inplace.model.objects.coordination import Lease
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, RENEW_DEADLINE_SECONDS, TargetLock

LABELS = {"app.kubernetes.io/part-of": "inplace", "app.kubernetes.io/component": "budget"}


class DisruptionClaim(msgspec.Struct, frozen=True):
    """How many pods may be closed under the claim, and until when (monotonic) a close may be sent."""

    room: int
    until: float

    def used(self) -> DisruptionClaim:
        """The same claim, with nothing left of it."""
        return DisruptionClaim(0, self.until)


class _HeldClaim(msgspec.Struct, frozen=True):
    lease: Lease
    until: float


class DisruptionClaims:
    """The claims of one run. Thread-safe."""

    def __init__(self, api: ApiClient, lock: TargetLock) -> None:
        self._api = api.replace(limiter=None, policy=NO_RETRY, timeout_seconds=4.0)
        self._namespace = lock.namespace
        self._holder = f"{lock.identity}/{lock.name}"
        self._mutex = threading.Lock()
        self._held: dict[str, _HeldClaim] = {}
        self._seen: dict[str, tuple[str, float]] = {}
        """For a Lease that another run holds: its version, and since when that has not changed."""

    def are_held(self, budgets: tuple[str, ...]) -> bool:
        """Whether a close that depends on these claims may be sent now."""
        now = self._api.clock.monotonic()
        with self._mutex:
            return all(name in self._held and now < self._held[name].until for name in budgets)

    def claim(self, budget: PodDisruptionBudget, pods_api: ApiClient) -> DisruptionClaim:
        """Raises `Conflict` where another run has the claim, or the budget allows no close; `ApiError` otherwise. `pods_api`:
        lists the budget's pods."""
        name = budget.metadata.name
        lease = self._read(budget)
        self._check_free(name, lease)
        sent_at = self._api.clock.monotonic()
        try:
            taken = self._take(budget, lease)
        except AlreadyExists as error:
            raise Conflict(str(error), status=409) from None
        with self._mutex:
            self._held[name] = _HeldClaim(taken, sent_at + RENEW_DEADLINE_SECONDS)
        try:
            pods = pods_api.list(PODS, self._namespace, label_selector=_selector(budget)).items
            room = headroom_under_claim(budget, pods)
            if room <= 0:
                raise Conflict(f"PodDisruptionBudget {name} allows none", status=409)
        except BaseException:
            self.release(name)
            raise
        return DisruptionClaim(room, sent_at + RENEW_DEADLINE_SECONDS)

    def release(self, name: str) -> None:
        """If the API server does not get this, the claim expires by itself."""
        with self._mutex:
            held = self._held.pop(name, None)
        if held is None:
            return
        meta = held.lease.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "spec": {"holderIdentity": None}}
        with suppress(ApiError):
            self._api.patch(LEASES, self._namespace, meta.name, body, MERGE)

    def _read(self, budget: PodDisruptionBudget) -> Lease | None:
        try:
            return self._api.get(LEASES, self._namespace, budget.lease_name)
        except NotFound:
            return None

    def _check_free(self, name: str, lease: Lease | None) -> None:
        """If this run is the holder, the answer to an earlier claim was lost."""
        holder = lease.spec.holder_identity if lease is not None else None
        if lease is None or not holder or holder == self._holder:
            return
        now, version = self._api.clock.monotonic(), lease.metadata.resource_version
        with self._mutex:
            before, since = self._seen.get(name, ("", now))
            since = since if before == version else now
            self._seen[name] = (version, since)
        if now - since < LEASE_DURATION_SECONDS:
            raise Conflict(f"PodDisruptionBudget {name} is claimed by {holder}", status=409)

    def _take(self, budget: PodDisruptionBudget, seen: Lease | None) -> Lease:
        at = format_micro_time(self._api.clock.utcnow())
        transitions = (seen.spec.lease_transitions or 0) + 1 if seen is not None else 0
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": LEASE_DURATION_SECONDS,
            "acquireTime": at,
            "renewTime": at,
            "leaseTransitions": transitions,
        }
        if seen is not None:
            body: dict[str, Any] = {"metadata": {"resourceVersion": seen.metadata.resource_version}, "spec": spec}
            return self._api.patch(LEASES, self._namespace, seen.metadata.name, body, MERGE)
        meta, kind = budget.metadata, POD_DISRUPTION_BUDGETS
        owner = {"apiVersion": kind.api_version, "kind": kind.kind, "name": meta.name, "uid": meta.uid}
        metadata = {"name": budget.lease_name, "labels": LABELS, "ownerReferences": [owner]}
        return self._api.create(LEASES, self._namespace, {"metadata": metadata, "spec": spec}, retries=False)


def _selector(budget: PodDisruptionBudget) -> str:
    return budget.spec.selector.to_selector_string() if budget.spec.selector is not None else ""
