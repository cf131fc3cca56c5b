"""Between an `InPlaceRollout` and the run that it asks for: the run, what an edit changes of it, and the status that shows it.

Pure. A rollout's run has an id that follows from the rollout's uid, so that whoever takes over knows it again. A status says
the same for the same state, whatever the time: it changes only where something has happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import TypeGuard

import msgspec

from inplace.engine.plan import Plan
from inplace.engine.resume import stands_at_pause
from inplace.engine.stages import IN_FLIGHT
from inplace.engine.steps import name_of
from inplace.model.meta import ObjectMeta
from inplace.model.names import BY, CLIENT
from inplace.model.quantity import parse_count_or_percent
from inplace.model.rollout import (
    LONGEST,
    MOST,
    OVER,
    Condition,
    ConditionType,
    ContainerImage,
    Drain,
    FailedPod,
    FailureAction,
    FailurePolicy,
    InFlight,
    InPlaceRollout,
    PauseStep,
    Phase,
    Restart,
    RolloutSpec,
    RolloutStatus,
    RolloutStep,
    RolloutTarget,
    StepTimes,
    Strategy,
    Undo,
)
from inplace.model.run import OnFailure, Options, Outcome, Pause, Run, Share, Step, lease_name, shortened, steps_grow
from inplace.model.trust import problem_of

ON_FAILURE: Mapping[FailureAction, OnFailure] = {"Pause": "pause", "Rollback": "rollback", "Continue": "continue"}
PHASE_OF: Mapping[Outcome, Phase] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "RolledBack": "RolledBack",
    "Aborted": "Aborted",
    "TimedOut": "Paused",
    "Paused": "Paused",
    "Interrupted": "Paused",
}
TRUE_IN: Mapping[ConditionType, frozenset[Phase]] = {
    "Ready": frozenset({"Succeeded"}),
    "Progressing": frozenset({"Progressing"}),
    "Paused": frozenset({"Paused"}),
    "Reconciling": frozenset({"Pending", "Waiting", "Progressing"}),
    "Stalled": frozenset({"Paused", "Failed", "RolledBack", "Aborted", "Refused"}),
}
"""kstatus: Reconciling while it goes on by itself, Stalled where it will not without a person."""


class Pending(msgspec.Struct, frozen=True):
    """Seen, and not judged yet."""


class Waiting(msgspec.Struct, frozen=True):
    """It may not begin yet, such as while another run holds the target."""

    reason: str
    message: str


class Refused(msgspec.Struct, frozen=True):
    """It will not begin: nothing was written."""

    reason: str
    message: str


class Driving(msgspec.Struct, frozen=True):
    """`since`: pod uid to the instant, as text, at which its stage began. `trouble`: why nothing moves, such as that the API
    server refuses a write; it is tried again."""

    run: Run
    plan: Plan
    since: Mapping[str, str] = {}
    trouble: str = ""


class Ended(msgspec.Struct, frozen=True):
    """`plan`: the last one, where it is known."""

    run: Run
    plan: Plan | None = None


RolloutState = Pending | Waiting | Refused | Driving | Ended


def run_of(rollout: InPlaceRollout) -> Run:
    """As a new one would be. It is by whom its annotation names, else by the rollout itself. One that undoes has no images
    yet: where it goes to, only the cluster knows. Raises ValueError."""
    meta, spec = rollout.metadata, rollout.spec
    images = {image.container: image.image for image in spec.images}
    if len(images) < len(spec.images):
        raise ValueError("a container is given two images")
    if spec.undo is not None and images:
        raise ValueError("images and undo cannot be combined")
    if spec.target.kind == "Pods" and not images:
        raise ValueError("bare pods have no template to be brought to: say the images")
    if rollout.unreadable:
        raise ValueError(f"it cannot be read: {rollout.unreadable}")
    run = Run(
        id=run_id_of(rollout),
        target=spec.target.ref(meta.namespace),
        doing="Upgrade" if spec.undo is None else "Undo",
        images=images,
        takes_over=not images and spec.undo is None,
        options=options_of(spec),
        by=shortened(meta.annotation(BY) or f"inplacerollout/{meta.name}"),
        client=shortened(meta.annotation(CLIENT) or ""),
        expiring=meta.name if spec.ttl_seconds_after_finished is not None else "",
    )
    problem = problem_of(run)
    if problem:
        raise ValueError(problem)
    return run


def run_id_of(rollout: InPlaceRollout) -> str:
    """What its run is called, unless it has taken up one that was there."""
    return rollout.metadata.uid.replace("-", "")[:12]


def is_run_of(run: Run | None, rollout: InPlaceRollout) -> TypeGuard[Run]:
    """Its own, or one that it has taken up."""
    return run is not None and run.id in (rollout.status.run_id, run_id_of(rollout))


def options_of(spec: RolloutSpec) -> Options:
    """Raises ValueError with a line for a person."""
    steps = tuple(_step_of(step) for step in spec.strategy.steps) or Options().steps
    if steps[-1] != Share(amount="100%"):
        raise ValueError("the last step must be 100%: to stop halfway use a pause")
    if not steps_grow(steps):
        raise ValueError("steps must grow")
    budget = spec.strategy.max_unavailable
    return Options(
        gate=spec.gate,
        max_unavailable=None if budget is None else _amount(budget, "maxUnavailable"),
        steps=steps,
        settle_seconds=float(spec.drain.settle_seconds),
        drain_timeout_seconds=float(spec.drain.timeout_seconds),
        restart_timeout_seconds=float(spec.restart.timeout_seconds),
        min_ready_seconds=None if spec.min_ready_seconds is None else float(spec.min_ready_seconds),
        on_failure=ON_FAILURE[spec.failure.action],
        max_failed=spec.failure.max_failed,
        accept_undrainable=spec.accept_undrainable,
        without_gate=spec.without_gate,
        allow_outage=spec.allow_outage,
    )


def rollout_of(run: Run, name: str, undo: Undo | None = None) -> InPlaceRollout:
    """What to create so that the controller carries out this run: the opposite of `run_of`. Seconds are rounded up."""
    target, options = run.target, run.options
    images = tuple(ContainerImage(container, image) for container, image in sorted(run.images.items()))
    spec = RolloutSpec(
        target=RolloutTarget(kind=target.kind, name=target.name, pod_names=target.pod_names, selector=target.selector),
        images=() if undo is not None else images,
        undo=undo,
        gate=options.gate,
        without_gate=options.without_gate,
        accept_undrainable=options.accept_undrainable,
        allow_outage=options.allow_outage,
        strategy=Strategy(max_unavailable=options.max_unavailable, steps=tuple(_wire_step(step) for step in options.steps)),
        drain=Drain(settle_seconds=ceil(options.settle_seconds), timeout_seconds=ceil(options.drain_timeout_seconds)),
        restart=Restart(timeout_seconds=ceil(options.restart_timeout_seconds)),
        min_ready_seconds=None if options.min_ready_seconds is None else ceil(options.min_ready_seconds),
        failure=FailurePolicy(max_failed=options.max_failed, action=_ACTIONS[options.on_failure]),
    )
    told = {key: value for key, value in ((BY, run.by), (CLIENT, run.client)) if value}
    return InPlaceRollout(metadata=ObjectMeta(name=name, namespace=target.namespace, annotations=told), spec=spec)


_ACTIONS: Mapping[OnFailure, FailureAction] = {on_failure: action for action, on_failure in ON_FAILURE.items()}


def _wire_step(step: Step) -> RolloutStep:
    match step:
        case Share(amount=amount):
            return RolloutStep(pods=amount)
        case Pause(seconds=seconds):
            return RolloutStep(pause=PauseStep(seconds=None if seconds is None else ceil(seconds)))


def _step_of(step: RolloutStep) -> Step:
    match step:
        case RolloutStep(pods=None, pause=pause) if pause is not None:
            return Pause(seconds=None if pause.seconds is None else float(pause.seconds))
        case RolloutStep(pods=pods, pause=None) if pods is not None:
            return Share(amount=_amount(pods, "pods of a step"))
        case _:
            raise ValueError("a step has either pods or pause")


def _amount(value: int | str, what: str) -> int | str:
    amount = parse_count_or_percent(str(value)) if isinstance(value, str) else value
    if amount == "0%" or (isinstance(amount, int) and amount < 1):
        raise ValueError(f"{what}: at least 1 pod")
    return amount


def edited(run: Run, rollout: InPlaceRollout) -> Run:
    """The run as its rollout wants it now. Target, images and gate stay; steps passed stay passed as far as the steps are
    the same as before, and from there on are found again from the pods. Raises ValueError."""
    asked = options_of(rollout.spec)
    options = msgspec.structs.replace(asked, gate=run.options.gate, without_gate=run.options.without_gate)
    same = _common(run.options.steps, options.steps)
    return msgspec.structs.replace(run, options=options, steps_passed=min(run.steps_passed, same))


def _common(before: tuple[Step, ...], after: tuple[Step, ...]) -> int:
    """How many steps from the first on are the same."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((i for i, (old, new) in pairs if old != new), min(len(before), len(after)))


def status_of(rollout: InPlaceRollout, state: RolloutState, previous: RolloutStatus, now: str) -> RolloutStatus:
    """`previous`: the status as it was written last. `now`: the instant, as text."""
    match state:
        case Pending():
            status, reason = _told(previous, "Pending", ""), "Pending"
        case Waiting(reason=why, message=message):
            status, reason = _told(previous, "Waiting", message), why
        case Refused(reason=why, message=message):
            status, reason = _told(previous, "Refused", message), why
        case Driving(run=run, plan=plan, since=since, trouble=trouble) if plan.finished is None:
            doing = trouble or _doing(run, plan)
            status = _of_run(_told(previous, "Progressing", doing), run, now)
            reason = "Trouble" if trouble else _reason_of(run)
            status = _counted(status, plan, since)
        case Driving(plan=plan):
            return status_of(rollout, Ended(plan.run, plan), previous, now)
        case Ended(run=run, plan=plan):
            status, reason = _ended(rollout, run, plan, previous, now)
    phase = status.phase
    assert phase is not None
    finished_at = (status.finished_at or now) if phase in OVER else ""
    generation = rollout.metadata.generation
    conditions = tuple(_condition(t, phase, reason, status.message, generation, previous, now) for t in TRUE_IN)
    return msgspec.structs.replace(status, observed_generation=generation, finished_at=finished_at, conditions=conditions)


def seen(status: RolloutStatus, generation: int) -> RolloutStatus:
    """Of a rollout that is over: an edit changes nothing any more, so what was said holds for the spec as it is now, too."""
    conditions = tuple(msgspec.structs.replace(c, observed_generation=generation) for c in status.conditions)
    return msgspec.structs.replace(status, observed_generation=generation, conditions=conditions)


def _told(previous: RolloutStatus, phase: Phase, message: str) -> RolloutStatus:
    """Counts stay as they were seen last; nothing is in flight unless somebody says so."""
    return msgspec.structs.replace(
        previous,
        phase=phase,
        message=_short(message),
        in_flight=(),
        draining=None if previous.draining is None else 0,
        finished_at=previous.finished_at if previous.phase == phase else "",
    )


def _of_run(status: RolloutStatus, run: Run, now: str) -> RolloutStatus:
    failures = (FailedPod(pod=f.pod, reason=f.reason, message=_short(f.message)) for f in run.failures[:MOST])
    here = min(run.steps_passed, len(run.options.steps) - 1)
    return msgspec.structs.replace(
        status,
        step="" if run.rolling_back else name_of(run.options.steps[here]),
        step_index=here,
        failed=run.failed_count,
        failures=tuple(failures),
        run_id=run.id,
        lease=lease_name(run.target),
        from_images=tuple(ContainerImage(name, image) for name, image in sorted(run.from_images.items())[:MOST]),
        started_at=status.started_at or run.started_at or now,
        steps=_step_times(run, status.steps, now),
    )


def _counted(status: RolloutStatus, plan: Plan, since: Mapping[str, str]) -> RolloutStatus:
    flying = [
        InFlight(name=pod.name, stage=pod.stage, since=since.get(pod.uid, ""), reason=_short(pod.words))
        for pod in plan.pods
        if pod.stage in IN_FLIGHT
    ]
    return msgspec.structs.replace(
        status,
        desired=plan.progress.desired,
        updated=plan.progress.updated,
        ready=plan.progress.ready,
        draining=sum(pod.stage in ("Closing", "Settling") for pod in flying),
        in_flight=tuple(sorted(flying, key=lambda pod: (pod.since, pod.name))[:MOST]),
    )


def _ended(
    rollout: InPlaceRollout, run: Run, plan: Plan | None, previous: RolloutStatus, now: str
) -> tuple[RolloutStatus, str]:
    phase = PHASE_OF[run.outcome or "Interrupted"]
    status = _of_run(_told(previous, phase, run.message), run, now)
    if plan is not None:
        status = _counted(status, plan, {})
    elif phase == "Succeeded":
        status = msgspec.structs.replace(status, updated=status.desired)
    status = msgspec.structs.replace(status, finished_at=status.finished_at or run.ended_at)
    if phase == "Paused":
        return status, _why_paused(rollout, run)
    return status, run.failures[0].reason if phase == "Failed" and run.failures else phase


def _why_paused(rollout: InPlaceRollout, run: Run) -> str:
    if rollout.spec.paused:
        return "PausedBySpec"
    return "PausedByStep" if stands_at_pause(run) else "PausedByRequest"


def _doing(run: Run, plan: Plan) -> str:
    """How long a pause still lasts is not said: it would change with every second."""
    pausing = stands_at_pause(run) and not run.rolling_back
    parts = (run.message if run.rolling_back else "", plan.progress.step, "" if pausing else plan.progress.waiting)
    return "; ".join(filter(None, parts))


def _reason_of(run: Run) -> str:
    if run.rolling_back:
        return "RollingBack"
    if run.commit is not None:
        return "Committing"
    return "PausingForAWhile" if stands_at_pause(run) else "Upgrading"


def _step_times(run: Run, known: tuple[StepTimes, ...], now: str) -> tuple[StepTimes, ...]:
    """Of the steps passed and the one it stands at."""
    if run.rolling_back:
        return known
    names = [name_of(step) for step in run.options.steps[: run.steps_passed + 1]]
    passed = len(names) if run.outcome == "Succeeded" else run.steps_passed
    return tuple(_times(name, known[i : i + 1], i < passed, now) for i, name in enumerate(names[:MOST]))


def _times(name: str, known: Iterable[StepTimes], is_passed: bool, now: str) -> StepTimes:
    times = next((old for old in known if old.step == name), StepTimes(step=name, started_at=now))
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
    is_true = phase in TRUE_IN[condition_type]
    before = previous.condition(condition_type)
    turned = before is None or before.status != str(is_true)
    return Condition(
        type=condition_type,
        status="True" if is_true else "False",
        reason=reason,
        message=message if is_true or condition_type == "Ready" else "",
        last_transition_time=now if before is None or turned else before.last_transition_time,
        observed_generation=generation,
    )


def _short(text: str) -> str:
    return shortened(text, LONGEST)
