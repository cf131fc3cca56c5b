"""Reconciles whatever a key of the queue names: a rollout to carry out, one that has finished, one that is being deleted.

A rollout's `RolloutReconciler` drives its run; this module keeps the object around it in order: its finalizer, its status, its
requests, and its deletion when its time to live is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from inplace.engine.runs.rollouts import FinishedState, PendingState, RejectedState, WaitingState, owns_run
from inplace.kube.api import ApiClient
from inplace.kube.clock import seconds_since
from inplace.kube.errors import NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.kube.workqueue import soonest
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.model.run import TERMINAL_OUTCOMES, lease_name
from inplace.runtime.controller.active_rollouts import ActiveRollouts
from inplace.runtime.controller.context import ReconcilerContext
from inplace.runtime.controller.reconciler import RolloutReconciler
from inplace.runtime.controller.status_writer import RolloutWriter
from inplace.runtime.finalizers import as_deleted
from inplace.runtime.informers.informer_set import InformerSet, Key, key_of
from inplace.runtime.lease.lock import run_from_lease
from inplace.runtime.requests import read_request, request_problem

SYNCING_SECONDS = 0.2
"""How soon to come again while nothing may be written, or not everything was listed yet."""


class RolloutSyncer:
    """Each `sync` returns after how many seconds to come again; None: only a change of an object gives more to do."""

    def __init__(
        self,
        context: ReconcilerContext,
        writer: RolloutWriter,
        active: ActiveRollouts,
        enqueue_after: Callable[[Key, float], None],
    ) -> None:
        self._context = context
        self._api: ApiClient = context.api
        self._informers: InformerSet = context.informers
        self._writer = writer
        self._active = active
        self._enqueue_after = enqueue_after

    def sync(self, key: Key) -> float | None:
        """Raises `ApiError`: try again."""
        rollout = self._informers.rollout(key)
        reconciler = self._active.at(key)
        if rollout is None and reconciler is None:
            return None
        if not self._context.fence.is_safe or not self._informers.is_synced:  # in this order: see `Driver.step`
            return SYNCING_SECONDS
        if reconciler is not None and (rollout is None or self._active.get(rollout) is None):
            result = reconciler.reconcile_delete(as_deleted(reconciler.rollout))
            if result is not None:
                return result.requeue_after
            self.close(key)
        if rollout is None:
            return None
        if rollout.metadata.deletion_timestamp is not None:
            return self._sync_deleted(rollout)
        if rollout.unreadable and self._active.get(rollout) is None:
            return self._refuse_unreadable(rollout)
        if request_problem(rollout):
            self._writer.take_request(rollout)
            rollout = self._informers.latest(rollout)
        if self._has_finished(rollout):
            return self._sync_finished(rollout)
        return self._sync_run(rollout)

    def close(self, key: Key) -> None:
        """Drop everything that is remembered of this key. What it holds in the cluster stays."""
        uid = self._active.close(key)
        if uid:
            self._context.listener.released(uid)
        self._writer.forget(key)

    def _sync_run(self, rollout: InPlaceRollout) -> float | None:
        reconciler = self._reconciler(rollout)
        result = reconciler.reconcile(rollout, self._writer.take_request(rollout))
        if not reconciler.has_to_free:  # before the status shows a pause or an end, and a person deletes it then
            self._writer.remove_finalizer(self._informers.latest(rollout))
        elif rollout.spec.on_delete == "Abort":
            self._writer.add_finalizer(rollout)  # an edit may have set onDelete while nothing was in flight
        state = result.state or (PendingState() if rollout.status.phase is None else None)
        wait_seconds = self._writer.update_status(rollout, state)
        if reconciler.has_finished and wait_seconds is None:
            return self._sync_finished(self._informers.latest(rollout))
        return soonest(result.requeue_after, wait_seconds)

    def _refuse_unreadable(self, rollout: InPlaceRollout) -> float | None:
        """Start nothing for it. A status that cannot be read is another version's, and stays."""
        if "`$.status" in rollout.unreadable or rollout.status.phase in TERMINAL_PHASES - {"Refused"}:
            return None
        return self._writer.update_status(rollout, RejectedState("Unreadable", f"it cannot be read: {rollout.unreadable}"))

    def _has_finished(self, rollout: InPlaceRollout) -> bool:
        """True if nothing is to be done for its run: it has finished by its status and by its target's Lease, and no request
        continues it. One that was refused is judged again once it is edited."""
        status = rollout.status
        if status.phase not in TERMINAL_PHASES or read_request(rollout) is not None or self._has_active_run(rollout):
            return False
        return status.phase != "Refused" or status.observed_generation == rollout.metadata.generation

    def _sync_finished(self, rollout: InPlaceRollout) -> float | None:
        """Show what has become of its run since, and delete it when its time to live is over."""
        self.close(key_of(rollout))
        self._writer.remove_finalizer(rollout)
        status, meta = rollout.status, rollout.metadata
        wait_seconds = None
        leases = self._informers.in_namespace(meta.namespace).leases
        lease = leases.get_by_name(meta.namespace, status.lease) if status.lease else None
        with suppress(ValueError):
            run = run_from_lease(lease)
            if run is not None and run.id == status.run_id and run.outcome in TERMINAL_OUTCOMES:
                wait_seconds = self._writer.update_status(rollout, FinishedState(run))
        latest = self._informers.latest(rollout)
        if latest.status.observed_generation != meta.generation:
            self._writer.observe_generation(msgspec.structs.replace(rollout, status=latest.status))
        ttl_seconds = rollout.spec.ttl_seconds_after_finished
        if ttl_seconds is None or not latest.status.finished_at:
            return wait_seconds
        left_seconds = ttl_seconds - (seconds_since(latest.status.finished_at, self._api.clock.utcnow()) or 0.0)
        if left_seconds <= 0:
            with suppress(NotFound):
                self._api.delete(INPLACE_ROLLOUTS, meta.namespace, meta.name, uid=meta.uid)
            return None
        return soonest(left_seconds, wait_seconds)

    def _sync_deleted(self, rollout: InPlaceRollout) -> float | None:
        """End its run as `onDelete` says, even one that the leader before us drove; then remove the finalizer."""
        reconciler = self._reconciler(rollout)
        if not reconciler.run_id and self._has_active_run(rollout):
            admitted = reconciler.reconcile(rollout, None)
            if isinstance(admitted.state, WaitingState):
                return soonest(admitted.requeue_after, self._writer.update_status(rollout, admitted.state))
        result = reconciler.reconcile_delete(rollout)
        if result is not None:
            return soonest(result.requeue_after, self._writer.update_status(rollout, result.state))
        self.close(key_of(rollout))
        with suppress(NotFound):
            self._writer.remove_finalizer(rollout)
        return None

    def _has_active_run(self, rollout: InPlaceRollout) -> bool:
        """True if its target's Lease holds a run of it that has not ended, in whichever process."""
        meta = rollout.metadata
        name = lease_name(rollout.spec.target.ref(meta.namespace))
        with suppress(ValueError):
            run = run_from_lease(self._informers.in_namespace(meta.namespace).leases.get_by_name(meta.namespace, name))
            return owns_run(run, rollout) and run.is_active
        return False

    def _reconciler(self, rollout: InPlaceRollout) -> RolloutReconciler:
        reconciler = self._active.get(rollout)
        if reconciler is None:
            key = key_of(rollout)
            reconciler = RolloutReconciler(self._context, rollout, lambda seconds: self._enqueue_after(key, seconds))
            self._active.add(rollout, reconciler)
        return reconciler
