"""Converts an `InPlaceRollout` into the run that it requests and back, applies edits to the run, and defines its states.

The run's id is derived from the rollout's uid, so that the next leader recognizes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TypeGuard

import msgspec

from inplace.engine.planning.plan import Plan
from inplace.model.constants import CLIENT_ANNOTATION, CREATED_BY_ANNOTATION
from inplace.model.int_or_percent import parse_int_or_percent
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import (
    ContainerImage,
    Drain,
    FailureAction,
    FailurePolicy,
    InPlaceRollout,
    PauseSpec,
    Restart,
    RolloutSpec,
    RolloutStep,
    RolloutTarget,
    Strategy,
    Undo,
)
from inplace.model.run import OnFailure, PauseStep, PodsStep, Run, RunOptions, Step, steps_grow, truncate
from inplace.model.trust import run_problem

ON_FAILURE: Mapping[FailureAction, OnFailure] = {"Pause": "pause", "Rollback": "rollback", "Continue": "continue"}


class PendingState(msgspec.Struct, frozen=True):
    """The rollout was seen, and not assessed yet."""


class WaitingState(msgspec.Struct, frozen=True):
    """The rollout may not begin yet, for instance while another run holds the target."""

    reason: str
    message: str


class RejectedState(msgspec.Struct, frozen=True):
    """The rollout will not begin, and nothing was written."""

    reason: str
    message: str


class RunningState(msgspec.Struct, frozen=True):
    """The run is being driven. `since`: when each pod's stage began, as text by pod uid; `until`: when each wait ends by
    itself, with that of the run under an empty uid. `trouble`: why it makes no progress, such as a write that the API server
    refuses and that is retried."""

    run: Run
    plan: Plan
    since: Mapping[str, str] = {}
    trouble: str = ""
    until: Mapping[str, str] = {}


class FinishedState(msgspec.Struct, frozen=True):
    """The run has ended. `plan`: the last one, if known."""

    run: Run
    plan: Plan | None = None


RolloutState = PendingState | WaitingState | RejectedState | RunningState | FinishedState


def run_from_rollout(rollout: InPlaceRollout) -> Run:
    """Returns the run that a new rollout requests. It is created by the user in the rollout's annotation, else by the rollout
    itself. An undo has no images yet, since those depend on the cluster. Raises ValueError with one line for a user."""
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
        id=default_run_id(rollout),
        target=spec.target.ref(meta.namespace),
        operation="Upgrade" if spec.undo is None else "Undo",
        images=images,
        adopts_template=not images and spec.undo is None,
        options=run_options_from_spec(spec),
        created_by=truncate(meta.annotation(CREATED_BY_ANNOTATION) or f"inplacerollout/{meta.name}"),
        client=truncate(meta.annotation(CLIENT_ANNOTATION) or ""),
        expiring_rollout=meta.name if spec.ttl_seconds_after_finished is not None else "",
    )
    problem = run_problem(run)
    if problem:
        raise ValueError(problem)
    return run


def default_run_id(rollout: InPlaceRollout) -> str:
    """Returns the id of the rollout's run, unless it adopted an existing run."""
    return rollout.metadata.uid.replace("-", "")[:12]


def owns_run(run: Run | None, rollout: InPlaceRollout) -> TypeGuard[Run]:
    """Whether the run is the rollout's own or one that it adopted."""
    return run is not None and run.id in (rollout.status.run_id, default_run_id(rollout))


def run_options_from_spec(spec: RolloutSpec) -> RunOptions:
    """Converts the spec into options. Raises ValueError with one line for a user."""
    steps = tuple(_step_from_spec(step) for step in spec.strategy.steps) or RunOptions().steps
    if steps[-1] != PodsStep(amount="100%"):
        raise ValueError("the last step must be 100%: to stop halfway use a pause")
    if not steps_grow(steps):
        raise ValueError("steps must grow")
    budget = spec.strategy.max_unavailable
    return RunOptions(
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


def rollout_from_run(run: Run, name: str, undo: Undo | None = None) -> InPlaceRollout:
    """Returns the rollout to create so that the controller carries out this run: the inverse of `run_from_rollout`. Seconds are
    rounded up."""
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
        strategy=Strategy(max_unavailable=options.max_unavailable, steps=tuple(_step_to_spec(step) for step in options.steps)),
        drain=Drain(settle_seconds=ceil(options.settle_seconds), timeout_seconds=ceil(options.drain_timeout_seconds)),
        restart=Restart(timeout_seconds=ceil(options.restart_timeout_seconds)),
        min_ready_seconds=None if options.min_ready_seconds is None else ceil(options.min_ready_seconds),
        failure=FailurePolicy(max_failed=options.max_failed, action=_ACTIONS[options.on_failure]),
    )
    annotations = {
        key: value for key, value in ((CREATED_BY_ANNOTATION, run.created_by), (CLIENT_ANNOTATION, run.client)) if value
    }
    return InPlaceRollout(metadata=ObjectMeta(name=name, namespace=target.namespace, annotations=annotations), spec=spec)


_ACTIONS: Mapping[OnFailure, FailureAction] = {on_failure: action for action, on_failure in ON_FAILURE.items()}


def _step_to_spec(step: Step) -> RolloutStep:
    match step:
        case PodsStep(amount=amount):
            return RolloutStep(pods=amount)
        case PauseStep(seconds=seconds):
            return RolloutStep(pause=PauseSpec(seconds=None if seconds is None else ceil(seconds)))


def _step_from_spec(step: RolloutStep) -> Step:
    match step:
        case RolloutStep(pods=None, pause=pause) if pause is not None:
            return PauseStep(seconds=None if pause.seconds is None else float(pause.seconds))
        case RolloutStep(pods=pods, pause=None) if pods is not None:
            return PodsStep(amount=_amount(pods, "pods of a step"))
        case _:
            raise ValueError("a step has either pods or pause")


def _amount(value: int | str, what: str) -> int | str:
    amount = parse_int_or_percent(str(value)) if isinstance(value, str) else value
    if amount == "0%" or (isinstance(amount, int) and amount < 1):
        raise ValueError(f"{what}: at least 1 pod")
    return amount


def apply_edits(run: Run, rollout: InPlaceRollout) -> Run:
    """Returns the run with the edited spec. Target, images and gate stay. Passed steps stay passed as far as the steps are the
    same as before; from there on the position follows from the pods. Raises ValueError with one line for a user."""
    edited = run_options_from_spec(rollout.spec)
    options = msgspec.structs.replace(edited, gate=run.options.gate, without_gate=run.options.without_gate)
    same = _common_length(run.options.steps, options.steps)
    return msgspec.structs.replace(run, options=options, steps_passed=min(run.steps_passed, same))


def _common_length(before: tuple[Step, ...], after: tuple[Step, ...]) -> int:
    """Returns how many steps, from the first on, are the same."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((i for i, (old, new) in pairs if old != new), min(len(before), len(after)))
