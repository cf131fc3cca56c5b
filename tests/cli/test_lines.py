"""Progress where no table can be drawn: one line per change."""

from datetime import UTC, datetime

import pytest

from inplace.cli.progress.lines import LineProgress
from tests.builders import run
from tests.cli.frames import frame, view

AT = datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC)


@pytest.fixture
def lines() -> LineProgress:
    return LineProgress(utcnow=lambda: AT)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def test_a_new_stage_is_told_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a"), view("web-b", "Updated")))
    assert printed(capsys) == []
    for now in (1, 2, 3):
        lines.update(frame(now, view("web-a", "Closing"), view("web-b", "Updated")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Closing"]
    lines.update(frame(4, view("web-a", "Updated"), view("web-b", "Updated")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Updated (2 of 2)"]


def test_a_pod_that_is_in_flight_at_the_start_is_told(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a", "Restarting", "waiting for app to be restarted")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Restarting: waiting for app to be restarted"]


def test_a_new_reason_is_told_only_if_it_stays(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a", "Restarting", "one")))
    lines.update(frame(1, view("web-a", "Restarting", "two")))
    lines.update(frame(1.1, view("web-a", "Restarting", "three")))
    lines.update(frame(3.0, view("web-a", "Restarting", "three")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Restarting: one"]
    lines.update(frame(3.2, view("web-a", "Restarting", "three")))
    lines.update(frame(9, view("web-a", "Restarting", "three")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Restarting: three"]


def test_what_the_run_waits_for_is_told_at_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a"), step="step 1 of 2: up to 10%"))
    lines.update(frame(1, view("web-a"), step="step 2 of 2: up to 100%", waiting="waiting for PodDisruptionBudget web"))
    lines.update(frame(2, view("web-a"), trouble="https://fake: the connection broke"))
    assert printed(capsys) == [
        "12:30:05Z  step 1 of 2: up to 10%",
        "12:30:05Z  step 2 of 2: up to 100%: waiting for PodDisruptionBudget web",
        "12:30:05Z  trouble: https://fake: the connection broke",
    ]


def test_a_failed_pod_is_told_with_its_failure(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a", "Restarting")))
    lines.update(frame(1, view("web-a", "Failed", "ImagePullBackOff: no \x1b[31msuch image")))
    assert printed(capsys)[1] == r"12:30:05Z  pod/web-a Failed: ImagePullBackOff: no \x1b[31msuch image"


def test_beside_json_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    LineProgress(err=True, utcnow=lambda: AT).update(frame(0, view("web-a", "Closing")))
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "12:30:05Z  pod/web-a Closing\n")


def test_what_only_ticks_is_told_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now in range(0, 120, 5):
        left = f"pausing for 2m, {120 - now}s left"
        lines.update(frame(now, view("web-a"), step="step 2 of 3: pause 2m", waiting=left, trouble=f"unseen for {now}s"))
    assert printed(capsys) == [
        "12:30:05Z  step 2 of 3: pause 2m: pausing for 2m, 120s left",
        "12:30:05Z  trouble: unseen for 0s",
    ]


def test_two_troubles_that_take_turns_are_told_once_each(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now in range(60):
        lines.update(frame(now, view("web-a"), trouble=("", "401 Unauthorized", "the lock is not renewed")[now % 3]))
    assert len(printed(capsys)) == 2
    lines.update(frame(100, view("web-a")))
    lines.update(frame(111, view("web-a"), trouble="401 Unauthorized"))
    assert printed(capsys) == ["12:30:05Z  trouble: 401 Unauthorized"]


def test_a_wait_without_frames_goes_on(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now in (0, 300, 600):
        lines.update(frame(now, view("web-a"), waiting="waiting for PodDisruptionBudget web"))
    assert printed(capsys) == ["12:30:05Z  waiting for PodDisruptionBudget web"]


def test_the_same_wait_in_another_step_is_told_again(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now, step in enumerate(("step 1 of 2: up to 10%", "step 2 of 2: up to 100%")):
        lines.update(frame(now, view("web-a"), step=step, waiting="waiting for PodDisruptionBudget web"))
    assert len(printed(capsys)) == 2


def test_a_reason_whose_seconds_tick_is_told_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now in range(40):
        lines.update(frame(now, view("web-a", "Restarting", f"stopping app, {now} s of at most 60 s")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Restarting: stopping app, 0 s of at most 60 s"]


def test_pods_that_come_back_together_are_counted_one_by_one(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a", "Returning"), view("web-b", "Returning"), view("web-c", "Updated"), view("web-d")))
    printed(capsys)
    lines.update(frame(1, view("web-a", "Updated"), view("web-b", "Updated"), view("web-c", "Updated"), view("web-d")))
    assert printed(capsys) == ["12:30:05Z  pod/web-a Updated (2 of 4)", "12:30:05Z  pod/web-b Updated (3 of 4)"]


def test_an_end_is_said_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    lines.update(frame(0, view("web-a"), run=run(outcome="Paused", message="paused by admin (root@vm)")))
    assert printed(capsys) == ["12:30:05Z  Paused by admin (root@vm)"]


def test_the_way_back_is_told_once(lines: LineProgress, capsys: pytest.CaptureFixture[str]) -> None:
    for now in range(3):
        lines.update(frame(now, view("web-a"), run=run(rollback_reason="Abort") if now else run()))
    assert printed(capsys) == ["12:30:05Z  going back to app=repo/app:2"]
