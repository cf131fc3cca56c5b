"""How a run stands, in a word and in a line."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from inplace.engine.status.estimate import CurrentTime
from inplace.engine.status.run_state import RunState, describe_run_state, run_state, step_views, superseded_reason, with_message
from inplace.engine.workloads.templates import fingerprint
from inplace.kube.clock import seconds_since
from inplace.model.run import CommitState, Outcome, RunOptions, parse_steps
from tests.builders import NEW, run, template

ENDED = "2026-11-28T02:11:30Z"
NOW = datetime(2026, 11, 28, 3, tzinfo=UTC)
OTHER = {"app": "repo/app:9"}


def at(now: datetime) -> CurrentTime:
    return CurrentTime(50.0, partial(seconds_since, now=now))


def line(standing: RunState, over: str = "", now: datetime = NOW, **fields: Any) -> str:
    return describe_run_state(run(**fields), standing, over, at(now))


@pytest.mark.parametrize(
    ("outcome", "held", "alive", "over", "standing"),
    [
        (None, True, True, "", "Running"),
        (None, True, False, "", "BrokenOff"),
        (None, False, False, "", "BrokenOff"),
        ("Paused", False, False, "", "Paused"),
        ("Paused", True, True, "", "Paused"),
        ("Paused", True, False, "", "BrokenOff"),
        ("Succeeded", False, False, "", "Succeeded"),
        ("Succeeded", False, False, "its template says app=b now", "Superseded"),
    ],
)
def test_the_word(outcome: Outcome | None, held: bool, alive: bool, over: str, standing: RunState) -> None:
    assert run_state(run(outcome=outcome), is_held=held, is_alive=alive, superseded=over) == standing


@pytest.mark.parametrize(
    ("outcome", "message", "told"),
    [
        ("Succeeded", "", "Succeeded at 02:11 UTC"),
        ("Aborted", "aborted by jane", "Aborted by jane at 02:11 UTC"),
        ("Aborted", "aborted on request", "Aborted on request at 02:11 UTC"),
        ("Failed", "pod/a is lost", "Failed at 02:11 UTC: pod/a is lost"),
        ("RolledBack", "rolled back, because pod/a failed", "RolledBack at 02:11 UTC, because pod/a failed"),
        ("Paused", "paused by jane", "Paused by jane (since 02:11 UTC)"),
        ("Paused", "waiting at step 2 of 3", "Paused: waiting at step 2 of 3 (since 02:11 UTC)"),
    ],
)
def test_the_line_says_each_thing_once(outcome: Outcome, message: str, told: str) -> None:
    assert line(outcome, outcome=outcome, message=message, ended_at=ENDED) == told


@pytest.mark.parametrize(
    ("outcome", "message", "told"),
    [
        ("Succeeded", "", "Succeeded"),
        ("Aborted", "aborted by admin (root@vm)", "Aborted by admin (root@vm)"),
        ("RolledBack", "rolled back, because pod/a failed", "RolledBack, because pod/a failed"),
        ("Failed", "pod/a is lost", "Failed: pod/a is lost"),
        ("", "", ""),
    ],
)
def test_an_outcome_and_its_message_say_each_thing_once(outcome: str, message: str, told: str) -> None:
    assert with_message(outcome, message) == told


def test_the_line_of_long_ago_has_its_date() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert line("Succeeded", now=tomorrow, outcome="Succeeded", ended_at=ENDED) == "Succeeded on 2026-11-28 at 02:11 UTC"
    assert line("Succeeded", outcome="Succeeded", ended_at="") == "Succeeded"


def test_the_line_of_one_that_has_not_ended() -> None:
    assert line("Running") == "Running"
    assert line("Running", rollback_reason="Abort", message="aborted by jane") == "Running: rolling back (aborted by jane)"
    assert line("BrokenOff", message="interrupted") == "BrokenOff (interrupted): nobody drives it now"
    over = "its template says app=b now"
    assert line("Superseded", over, outcome="Succeeded", ended_at=ENDED) == f"Succeeded at 02:11 UTC; superseded since: {over}"


def test_the_steps_and_where_it_stands() -> None:
    then, steps = at(NOW), RunOptions(steps=parse_steps("1,pause:10m,100%"))
    assert step_views(run(), then) == (), "one step is no list"
    shown = [(s.name, s.state, s.left_seconds) for s in step_views(run(steps, steps_passed=1), then)]
    assert shown == [("up to 1", "done", None), ("pause 10m", "here", 600.0), ("up to 100%", "ahead", None)]
    assert [s.state for s in step_views(run(steps, steps_passed=2, outcome="Succeeded"), then)] == ["done"] * 3
    committing = run(steps, steps_passed=2, commit=CommitState(live_uid="uid-live", revision=1))
    assert [s.state for s in step_views(committing, then)] == ["done"] * 3
    assert [s.state for s in step_views(run(steps, steps_passed=1, rollback_reason="Abort"), then)] == [
        "done",
        "ahead",
        "ahead",
    ]


class TestSuperseded:
    def test_only_what_is_over_is(self) -> None:
        assert superseded_reason(run(), template(OTHER)) == ""
        assert superseded_reason(run(outcome="Paused"), template(OTHER)) == ""
        assert superseded_reason(run(outcome="Succeeded"), None) == ""

    def test_by_other_images(self) -> None:
        done = run(outcome="Succeeded")
        assert superseded_reason(done, template(NEW)) == ""
        assert superseded_reason(done, template(OTHER)) == "its template says app=repo/app:9 now"
        assert superseded_reason(done, template({"app": f"repo/app:2@sha256:{'a' * 64}"})) == "", "admission has pinned it"

    def test_by_an_edit_that_recreates_the_pods(self) -> None:
        done = run(outcome="Succeeded", template=fingerprint(template(NEW)))
        assert superseded_reason(done, template(NEW)) == ""
        restarted = {**template(NEW), "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}
        assert superseded_reason(done, restarted) == "its template was edited, and its pods recreated"

    def test_on_the_way_back_the_owners_own_template_stays(self) -> None:
        back = msgspec.structs.replace(
            run(outcome="Aborted", rollback_reason="Abort", adopts_template=True),
            images={"app": "repo/app:1"},
            original_images=NEW,
        )
        assert superseded_reason(back, template(NEW)) == ""
        assert superseded_reason(back, template(OTHER)) == "its template says app=repo/app:9 now"
