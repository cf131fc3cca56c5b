"""Decides from one snapshot, without a write, whether a rollout may begin, and with which run.

The decision is one of a few: it has finished already, it is refused, it has to wait, or there is a run to drive, or to hold
while it is paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from inplace.engine.kinds.image_provenance import believed
from inplace.engine.preflight import checks
from inplace.engine.preflight.reapplied import gitops_warning, reapplied_reason
from inplace.engine.runs import lifecycle
from inplace.engine.runs.rollouts import FinishedState, RejectedState, RolloutState, WaitingState, apply_edits, owns_run
from inplace.engine.runs.spec_paused import RELEASE_FIRST, is_allowed_while_paused, is_paused_by_spec
from inplace.kube.clock import format_time
from inplace.model.objects.coordination import Lease
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import TERMINAL_OUTCOMES, Run, RunCommand, StopRequest
from inplace.runtime.controller.context import ReconcilerContext, RolloutView
from inplace.runtime.lease.lock import (
    LEASE_DURATION_SECONDS,
    Heartbeat,
    describe_holder,
    parse_leader,
    read_heartbeat,
    read_history,
)
from inplace.runtime.run.resolver import AlreadyDone, ClearedRun, load_stored_run


class StartRun(msgspec.Struct, frozen=True):
    """Acquire the Lease and drive this run. `is_first`: it is another run, whose commit must end first; then decide again.
    `stop`: drive it only to free its pods."""

    run: Run
    is_first: bool = False
    only_frees: bool = False
    stop: StopRequest | None = None


class HoldPaused(msgspec.Struct, frozen=True):
    """Acquire the Lease and wait for a command: the run is paused."""

    run: Run


class NoRun(msgspec.Struct, frozen=True):
    """There is nothing to drive: it has finished, is refused, or must wait."""

    state: RolloutState


AdmissionDecision = StartRun | HoldPaused | NoRun


class RolloutAdmission:
    """Remembers the heartbeat of another holder of the Lease, and since when: a holder whose heartbeat stands still is dead."""

    def __init__(self, context: ReconcilerContext) -> None:
        self._context = context
        self._heartbeat: tuple[Heartbeat, float] | None = None

    def blocked_by(self, rollout: InPlaceRollout, run: Run, lease: Lease | None) -> WaitingState | RejectedState | None:
        """Return what keeps it from being decided on, from the caches alone: many may wait for long beside active rollouts.

        Raises `RefusedError`, `LockHeldError` and `ApiError`.
        """
        stored = load_stored_run(lease)
        is_own = owns_run(stored, rollout)
        if stored is not None and stored.id == run.id and not stored.is_active:
            return None
        holder = self._holder(lease, stored, rollout)
        if holder:  # a run of its own has begun, so it is not refused any more
            return WaitingState("TargetBusy", holder) if is_own else target_busy(rollout, holder)
        if rollout.spec.paused and not is_own:
            return WaitingState("Paused", "spec.paused is true: the run has not begun")
        return None

    def decide(
        self, rollout: InPlaceRollout, run: Run, view: RolloutView, lease: Lease | None, command: RunCommand | None, by: str
    ) -> AdmissionDecision:
        """Decide. `command` comes from the rollout's annotation, `by` says from whom.

        Raises `RefusedError`, `LockHeldError` and `ApiError`.
        """
        stored = load_stored_run(lease)
        if stored is not None and stored.id == run.id and not stored.is_active:
            return self._decide_ended(stored, rollout, view, command, by)
        if owns_run(stored, rollout):
            overtaken = lifecycle.check_overtaken(stored, view.snapshot_for(stored)) if stored.is_active else None
            if overtaken is not None:
                return StartRun(overtaken.run, only_frees=True)
        else:
            reason = reapplied_reason(rollout, run, read_history(lease), view.snapshot_for(run))
            if reason:
                return NoRun(RejectedState("TakenBack", reason))
        match self._resolve(rollout, run, view, stored):
            case AlreadyDone(message=message):
                now = self._now()
                ended = msgspec.structs.replace(run, outcome="Succeeded", message=message, started_at=now, ended_at=now)
                return NoRun(FinishedState(ended))
            case checks.Rejected(message=message) if owns_run(stored, rollout) and stored.is_active:
                # It began under the leader before us: its pods may be closed, so it is not refused any more, but fails.
                return StartRun(lifecycle.reopen(stored), stop=StopRequest("Failed", message), only_frees=True)
            case checks.Rejected(message=message, may_pass=True) if rollout.spec.on_busy == "Wait":
                return NoRun(WaitingState("TargetUnsettled", message))
            case checks.Rejected(message=message):
                return NoRun(RejectedState("Refused", message))
            case lifecycle.StillPaused(run=paused):
                return HoldPaused(paused)
            case lifecycle.FinishCommitFirst(run=first):
                return StartRun(first, is_first=True, only_frees=True)
            case lifecycle.BeginRun(run=begun):
                return StartRun(begun)

    def _decide_ended(
        self, stored: Run, rollout: InPlaceRollout, view: RolloutView, command: RunCommand | None, by: str
    ) -> AdmissionDecision:
        """Decide on the rollout's own run, which has ended. A command continues one that failed, with the spec as it is now."""
        if command is None or command == "pause":
            return NoRun(FinishedState(stored))
        if not is_allowed_while_paused(command) and is_paused_by_spec(rollout, stored):
            self._context.listener.warned(rollout, f"asked to {command}, but {RELEASE_FIRST}")
            return NoRun(FinishedState(stored))
        if stored.outcome in TERMINAL_OUTCOMES:
            self._context.listener.warned(
                rollout, f"asked to {command}, but its run has {_ENDED[stored.outcome]}: create a new one"
            )
            return NoRun(FinishedState(stored))
        observed = view.snapshot_for(stored)
        stored = believed(stored, observed, {image.container: image.image for image in rollout.spec.images})
        match lifecycle.abort_orphaned(stored, observed, by) if command == "abort" else lifecycle.resume(stored, observed):
            case lifecycle.Overtaken(run=run):
                return StartRun(run, only_frees=True)
            case lifecycle.BeginRun(run=run) | lifecycle.FinishCommitFirst(run=run):
                with suppress(ValueError):
                    run = apply_edits(run, rollout)
                return StartRun(run)

    def _resolve(
        self, rollout: InPlaceRollout, run: Run, view: RolloutView, stored: Run | None
    ) -> lifecycle.Decision | AlreadyDone | checks.Rejected:
        requested: Run | AlreadyDone = msgspec.structs.replace(run, started_at=self._now())
        if rollout.spec.undo is not None and (stored is None or stored.id != run.id):
            requested = view.resolver.resolve_undo(run, rollout.spec.undo.to_revision or None, {}, stored)
        if isinstance(requested, AlreadyDone):
            return requested
        if stored is not None and stored.id == run.id:
            # The run holds what it was begun for: the images of an undo, or those adopted beside the rollout's own.
            images = believed(stored, view.snapshot_for(stored), run.images).requested_images
            requested = msgspec.structs.replace(requested, images={**images, **run.images})
        overrides = {field: getattr(run.options, field) for field in run.options.__struct_fields__}
        decision = view.resolver.decide(requested, overrides, stored)
        if not isinstance(decision, lifecycle.BeginRun):
            return decision
        match view.resolver.clear_to_start(decision.run, decision.resuming, stored):
            case AlreadyDone() | checks.Rejected() as rejection:
                return rejection
            case ClearedRun(run=cleared, warnings=warnings):
                lines = [f"{warning.reason}: {warning}" for warning in warnings]
                for line in (*lines, *filter(None, [gitops_warning(rollout)])):
                    self._context.listener.warned(rollout, line)
                return msgspec.structs.replace(decision, run=cleared)

    def _holder(self, lease: Lease | None, stored: Run | None, rollout: InPlaceRollout) -> str:
        """Return who works on the target now, in words; empty if nobody does. Raises `LockHeldError`."""
        if stored is not None and stored.is_active and (other := self._context.claimant(stored.id, rollout)):
            return f"run {stored.id} of InPlaceRollout {other} has not ended"
        holder = lease.spec.holder_identity if lease is not None else None
        if lease is None or not holder:
            return ""
        leader, own = parse_leader(holder), self._context.leader
        if leader is not None and (leader.namespace, leader.name) == (own.namespace, own.name):
            return ""  # a leader before us, which does not lead any more
        heartbeat = read_heartbeat(self._context.api, lease)
        now = self._context.api.clock.monotonic()
        if self._heartbeat is None or self._heartbeat[0] != heartbeat:
            self._heartbeat = (heartbeat, now)
        return f"it is held by {describe_holder(lease)}" if now - self._heartbeat[1] < LEASE_DURATION_SECONDS else ""

    def _now(self) -> str:
        return format_time(self._context.api.clock.utcnow())


def target_busy(rollout: InPlaceRollout, why: str) -> WaitingState | RejectedState:
    """Return what `onBusy` says when another run holds the target."""
    return RejectedState("TargetBusy", why) if rollout.spec.on_busy == "Refuse" else WaitingState("TargetBusy", why)


_ENDED: Mapping[str, str] = {"Succeeded": "succeeded", "Aborted": "gone back", "RolledBack": "gone back"}
