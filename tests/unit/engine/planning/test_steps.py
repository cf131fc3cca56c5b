"""Steps and pauses: the only barriers of a run."""

import pytest

from inplace.engine.planning.steps import Barrier, UpTo, current_step, describe, pods_for_step, steps_behind
from inplace.engine.pods.stages import PodAssessment, Stage
from inplace.engine.timers import Timers
from inplace.model.run import CommitState, Run, RunOptions, parse_steps
from tests.builders import in_service, pod, run

NOBODY: frozenset[str] = frozenset()


def stepping(text: str, passed: int = 0, **fields: object) -> Run:
    return run(RunOptions(steps=parse_steps(text)), steps_passed=passed, **fields)


def pods(updated: int, of: int, rest: Stage = "Pending") -> list[PodAssessment]:
    return [PodAssessment(in_service(pod(f"p{i}")), "Updated" if i < updated else rest) for i in range(of)]


def where(
    r: Run, updated: int, of: int, timers: dict[str, float] | None = None, now: float = 0.0, failed: frozenset[str] = NOBODY
) -> UpTo | Barrier:
    return current_step(r, pods(updated, of), failed, of, Timers(timers or {}, now))


@pytest.mark.parametrize(
    ("amount", "desired", "target"),
    [("10%", 10, 1), ("10%", 11, 2), ("1%", 500, 5), ("33%", 7, 3), ("100%", 7, 7), ("50%", 0, 0), (3, 10, 3), (30, 10, 10)],
)
def test_a_step_means_its_share_rounded_up(amount: int | str, desired: int, target: int) -> None:
    assert pods_for_step(amount, desired) == target


def test_a_share_is_passed_exactly_when_enough_pods_are_updated() -> None:
    r = stepping("20%,pause,100%")
    assert where(r, 2, 11) == UpTo(3)
    assert where(r, 3, 11) == Barrier(1)


def test_failed_pods_are_not_updated() -> None:
    assert where(stepping("20%,pause,100%"), 2, 10, failed=frozenset({"uid-p0"})) == UpTo(2)


def test_the_last_step_is_never_passed() -> None:
    assert where(stepping("100%"), 10, 10) == UpTo(10)


def test_a_pause_by_hand_stays() -> None:
    waiting = "waiting at step 2 of 3 for `inplace promote`"
    assert where(stepping("20%,pause,100%", 1), 2, 10) == Barrier(1, waiting, is_manual=True)
    assert where(stepping("20%,pause,100%", 1), 2, 10, now=1e9) == Barrier(1, waiting, is_manual=True)


def test_a_timed_pause_passes_by_itself_and_says_its_length() -> None:
    r, timers = stepping("20%,pause:1m,100%", 1), {"pause/1": 100.0}
    clocks = Timers(timers, 118.0)
    assert current_step(r, pods(2, 10), NOBODY, 10, clocks) == Barrier(1, "pausing for 1m", until=160.0)
    assert clocks.requeue_after() == 42.0
    assert where(r, 2, 10, timers, now=160.0) == Barrier(2)


def test_a_timed_pause_begins_when_it_is_first_met() -> None:
    clocks = Timers({}, 50.0)
    current_step(stepping("20%,pause:1m,100%", 1), pods(2, 10), NOBODY, 10, clocks)
    assert clocks.used == {"pause/1"}
    assert clocks.requeue_after() == 60.0


def test_pods_lost_after_a_pause_are_recounted() -> None:
    """A scale-down may take exactly the upgraded pods."""
    assert where(stepping("20%,pause,50%,pause,100%", 2), 0, 10) == UpTo(5)


def test_nothing_holds_up_a_rollback_or_a_commit() -> None:
    assert where(stepping("20%,pause,100%", 1, rollback_reason="Failure"), 2, 10) == UpTo(10)
    assert where(stepping("20%,pause,100%", 1, commit=CommitState()), 2, 10) == UpTo(10)


def test_more_steps_passed_than_there_are() -> None:
    assert where(stepping("100%", 7), 2, 10) == UpTo(10)


def test_no_replicas_pass_every_share() -> None:
    assert where(stepping("20%,pause,100%"), 0, 0) == Barrier(1)


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (0, "step 1 of 5: up to 10%"),
        (1, "step 2 of 5: pause"),
        (2, "step 3 of 5: up to 5"),
        (3, "step 4 of 5: pause 10m"),
        (5, ""),
    ],
)
def test_steps_in_words(passed: int, text: str) -> None:
    assert describe(stepping("10%,pause,5,pause:10m,100%", passed)) == text


def test_a_run_of_one_step_or_a_rollback_needs_no_words() -> None:
    assert describe(stepping("100%")) == ""
    assert describe(stepping("10%,100%", rollback_reason="Failure")) == ""


def test_what_is_committed_belongs_to_no_step() -> None:
    committing = stepping("10%,100%", 1, commit=CommitState(live_uid="uid-live", revision=1))
    assert (steps_behind(committing), describe(committing)) == (2, "")


class TestClocks:
    def test_a_timer_begins_now_unless_it_runs(self) -> None:
        clocks = Timers({"a": 3.0}, 10.0)
        assert (clocks.started_at("a"), clocks.started_at("b")) == (3.0, 10.0)
        assert clocks.used == {"a", "b"}

    def test_a_deadline_is_looked_at_again_when_it_is_due(self) -> None:
        clocks = Timers({"a": 3.0}, 10.0)
        assert not clocks.expired("a", 8.0)
        assert clocks.requeue_after() == 1.0
        assert clocks.expired("a", 7.0)

    def test_the_nearest_instant_wins_and_the_past_is_now(self) -> None:
        clocks = Timers({}, 10.0)
        assert clocks.requeue_after() is None
        clocks.requeue_at(15.0)
        clocks.requeue_at(12.0)
        clocks.requeue_at(20.0)
        assert clocks.requeue_after() == 2.0
        clocks.requeue_at(9.0)
        assert clocks.requeue_after() == 0.0
