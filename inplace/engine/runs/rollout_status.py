"""Builds the status of an `InPlaceRollout` from its run.

The status is the same for the same state at any time, so that it is written only when something has happened. So it gives the
instant at which a wait ends, not how long it still lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.steps import step_label
from inplace.engine.pods.stages import IN_FLIGHT
from inplace.engine.runs.lifecycle import is_at_pause_step
from inplace.engine.runs.rollouts import FinishedState, PendingState, RejectedState, RolloutState, RunningState, WaitingState
from inplace.engine.runs.spec_paused import is_paused_by_spec, paused_reasons
from inplace.model.rollout import (
    MAX_LIST_ITEMS,
    MAX_TEXT_LENGTH,
    TERMINAL_PHASES,
    Condition,
    ConditionType,
    ContainerImage,
    FailedPod,
    InPlaceRollout,
    Phase,
    PodInFlight,
    RolloutStatus,
    StepTiming,
)
from inplace.model.run import TERMINAL_OUTCOMES, Outcome, PauseStep, Run, lease_name, truncate

PHASE_BY_OUTCOME: Mapping[Outcome, Phase] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "RolledBack": "RolledBack",
    "Aborted": "Aborted",
    "TimedOut": "Paused",
    "Paused": "Paused",
    "Interrupted": "Paused",
}
CONDITION_PHASES: Mapping[ConditionType, frozenset[Phase]] = {
    "Ready": frozenset({"Succeeded"}),
    "Progressing": frozenset({"Progressing"}),
    "Paused": frozenset({"Paused"}),
    "Reconciling": frozenset({"Pending", "Waiting", "Progressing"}),
    "Stalled": frozenset({"Paused", "Failed", "RolledBack", "Aborted", "Refused"}),
}
"""As in kstatus: Reconciling while it progresses on its own, Stalled if it needs intervention."""


def build_status(rollout: InPlaceRollout, state: RolloutState, previous: RolloutStatus, now: str) -> RolloutStatus:
    """Builds the status. `previous`: the status as it was last written. `now`: the current time as text."""
    match state:
        case PendingState():
            status, reason = _with_phase(previous, "Pending", ""), "Pending"
        case WaitingState(reason=why, message=message):
            status, reason = _with_phase(previous, "Waiting", message), why
        case RejectedState(reason=why, message=message):
            status, reason = _with_phase(previous, "Refused", message), why
        case RunningState(run=run, plan=plan, trouble=trouble) as driving if plan.finished is None:
            doing = trouble or _progress_message(run, plan)
            status = _with_run(_with_phase(previous, "Progressing", doing), run, now)
            reason = "Trouble" if trouble else _progressing_reason(run)
            status = _with_counts(status, plan, driving.since, driving.until)
        case RunningState(plan=plan):
            return build_status(rollout, FinishedState(plan.run, plan), previous, now)
        case FinishedState(run=run, plan=plan):
            status, reason = _finished_status(rollout, run, plan, previous, now)
    phase = status.phase
    assert phase is not None
    finished_at = (status.finished_at or now) if phase in TERMINAL_PHASES else ""
    generation = rollout.metadata.generation
    conditions = [_condition(t, phase, reason, status.message, generation, previous, now) for t in CONDITION_PHASES]
    refused = previous.condition("RequestRefused")
    return msgspec.structs.replace(
        status,
        observed_generation=generation,
        target=_truncate(str(rollout.spec.target.ref(rollout.metadata.namespace))),
        image=status.image or _image({image.container: image.image for image in rollout.spec.images}),
        finished_at=finished_at,
        conditions=(*conditions, *filter(None, [refused])),
    )


def with_request_answer(status: RolloutStatus, problem: str, generation: int, now: str) -> RolloutStatus:
    """Returns the status after a request. `problem`: why it was invalid; empty if it was accepted."""
    others = tuple(condition for condition in status.conditions if condition.type != "RequestRefused")
    refused = Condition(
        type="RequestRefused",
        status="True",
        reason="UnknownRequest",
        message=_truncate(problem),
        last_transition_time=now,
        observed_generation=generation,
    )
    return msgspec.structs.replace(status, conditions=(*others, refused) if problem else others)


def with_observed_generation(status: RolloutStatus, generation: int) -> RolloutStatus:
    """Returns the status of a finished rollout for a new generation: edits have no effect, so only the generation changes."""
    conditions = tuple(msgspec.structs.replace(c, observed_generation=generation) for c in status.conditions)
    return msgspec.structs.replace(status, observed_generation=generation, conditions=conditions)


def _with_phase(previous: RolloutStatus, phase: Phase, message: str) -> RolloutStatus:
    """Returns the previous status with a new phase: counts stay as they were, and nothing is in flight until set again."""
    return msgspec.structs.replace(
        previous,
        phase=phase,
        message=_truncate(message),
        until="",
        in_flight=(),
        draining=None if previous.draining is None else 0,
        finished_at=previous.finished_at if previous.phase == phase else "",
    )


def _with_run(status: RolloutStatus, run: Run, now: str) -> RolloutStatus:
    failures = (FailedPod(pod=f.pod, reason=f.reason, message=_truncate(f.message)) for f in run.failures[:MAX_LIST_ITEMS])
    step_index = min(run.steps_passed, len(run.options.steps) - 1)
    return msgspec.structs.replace(
        status,
        step="" if run.rolling_back else step_label(run.options.steps[step_index]),
        step_index=step_index,
        failed=run.failed_count,
        failures=tuple(failures),
        image=_image(run.requested_images),
        run_id=run.id,
        lease=lease_name(run.target),
        from_images=tuple(ContainerImage(name, image) for name, image in sorted(run.from_images.items())[:MAX_LIST_ITEMS]),
        started_at=status.started_at or run.started_at or now,
        steps=_step_times(run, status.steps, now),
    )


def _image(images: Mapping[str, str]) -> str:
    return _truncate(", ".join(image.rsplit("/", 1)[-1] for _, image in sorted(images.items())))


def _with_counts(
    status: RolloutStatus, plan: Plan, since: Mapping[str, str] = {}, until: Mapping[str, str] = {}
) -> RolloutStatus:
    flying = [
        PodInFlight(
            name=pod.name,
            stage=pod.stage,
            since=since.get(pod.uid, ""),
            reason=_truncate(pod.description),
            until=until.get(pod.uid, ""),
        )
        for pod in plan.pods
        if pod.stage in IN_FLIGHT
    ]
    return msgspec.structs.replace(
        status,
        until=until.get("", ""),
        desired=plan.progress.desired,
        updated=plan.progress.updated,
        ready=plan.progress.ready,
        draining=sum(pod.stage in ("Closing", "Settling") for pod in flying),
        in_flight=tuple(sorted(flying, key=lambda pod: (pod.since, pod.name))[:MAX_LIST_ITEMS]),
    )


def _finished_status(
    rollout: InPlaceRollout, run: Run, plan: Plan | None, previous: RolloutStatus, now: str
) -> tuple[RolloutStatus, str]:
    phase = PHASE_BY_OUTCOME[run.outcome or "Interrupted"]
    message = paused_reasons(rollout, run) if phase == "Paused" else run.message
    status = _with_run(_with_phase(previous, phase, message), run, now)
    if plan is not None:
        status = _with_counts(status, plan)
    elif run.outcome in TERMINAL_OUTCOMES:
        status = msgspec.structs.replace(status, updated=status.desired if phase == "Succeeded" else 0)
    status = msgspec.structs.replace(status, finished_at=status.finished_at or run.ended_at)
    if phase == "Paused":
        return status, _why_paused(rollout, run)
    return status, run.failures[0].reason if phase == "Failed" and run.failures else phase


def _why_paused(rollout: InPlaceRollout, run: Run) -> str:
    if is_paused_by_spec(rollout, run):
        return "PausedBySpec"
    current = run.options.steps[run.steps_passed : run.steps_passed + 1]
    # A pause step with a duration does not pause the run by itself.
    return "PausedByStep" if current == (PauseStep(),) else "PausedByRequest"


def _progress_message(run: Run, plan: Plan) -> str:
    """Describes the progress, without how long a pause still lasts, which would change every second."""
    pausing = is_at_pause_step(run) and not run.rolling_back
    parts = (run.message if run.rolling_back else "", plan.progress.step, "" if pausing else plan.progress.waiting)
    return "; ".join(filter(None, parts))


def _progressing_reason(run: Run) -> str:
    if run.rolling_back:
        return "RollingBack"
    if run.commit is not None:
        return "Committing"
    return "PausingForAWhile" if is_at_pause_step(run) else "Upgrading"


def _step_times(run: Run, previous_times: tuple[StepTiming, ...], now: str) -> tuple[StepTiming, ...]:
    """Returns the times of the steps passed and of the current one."""
    if run.rolling_back:
        return previous_times
    names = [step_label(step) for step in run.options.steps[: run.steps_passed + 1]]
    passed = len(names) if run.outcome == "Succeeded" else run.steps_passed
    return tuple(_times(name, previous_times[i : i + 1], i < passed, now) for i, name in enumerate(names[:MAX_LIST_ITEMS]))


def _times(name: str, previous_times: Iterable[StepTiming], is_passed: bool, now: str) -> StepTiming:
    times = next((old for old in previous_times if old.step == name), StepTiming(step=name, started_at=now))
    return msgspec.structs.replace(times, finished_at=(times.finished_at or now) if is_passed else "")


def _condition(
    condition_type: ConditionType,
    phase: Phase,
    reason: str,
    message: str,
    generation: int,
    previous: RolloutStatus,
    now: str,
) -> Condition:
    is_true = phase in CONDITION_PHASES[condition_type]
    before = previous.condition(condition_type)
    has_changed = before is None or before.status != str(is_true)
    return Condition(
        type=condition_type,
        status="True" if is_true else "False",
        reason=reason,
        message=message if is_true or condition_type == "Ready" else "",
        last_transition_time=now if before is None or has_changed else before.last_transition_time,
        observed_generation=generation,
    )


def _truncate(text: str) -> str:
    return truncate(text, MAX_TEXT_LENGTH)
