"""What the same command means for a target that has a run already, and what the verbs make of it."""

import pytest

from inplace.engine.runs.lifecycle import (
    BeginRun,
    FinishCommitFirst,
    Overtaken,
    StillPaused,
    abort,
    abort_orphaned,
    check_overtaken,
    has_leftovers,
    inherit_strategy,
    pass_pause,
    resolve_command,
    resume,
)
from inplace.model.run import CommitState, PodFailure, PodsStep, Run, RunOptions, parse_steps
from tests.builders import (
    DEPLOYMENT_UID,
    LIVE_UID,
    NEW,
    OLD,
    deployment,
    facts,
    in_service,
    next_set,
    observed,
    of_deployment,
    pod,
    record,
    replica_set,
    run,
)

STEPPED = RunOptions(steps=parse_steps("10%,pause,50%,pause:5m,100%"))
AS_BEFORE = observed(target=of_deployment(deployment(), replica_set()))
FAILED = (PodFailure(pod="web-a", uid="uid-web-a", reason="DrainTimeout", message="m"),)
OTHER = {"app": "repo/app:3"}


def open_run(**fields: object) -> Run:
    return run(STEPPED, **{"id": "run-0", "outcome": "Interrupted", "message": "interrupted", **fields})


class TestUpgrade:
    @pytest.mark.parametrize(
        "stored",
        [
            None,
            open_run(outcome="Succeeded"),
            open_run(outcome="RolledBack", rollback_reason="Failure"),
            open_run(target_uid="uid-of-before"),
        ],
        ids=["none", "succeeded", "rolled back", "another object of that name"],
    )
    def test_begins_anew_where_nothing_is_open(self, stored: Run | None) -> None:
        assert resolve_command(stored, run(), {}) == BeginRun(run(), resuming=False)

    @pytest.mark.parametrize("outcome", ["Interrupted", "TimedOut", "Failed", None])
    def test_the_same_images_resume_where_it_stopped(self, outcome: str | None) -> None:
        decision = resolve_command(open_run(outcome=outcome, steps_passed=2, failures=FAILED), run(), {})
        assert isinstance(decision, BeginRun)
        assert decision.resuming
        assert decision.run.id == "run-0"
        assert (decision.run.outcome, decision.run.message, decision.run.failures) == (None, "", ())
        assert (decision.run.options, decision.run.steps_passed) == (STEPPED, 2)

    def test_options_given_now_win(self) -> None:
        decision = resolve_command(open_run(steps_passed=2), run(), {"settle_seconds": 9.0})
        assert isinstance(decision, BeginRun)
        assert decision.run.options.settle_seconds == 9.0
        assert decision.run.options.steps == STEPPED.steps
        assert decision.run.steps_passed == 2

    def test_other_steps_are_walked_from_the_first(self) -> None:
        decision = resolve_command(open_run(steps_passed=2), run(), {"steps": (PodsStep(amount="100%"),)})
        assert isinstance(decision, BeginRun)
        assert decision.run.steps_passed == 0

    def test_a_pause_by_hand_is_not_passed(self) -> None:
        paused = open_run(outcome="Paused", steps_passed=1)
        assert resolve_command(paused, run(), {}) == StillPaused(paused)

    def test_a_rollback_under_way_is_resumed_by_what_was_asked_for(self) -> None:
        back = open_run(images=OLD, original_images=NEW, rollback_reason="Failure", message="rolled back, because")
        decision = resolve_command(back, run(), {})
        assert isinstance(decision, BeginRun)
        assert (decision.run.images, decision.run.message) == (OLD, "rolled back, because")

    def test_other_images_begin_a_run_keeping_the_original_images(self) -> None:
        asked = run(images=OTHER, from_images={"app": "repo/app:2"})
        decision = resolve_command(open_run(), asked, {})
        assert isinstance(decision, BeginRun)
        assert decision.resuming
        assert decision.run.images == OTHER
        assert decision.run.from_images == OLD
        assert decision.run.id == asked.id
        assert decision.run.commit is None

    def test_containers_that_only_the_open_run_named_go_on(self) -> None:
        asked = run(images={"mesh": "mesh:2"}, from_images={"mesh": "mesh:1"})
        decision = resolve_command(open_run(), asked, {})
        assert isinstance(decision, BeginRun)
        assert decision.run.images == {**NEW, "mesh": "mesh:2"}
        assert decision.run.from_images == {**OLD, "mesh": "mesh:1"}

    def test_other_images_wait_for_a_half_done_commit(self) -> None:
        half = open_run(commit=CommitState(live_uid="u", revision=1))
        decision = resolve_command(half, run(images=OTHER), {"settle_seconds": 9.0})
        assert isinstance(decision, FinishCommitFirst)
        assert decision.run.images == NEW
        assert decision.run.commit == half.commit
        assert decision.run.outcome is None
        assert decision.run.options == STEPPED

    def test_other_images_begin_although_the_old_run_is_paused(self) -> None:
        assert isinstance(resolve_command(open_run(outcome="Paused"), run(images=OTHER), {}), BeginRun)


class TestResume:
    def test_passes_the_pause_that_it_stands_at(self) -> None:
        decision = resume(open_run(outcome="Paused", steps_passed=1), AS_BEFORE)
        assert isinstance(decision, BeginRun)
        assert decision.run.steps_passed == 2
        assert decision.run.outcome is None

    @pytest.mark.parametrize(("passed", "then"), [(0, 0), (1, 2), (2, 2), (3, 4), (4, 4), (5, 5)])
    def test_passes_no_more_than_that(self, passed: int, then: int) -> None:
        assert pass_pause(open_run(steps_passed=passed)).steps_passed == then


class TestAbort:
    def test_goes_back_to_where_it_began(self) -> None:
        aborted = abort(open_run(outcome=None), "jane")
        assert (aborted.images, aborted.original_images, aborted.rollback_reason) == (OLD, NEW, "Abort")

    def test_leaves_a_begun_commit_to_be_finished(self) -> None:
        begun = open_run(outcome=None, commit=CommitState(live_uid=LIVE_UID))
        assert abort(begun, "jane") == begun
        assert isinstance(abort_orphaned(begun, AS_BEFORE, "jane"), FinishCommitFirst)

    def test_a_rollback_becomes_an_abort(self) -> None:
        back = abort(open_run(images=OLD, original_images=NEW, rollback_reason="Failure"), "")
        assert (back.images, back.original_images, back.rollback_reason) == (OLD, NEW, "Abort")

    def test_of_a_dead_run_forgets_its_failures(self) -> None:
        decision = abort_orphaned(open_run(outcome="Failed", failures=FAILED), AS_BEFORE, "jane")
        assert isinstance(decision, BeginRun)
        assert (decision.run.failures, decision.run.outcome, decision.run.images) == ((), None, OLD)


class TestKnowing:
    """What an open run left behind is not its owner's choice."""

    OWN, HELD = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, {"type": "OnDelete"}

    def test_the_owners_strategy_is_the_one_that_was_saved(self) -> None:
        asked = run(images=OTHER, saved_strategy=self.HELD)
        assert inherit_strategy(asked, open_run(saved_strategy=self.OWN), DEPLOYMENT_UID).saved_strategy == self.OWN

    @pytest.mark.parametrize("stored", [None, open_run(outcome="Succeeded", saved_strategy=OWN), open_run(target_uid="x")])
    def test_nothing_else_is_open(self, stored: Run | None) -> None:
        asked = run(images=OTHER, saved_strategy=self.HELD)
        assert inherit_strategy(asked, stored, DEPLOYMENT_UID) == asked


class TestOvertaken:
    """Somebody else has changed the workload since."""

    @pytest.mark.parametrize("images", [NEW, OTHER], ids=["the same images", "others"])
    def test_begins_anew(self, images: dict[str, str]) -> None:
        asked = run(images=images, from_images={"app": "repo/app:9"})
        assert resolve_command(open_run(outcome="Failed"), asked, {}, overtaken=True) == BeginRun(asked, resuming=False)

    def test_a_commit_is_given_up_by_its_own_run_first(self) -> None:
        half = open_run(commit=CommitState(live_uid="u"))
        decision = resolve_command(half, run(), {}, overtaken=True)
        assert isinstance(decision, BeginRun)
        assert decision.run.commit == half.commit

    def test_is_told_by_what_is_seen(self) -> None:
        foreign = of_deployment(deployment({"app": "repo/app:9"}), replica_set({"app": "repo/app:9"}))
        assert check_overtaken(open_run(), observed(target=foreign))
        assert not check_overtaken(open_run(), AS_BEFORE)
        assert not check_overtaken(open_run(outcome="Succeeded"), observed(target=foreign))
        assert not check_overtaken(None, observed(target=foreign))

    def test_a_pause_is_the_users_own_by_now(self) -> None:
        assert not check_overtaken(open_run(), observed(target=of_deployment(deployment(paused=True), replica_set())))

    def test_goes_neither_on_nor_back(self) -> None:
        rolled_out = observed(target=of_deployment(deployment(NEW), next_set(revision=2)))
        stored = open_run(outcome="Failed", failures=FAILED, revision="r", live_uid=LIVE_UID, live_revision=1)
        for decision in (resume(stored, rolled_out), abort_orphaned(stored, rolled_out, "jane")):
            assert isinstance(decision, Overtaken)
            assert "rolled out app=repo/app:2" in decision.why
            assert (decision.run.images, decision.run.revision, decision.run.outcome) == (NEW, "r", None)

    def test_has_left_what_is_recorded_or_held_back(self) -> None:
        foreign = of_deployment(deployment({"app": "repo/app:9"}, paused=True), replica_set({"app": "repo/app:9"}))
        plain, paused = Overtaken(open_run(), ""), Overtaken(open_run(commit=CommitState(live_uid="u")), "")
        assert has_leftovers(plain, observed(facts(pod(record=record())), target=foreign))
        assert not has_leftovers(plain, observed(in_service(pod()), target=foreign))
        assert has_leftovers(paused, observed(in_service(pod()), target=foreign))


def test_a_run_that_takes_over_knows_what_the_template_may_hold() -> None:
    decision = resolve_command(open_run(images=OTHER, superseded_images=(OLD,)), run(), {})
    assert isinstance(decision, BeginRun)
    assert decision.run.superseded_images == (OLD, OTHER)
