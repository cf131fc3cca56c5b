"""What ends a pause: commands and edits, and which of them spec.paused holds back."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from inplace.engine.runs.rollouts import run_from_rollout
from inplace.engine.runs.spec_paused import RELEASE_FIRST
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import (
    ContainerImage,
    InPlaceRollout,
    PauseSpec,
    RolloutSpec,
    RolloutStep,
    RolloutTarget,
    Strategy,
)
from inplace.model.run import Run, RunCommand
from inplace.runtime.controller.paused import ContinueRun, StayPaused, decide_paused
from inplace.runtime.controller.states import Paused
from tests.builders import observed, of_pods

STEPS = (RolloutStep(pods=1), RolloutStep(pause=PauseSpec()), RolloutStep(pods="100%"))
AT_PAUSE_STEP = "waiting at step 2 of 3 for `inplace promote`"
BY_USER = "paused by ann"
BY_SPEC = "paused by spec.paused"


class View:
    """A `RolloutView` that shows an empty target."""

    def snapshot(self) -> Any:
        return observed(target=of_pods())


def rollout(steps: tuple[RolloutStep, ...] = STEPS, *, paused: bool = False) -> InPlaceRollout:
    meta = ObjectMeta(name="up", namespace="shop", uid="12345678-9abc-4def-8000-000000000000")
    target = RolloutTarget(kind="Pods", selector="app=web")
    images = (ContainerImage("app", "repo/app:2"),)
    return InPlaceRollout(
        metadata=meta, spec=RolloutSpec(target=target, images=images, strategy=Strategy(steps=steps), paused=paused)
    )


def paused_run(message: str) -> Run:
    return msgspec.structs.replace(run_from_rollout(rollout()), outcome="Paused", message=message, steps_passed=1)


def decide(
    wanted: InPlaceRollout, run: Run, command: RunCommand | None = None, *, was_spec_paused: bool | None = None
) -> tuple[ContinueRun | StayPaused, list[str]]:
    warnings: list[str] = []
    paused = Paused(cast("Any", View()), cast("Any", None), run)
    decision = decide_paused(paused, wanted, command, "ann", was_spec_paused=was_spec_paused, warn=warnings.append)
    return decision, warnings


@pytest.mark.parametrize("command", [None, "pause"])
def test_without_a_command_that_continues_it_stays_as_it_is(command: RunCommand | None) -> None:
    run = paused_run(AT_PAUSE_STEP)
    assert decide(rollout(), run, command) == (StayPaused(run), [])


@pytest.mark.parametrize("command", ["resume", "promote"])
def test_a_command_continues_past_the_pause_step(command: RunCommand) -> None:
    decision, warnings = decide(rollout(), paused_run(AT_PAUSE_STEP), command)
    assert isinstance(decision, ContinueRun)
    assert (decision.why, decision.run.outcome, decision.run.steps_passed, warnings) == (command, None, 2, [])


@pytest.mark.parametrize("command", ["resume", "promote"])
def test_spec_paused_refuses_to_continue_in_words(command: RunCommand) -> None:
    run = paused_run(AT_PAUSE_STEP)
    assert decide(rollout(paused=True), run, command) == (StayPaused(run), [f"asked to {command}, but {RELEASE_FIRST}"])


def test_abort_is_obeyed_under_spec_paused() -> None:
    decision, warnings = decide(rollout(paused=True), paused_run(BY_SPEC), "abort")
    assert isinstance(decision, ContinueRun)
    assert (decision.run.rollback_reason, warnings) == ("Abort", [])


def test_pause_under_spec_paused_outlasts_it() -> None:
    decision, _ = decide(rollout(paused=True), paused_run(BY_SPEC), "pause")
    assert isinstance(decision, StayPaused)
    assert decision.run.message == BY_USER
    assert isinstance(decide(rollout(), decision.run, was_spec_paused=True)[0], StayPaused)


def test_releasing_spec_paused_continues() -> None:
    decision, _ = decide(rollout(), paused_run(BY_SPEC), was_spec_paused=True)
    assert isinstance(decision, ContinueRun)
    assert decision.why == "an edit"


@pytest.mark.parametrize(("message", "continues"), [(AT_PAUSE_STEP, True), (BY_USER, False)])
def test_other_steps_continue_a_pause_of_the_steps_only(message: str, continues: bool) -> None:
    edited = rollout((RolloutStep(pods=1), RolloutStep(pods="100%")))
    decision, _ = decide(edited, paused_run(message), was_spec_paused=False)
    assert isinstance(decision, ContinueRun) is continues
    assert len(decision.run.options.steps) == 2
