"""Whether a rollout may begin, and with which run: judged on one look, without a write.

The answer is one of a few: it is over already, it is refused, it has to wait, or there is a run to drive, or to hold where it
stands paused.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from inplace.engine.kinds.image_provenance import believed
from inplace.engine.preflight import checks as checking
from inplace.engine.preflight.reapplied import gitops_warning, reapplied_reason
from inplace.engine.runs import lifecycle as resuming
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
    """Take the Lease as it was seen, and drive this run. `is_first`: only another run's commit; then decide again. `stop`: only
    to leave no pod of it as it is."""

    lease: Lease | None
    run: Run
    is_first: bool = False
    only_frees: bool = False
    stop: StopRequest | None = None


class HoldPaused(msgspec.Struct, frozen=True):
    """Take the Lease as it was seen, and wait for a word: the run stands paused."""

    lease: Lease | None
    run: Run


class NoRun(msgspec.Struct, frozen=True):
    """Nothing to drive: over, refused, or to be judged again."""

    state: RolloutState


AdmissionDecision = StartRun | HoldPaused | NoRun


class RolloutAdmission:
    """Remembers how a foreign holder of the Lease looked, and since when: that it does not change says that it is dead."""

    def __init__(self, context: ReconcilerContext) -> None:
        self._context = context
        self._pulse: tuple[Heartbeat, float] | None = None

    def blocked_by(self, rollout: InPlaceRollout, run: Run, lease: Lease | None) -> WaitingState | RejectedState | None:
        """What keeps it from being judged, told from the caches: many may wait for long beside those that go on. Raises
        `Refused` of `runtime.found`, `Held` and `ApiError`."""
        stored = load_stored_run(lease)
        is_own = owns_run(stored, rollout)
        if stored is not None and stored.id == run.id and not stored.is_active:
            return None
        holder = self._holder(lease, stored, rollout)
        if holder:  # of a run of its own: it has begun, so it is not refused any more
            return WaitingState("TargetBusy", holder) if is_own else target_busy(rollout, holder)
        if rollout.spec.paused and not is_own:
            return WaitingState("Paused", "spec.paused is true: the run has not begun")
        return None

    def decide(
        self, rollout: InPlaceRollout, run: Run, view: RolloutView, lease: Lease | None, asked: RunCommand | None, by: str
    ) -> AdmissionDecision:
        """`asked`: by the rollout's own annotation, and by whom. Raises `Refused` of `runtime.found`, `Held` and `ApiError`."""
        stored = load_stored_run(lease)
        if stored is not None and stored.id == run.id and not stored.is_active:
            return self._decide_finished(lease, stored, rollout, view, asked, by)
        if owns_run(stored, rollout):
            overtaken = resuming.check_overtaken(stored, view.snapshot_for(stored)) if stored.is_active else None
            if overtaken is not None:
                return StartRun(lease, overtaken.run, only_frees=True)
        else:
            why_not = reapplied_reason(rollout, run, read_history(lease), view.snapshot_for(run))
            if why_not:
                return NoRun(RejectedState("TakenBack", why_not))
        match self._resolve(rollout, run, view, stored):
            case AlreadyDone(message=message):
                now = self._now()
                over = msgspec.structs.replace(run, outcome="Succeeded", message=message, started_at=now, ended_at=now)
                return NoRun(FinishedState(over))
            case checking.Rejected(message=message) if owns_run(stored, rollout) and stored.is_active:
                # Begun under the leader before us: its pods may be closed, so it is not refused any more, but fails.
                return StartRun(lease, resuming.reopen(stored), stop=StopRequest("Failed", message), only_frees=True)
            case checking.Rejected(message=message, may_pass=True) if rollout.spec.on_busy == "Wait":
                return NoRun(WaitingState("TargetUnsettled", message))
            case checking.Rejected(message=message):
                return NoRun(RejectedState("Refused", message))
            case resuming.StillPaused(run=paused):
                return HoldPaused(lease, paused)
            case resuming.FinishCommitFirst(run=first):
                return StartRun(lease, first, is_first=True, only_frees=True)
            case resuming.BeginRun(run=begun):
                return StartRun(lease, begun)

    def _decide_finished(
        self, lease: Lease | None, stored: Run, rollout: InPlaceRollout, view: RolloutView, asked: RunCommand | None, by: str
    ) -> AdmissionDecision:
        """The rollout's own run ended. One that failed may be gone on with, on request, and as the rollout wants it now."""
        if asked is None or asked == "pause":
            return NoRun(FinishedState(stored))
        if not is_allowed_while_paused(asked) and is_paused_by_spec(rollout, stored):
            self._context.listener.warned(rollout, f"asked to {asked}, but {RELEASE_FIRST}")
            return NoRun(FinishedState(stored))
        if stored.outcome in TERMINAL_OUTCOMES:
            self._context.listener.warned(
                rollout, f"asked to {asked}, but its run has {_ENDED[stored.outcome]}: create a new one"
            )
            return NoRun(FinishedState(stored))
        observed = view.snapshot_for(stored)
        stored = believed(stored, observed, {image.container: image.image for image in rollout.spec.images})
        match resuming.abort_orphaned(stored, observed, by) if asked == "abort" else resuming.resume(stored, observed):
            case resuming.Overtaken(run=run):
                return StartRun(lease, run, only_frees=True)
            case resuming.BeginRun(run=run) | resuming.FinishCommitFirst(run=run):
                with suppress(ValueError):
                    run = apply_edits(run, rollout)
                return StartRun(lease, run)

    def _resolve(
        self, rollout: InPlaceRollout, run: Run, view: RolloutView, stored: Run | None
    ) -> resuming.Decision | AlreadyDone | checking.Rejected:
        asked: Run | AlreadyDone = msgspec.structs.replace(run, started_at=self._now())
        if rollout.spec.undo is not None and (stored is None or stored.id != run.id):
            asked = view.resolver.resolve_undo(run, rollout.spec.undo.to_revision or None, {}, stored)
        if isinstance(asked, AlreadyDone):
            return asked
        if stored is not None and stored.id == run.id:
            # What it was begun for stands in the run: where an undo goes to, or what it has taken up beside its own images.
            known = believed(stored, view.snapshot_for(stored), run.images).requested_images
            asked = msgspec.structs.replace(asked, images={**known, **run.images})
        given = {field: getattr(run.options, field) for field in run.options.__struct_fields__}
        decision = view.resolver.decide(asked, given, stored)
        if not isinstance(decision, resuming.BeginRun):
            return decision
        match view.resolver.clear_to_start(decision.run, decision.resuming, stored):
            case AlreadyDone() | checking.Rejected() as why_not:
                return why_not
            case ClearedRun(run=cleared, warnings=warnings):
                told = [f"{warning.reason}: {warning}" for warning in warnings]
                for line in (*told, *filter(None, [gitops_warning(rollout)])):
                    self._context.listener.warned(rollout, line)
                return msgspec.structs.replace(decision, run=cleared)

    def _holder(self, lease: Lease | None, stored: Run | None, rollout: InPlaceRollout) -> str:
        """Who works on the target now, in words; empty: nobody. Raises `Held`."""
        if stored is not None and stored.is_active and (other := self._context.claimant(stored.id, rollout)):
            return f"run {stored.id} of InPlaceRollout {other} has not ended"
        holder = lease.spec.holder_identity if lease is not None else None
        if lease is None or not holder:
            return ""
        leader, ours = parse_leader(holder), self._context.leader
        if leader is not None and (leader.namespace, leader.name) == (ours.namespace, ours.name):
            return ""  # we lead, so whoever led before us does not any more
        pulse = read_heartbeat(self._context.api, lease)
        now = self._context.api.clock.monotonic()
        if self._pulse is None or self._pulse[0] != pulse:
            self._pulse = (pulse, now)
        return f"it is held by {describe_holder(lease)}" if now - self._pulse[1] < LEASE_DURATION_SECONDS else ""

    def _now(self) -> str:
        return format_time(self._context.api.clock.utcnow())


def target_busy(rollout: InPlaceRollout, why: str) -> WaitingState | RejectedState:
    """As the rollout wants it where somebody else works on its target."""
    return RejectedState("TargetBusy", why) if rollout.spec.on_busy == "Refuse" else WaitingState("TargetBusy", why)


_ENDED: Mapping[str, str] = {"Succeeded": "succeeded", "Aborted": "gone back", "RolledBack": "gone back"}
