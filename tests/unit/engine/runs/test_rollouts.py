"""What a rollout asks for, what an edit changes, and what its status says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.planning.plan import Plan, PodProgress, Progress, RunResult
from inplace.engine.pods.stages import Stage
from inplace.engine.runs.rollout_status import build_status, with_observed_generation
from inplace.engine.runs.rollouts import (
    FinishedState,
    PendingState,
    RejectedState,
    RunningState,
    WaitingState,
    apply_edits,
    run_from_rollout,
    run_options_from_spec,
)
from inplace.model.objects.meta import ObjectMeta
from inplace.model.refs import TargetRef
from inplace.model.rollout import (
    ContainerImage,
    FailurePolicy,
    InPlaceRollout,
    PauseSpec,
    RolloutSpec,
    RolloutStatus,
    RolloutStep,
    RolloutTarget,
    Strategy,
    Undo,
)
from inplace.model.run import CommitState, PauseStep, PodFailure, PodsStep, Run, RunOptions, parse_steps

NEW = (ContainerImage("app", "repo/app:2"),)
NOTHING = RolloutStatus()
STEPS = (
    RolloutStep(pods="10%"),
    RolloutStep(pause=PauseSpec()),
    RolloutStep(pods="50%"),
    RolloutStep(pause=PauseSpec(600)),
    RolloutStep(pods="100%"),
)


def rollout(steps: tuple[RolloutStep, ...] = (), **spec: Any) -> InPlaceRollout:
    meta = ObjectMeta(name="r", namespace="shop", uid="12345678-9abc-4def-8000-000000000000", generation=3)
    fields = {"target": RolloutTarget(kind="Deployment", name="web"), "images": NEW, **spec}
    return InPlaceRollout(metadata=meta, spec=RolloutSpec(**{"strategy": Strategy(steps=steps), **fields}))


def run(steps: tuple[RolloutStep, ...] = (), **fields: Any) -> Run:
    return msgspec.structs.replace(run_from_rollout(rollout(steps)), **fields)


def pods(stage: Stage, number: int, reason: str = "") -> tuple[PodProgress, ...]:
    return tuple(PodProgress(f"{stage}-{i}", f"uid-{stage}-{i}", "n", stage, reason, "i") for i in range(number))


def plan(r: Run, *views: PodProgress, **fields: Any) -> Plan:
    progress = {"desired": 10, "updated": 4, "in_flight": 2, "unavailable": 2, "failed": 0, "ready": 8, **fields}
    return Plan(run=r, pods=views, progress=Progress(**progress))


def status(state: Any, previous: RolloutStatus = NOTHING, now: str = "t1", **spec: Any) -> RolloutStatus:
    return build_status(rollout(**spec), state, previous, now)


def true_in(s: RolloutStatus) -> set[str]:
    return {c.type for c in s.conditions if c.status == "True"}


class TestRunOf:
    def test_it_is_what_the_command_would_begin(self) -> None:
        assert run_from_rollout(rollout()) == Run(
            id="123456789abc",
            target=TargetRef("Deployment", "shop", "web"),
            images={"app": "repo/app:2"},
            options=RunOptions(),
            created_by="inplacerollout/r",
        )

    def test_steps_budgets_and_failures(self) -> None:
        spec = rollout(
            strategy=Strategy(max_unavailable="25%", steps=STEPS), failure=FailurePolicy(max_failed=3, action="Rollback")
        ).spec
        options = run_options_from_spec(spec)
        assert options.steps == parse_steps("10%,pause,50%,pause:10m,100%")
        assert (options.max_unavailable, options.max_failed, options.on_failure) == ("25%", 3, "rollback")

    def test_undo_and_no_images_say_what_they_are(self) -> None:
        undo = run_from_rollout(rollout(images=(), undo=Undo(to_revision=2)))
        assert (undo.operation, undo.images, undo.adopts_template) == ("Undo", {}, False)
        template = run_from_rollout(rollout(images=()))
        assert (template.operation, template.images, template.adopts_template) == ("Upgrade", {}, True)

    @pytest.mark.parametrize(
        ("spec", "problem"),
        [
            ({"undo": Undo()}, "cannot be combined"),
            ({"images": NEW + NEW}, "two images"),
            ({"images": (), "target": RolloutTarget(kind="Pods", selector="a=b")}, "say the images"),
            ({"steps": (RolloutStep(pods="50%"),)}, "last step must be 100%"),
            ({"steps": (RolloutStep(pods="50%"), RolloutStep(pods="20%"), RolloutStep(pods="100%"))}, "grow"),
            ({"steps": (RolloutStep(pods=3), RolloutStep(pods=2), RolloutStep(pods="100%"))}, "grow"),
            ({"steps": (RolloutStep(), RolloutStep(pods="100%"))}, "either pods or pause"),
            ({"steps": (RolloutStep(pods=0), RolloutStep(pods="100%"))}, "at least 1"),
            ({"strategy": Strategy(max_unavailable="x")}, "neither a number"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, spec: dict[str, Any], problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            run_from_rollout(rollout(**spec))


class TestEdited:
    def test_steps_passed_stay_passed_as_far_as_they_are_the_same(self) -> None:
        at_second_share = run(STEPS, steps_passed=2)
        ahead = (*STEPS[:2], RolloutStep(pods="30%"), RolloutStep(pods="100%"))
        assert apply_edits(at_second_share, rollout(ahead)).steps_passed == 2
        assert apply_edits(at_second_share, rollout((RolloutStep(pods="5%"), *STEPS[1:]))).steps_passed == 0
        assert apply_edits(at_second_share, rollout()).steps_passed == 0

    def test_edited_budgets_and_timeouts_are_adopted_the_gate_is_not(self) -> None:
        wanted = rollout(strategy=Strategy(max_unavailable=7), failure=FailurePolicy(action="Continue"), gate="other/gate")
        options = apply_edits(run(), wanted).options
        assert (options.max_unavailable, options.on_failure, options.gate) == (7, "continue", "inplace.dev/ready")

    def test_an_edit_that_changes_nothing_changes_nothing(self) -> None:
        r = run(STEPS, steps_passed=3, commit=CommitState())
        assert apply_edits(r, rollout(STEPS)) == r

    def test_a_pause_made_timed_is_met_again(self) -> None:
        timed = (STEPS[0], RolloutStep(pause=PauseSpec(5)), *STEPS[2:])
        changed = apply_edits(run(STEPS, steps_passed=1), rollout(timed))
        assert changed.options.steps[changed.steps_passed] == PauseStep(seconds=5.0)


class TestStatus:
    def test_first_sight(self) -> None:
        s = status(PendingState())
        assert (s.observed_generation, s.phase, s.updated, s.run_id) == (3, "Pending", None, "")
        assert true_in(s) == {"Reconciling"}
        assert {c.observed_generation for c in s.conditions} == {3}

    def test_waiting_and_refused_say_why(self) -> None:
        waiting = status(WaitingState("TargetBusy", "held by x"))
        assert (waiting.phase, waiting.message, true_in(waiting)) == ("Waiting", "held by x", {"Reconciling"})
        refused = status(RejectedState("NoGate", "has no gate"))
        assert (refused.phase, refused.finished_at, true_in(refused)) == ("Refused", "t1", {"Stalled"})
        ready = refused.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason, ready.message) == ("False", "NoGate", "has no gate")

    def test_driving_counts_and_names_the_pods_in_flight(self) -> None:
        r = run(STEPS, steps_passed=2, from_images={"app": "repo/app:1"})
        views = (*pods("Updated", 4), *pods("Settling", 1, "why"), *pods("Closing", 1), *pods("Restarting", 1))
        s = status(RunningState(r, plan(r, *views, waiting="for a budget"), {"uid-Settling-0": "t0"}))
        assert (s.desired, s.updated, s.ready, s.draining, s.failed) == (10, 4, 8, 2, 0)
        assert (s.phase, s.message, s.step, s.step_index) == ("Progressing", "for a budget", "up to 50%", 2)
        assert {(p.name, p.stage, p.since, p.reason) for p in s.in_flight} == {
            ("Settling-0", "Settling", "t0", "why"),
            ("Closing-0", "Closing", "", ""),
            ("Restarting-0", "Restarting", "", ""),
        }
        assert (s.run_id, s.lease) == (r.id, "inplace-deployment-web")
        assert s.from_images == (ContainerImage("app", "repo/app:1"),)
        assert true_in(s) == {"Progressing", "Reconciling"}

    def test_nothing_changes_while_nothing_happens(self) -> None:
        """A timed pause that tells how long it lasts would be a write every second."""
        r = run(STEPS, steps_passed=3)

        def pausing(left: str) -> RunningState:
            return RunningState(r, plan(r, step="step 4 of 5: pause 10m", waiting=f"pausing for 10m, {left} left"))

        first = status(pausing("9m"))
        assert first.message == "step 4 of 5: pause 10m"
        assert status(pausing("8m"), first, "t2") == first

    @pytest.mark.parametrize("outcome", ["Succeeded", "Failed", "RolledBack", "Aborted", "Paused"])
    def test_an_end_told_again_is_the_same(self, outcome: Any) -> None:
        ended = FinishedState(run(outcome=outcome, message="m"))
        first = status(ended)
        assert status(ended, first, "t2") == first

    @pytest.mark.parametrize(
        ("fields", "phase", "true", "reason"),
        [
            ({"outcome": "Succeeded"}, "Succeeded", {"Ready"}, "Succeeded"),
            ({"outcome": "RolledBack"}, "RolledBack", {"Stalled"}, "RolledBack"),
            ({"outcome": "Aborted"}, "Aborted", {"Stalled"}, "Aborted"),
            ({"outcome": "Paused"}, "Paused", {"Paused", "Stalled"}, "PausedByRequest"),
            ({"outcome": "Failed"}, "Failed", {"Stalled"}, "Failed"),
            (
                {"outcome": "Failed", "failures": (PodFailure(pod="p", uid="u", reason="DrainTimeout", message="m"),)},
                "Failed",
                {"Stalled"},
                "DrainTimeout",
            ),
        ],
    )
    def test_each_end(self, fields: dict[str, Any], phase: str, true: set[str], reason: str) -> None:
        s = status(FinishedState(run(**fields)))
        assert (s.phase, true_in(s), s.conditions[0].reason) == (phase, true, reason)

    def test_why_it_is_paused(self) -> None:
        at_step = status(FinishedState(run(STEPS, steps_passed=1, outcome="Paused")))
        assert at_step.conditions[0].reason == "PausedByStep"
        for_a_time = status(FinishedState(run(STEPS, steps_passed=3, outcome="Paused")))
        assert for_a_time.conditions[0].reason == "PausedByRequest", "at a timed pause nobody stops by himself"
        assert status(FinishedState(run(outcome="Paused")), paused=True).conditions[0].reason == "PausedBySpec"

    def test_success_without_the_last_plan_counts_all(self) -> None:
        before = status(RunningState(run(), plan(run(), *pods("Closing", 2))))
        s = status(FinishedState(run(outcome="Succeeded", ended_at="t9")), before, "t10")
        assert (s.updated, s.draining, s.in_flight, s.finished_at) == (10, 0, (), "t9")

    def test_what_went_back_has_updated_nothing(self) -> None:
        before = status(RunningState(run(), plan(run(), updated=4)))
        s = status(FinishedState(run(outcome="Aborted", message="aborted by jane")), before)
        assert (before.updated, s.updated, s.message) == (4, 0, "aborted by jane")

    def test_target_and_image_are_there_before_the_run(self) -> None:
        assert (status(PendingState()).target, status(PendingState()).image) == ("deploy/web", "app:2")
        undone = status(RunningState(run(images={"app": "reg:5000/a/app:7"}), plan(run())), images=(), undo=Undo())
        assert undone.image == "app:7"

    def test_how_long_still_is_told_by_when_it_is_over(self) -> None:
        going = RunningState(run(), plan(run(), *pods("Settling", 1)), {}, "", {"": "t8", "uid-Settling-0": "t7"})
        s = status(going)
        assert (s.until, s.in_flight[0].until) == ("t8", "t7")
        assert status(FinishedState(run(outcome="Paused")), s).until == "", "what stands waits for nobody's clock"

    def test_a_last_frame_is_an_end(self) -> None:
        r = run(outcome="Paused", message="waiting at step 2 of 3 for `inplace promote`")
        last = msgspec.structs.replace(plan(r), finished=RunResult("Paused", r.message))
        assert status(RunningState(r, last)).phase == "Paused"

    def test_resumed_it_is_not_finished_any_more(self) -> None:
        failed = status(FinishedState(run(outcome="Failed", ended_at="t1")))
        again = status(RunningState(run(), plan(run())), failed, "t5")
        assert (failed.finished_at, again.finished_at, again.phase) == ("t1", "", "Progressing")
        assert status(FinishedState(run(outcome="Succeeded", ended_at="t8")), again, "t9").finished_at == "t8"

    def test_an_edit_after_the_end_is_seen_in_every_condition(self) -> None:
        """Else `kubectl wait` would not believe them any more."""
        over = with_observed_generation(status(FinishedState(run(outcome="Succeeded"))), 8)
        assert {over.observed_generation, *(c.observed_generation for c in over.conditions)} == {8}

    def test_a_transition_time_is_that_of_the_transition(self) -> None:
        first = status(RunningState(run(), plan(run())), now="t1")
        later = status(RunningState(run(), plan(run(), updated=9)), first, "t2")
        assert {c.last_transition_time for c in later.conditions} == {"t1"}
        ended = status(FinishedState(run(outcome="Succeeded")), later, "t3")
        turned = {c.type for c in ended.conditions if c.last_transition_time == "t3"}
        assert turned == {"Ready", "Progressing", "Reconciling"}

    def test_the_times_of_the_steps(self) -> None:
        s = status(RunningState(run(STEPS), plan(run(STEPS))), now="t1")
        at_pause = run(STEPS, steps_passed=1)
        s = status(RunningState(at_pause, plan(at_pause)), s, "t2")
        assert [(t.step, t.started_at, t.finished_at) for t in s.steps] == [("up to 10%", "t1", "t2"), ("pause", "t2", "")]
        back = run(STEPS, steps_passed=1, rollback_reason="Abort", message="aborted")
        s = status(RunningState(back, plan(back)), s, "t3")
        assert (len(s.steps), s.step, s.message) == (2, "", "aborted")
        done = status(FinishedState(run(STEPS, steps_passed=4, outcome="Succeeded")), s, "t4")
        assert [t.finished_at for t in done.steps] == ["t2", "t4", "t4", "t4", "t4"]

    def test_it_is_small_at_ten_thousand_pods(self) -> None:
        failures = tuple(PodFailure(pod=f"p{i}", uid=f"u{i}", reason="DrainTimeout", message="m" * 999) for i in range(500))
        r = run(STEPS, failures=failures, from_images={f"c{i}": "i" * 1024 for i in range(50)})
        s = status(RunningState(r, plan(r, *pods("Closing", 10_000, "r" * 999), waiting="w" * 999)))
        assert (len(s.in_flight), len(s.failures), s.failed, s.draining) == (20, 20, 500, 10_000)
        ended = build_status(
            rollout(), FinishedState(run(STEPS, outcome="Failed", failures=failures[:20], more_failed=480)), s, "now"
        )
        assert (len(ended.failures), ended.failed) == (20, 500)
        assert max(len(s.message), *(len(p.reason) for p in s.in_flight), *(len(f.message) for f in s.failures)) == 256
        assert len(msgspec.json.encode(s)) < 40_000

    def test_zero_is_said_and_the_unknown_is_not(self) -> None:
        wire = msgspec.to_builtins(status(RunningState(run(), plan(run(), updated=0))))
        assert (wire["updated"], wire["draining"], wire["failed"]) == (0, 0, 0)
        assert "updated" not in msgspec.to_builtins(status(PendingState()))


def test_the_wire_is_read() -> None:
    text = """{"metadata": {"name": "r", "uid": "u", "generation": 1}, "spec": {
        "target": {"kind": "Pods", "podNames": ["a", "b"]}, "images": [{"container": "app", "image": "x:1"}],
        "strategy": {"maxUnavailable": "10%",
            "steps": [{"pods": 1}, {"pause": {}}, {"pause": {"seconds": 3}}, {"pods": "100%"}]}}}"""
    spec = msgspec.json.decode(text, type=InPlaceRollout).spec
    assert spec.target.ref("ns") == TargetRef("Pods", "ns", pod_names=("a", "b"))
    assert run_options_from_spec(spec).steps == (
        PodsStep(amount=1),
        PauseStep(),
        PauseStep(seconds=3.0),
        PodsStep(amount="100%"),
    )
