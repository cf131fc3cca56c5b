"""What whoever takes a run over makes of the instants that were written down before, whatever the clocks say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.waits import FRESH_SECONDS, REMEMBERED_AFTER_SECONDS, Carried, carried, remembered
from inplace.engine.pods.evidence import update_evidence
from inplace.engine.pods.proof import NotYet, Proven, readiness_proof, steady_before, steady_now
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.kube.clock import format_time, seconds_since
from inplace.model.objects.pods import Pod
from inplace.model.record import UpgradeRecord
from inplace.model.run import PauseStep, PodsStep, Run, RunOptions
from tests.builders import NEW, facts, patched, pod, run, status

NOW = 1000.0
WALL = datetime(2026, 11, 28, 12, tzinfo=UTC)
STEPS = (PodsStep(1), PauseStep(600.0), PodsStep("100%"))


def ago(seconds: float) -> str:
    return format_time(WALL - timedelta(seconds=seconds))


def taken_over(what: Run, *pods: ObservedPod, min_ready: float = 0.0, skew: float = 0.0) -> Carried:
    """By a process whose wall clock is so much ahead."""
    wall = WALL + timedelta(seconds=skew)
    return carried(what, pods, min_ready, NOW, lambda at: seconds_since(at, wall) or 0.0)


def pausing(since: str = "", *, passed: int = 1) -> Run:
    waits = {f"pause/{passed}": since} if since else {}
    return msgspec.structs.replace(run(RunOptions(steps=STEPS)), steps_passed=passed, waits=waits)


class TestPauses:
    def test_one_goes_on_from_when_it_began(self) -> None:
        assert taken_over(pausing(ago(500))).timers == {"pause/1": NOW - 500}

    @pytest.mark.parametrize("at", [ago(-3600), "", "yesterday", "2026-11-28T99:00:00Z"])
    def test_an_instant_that_lies_ahead_or_is_garbage_has_not_passed(self, at: str) -> None:
        assert taken_over(msgspec.structs.replace(pausing(), waits={"pause/1": at})).timers == {"pause/1": NOW}

    @given(st.floats(-1e9, 1e9), st.floats(0, 1e6))
    def test_no_clock_makes_one_longer_than_itself(self, skew: float, passed: float) -> None:
        (began,) = taken_over(pausing(ago(passed)), skew=skew).timers.values()
        assert began <= NOW

    @given(st.integers(-3600, 3600), st.integers(3600, 10**6))
    def test_clocks_that_differ_shift_it_by_as_much(self, skew: int, passed: int) -> None:
        (began,) = taken_over(pausing(ago(passed)), skew=skew).timers.values()
        assert NOW - began == passed + skew

    def test_it_is_written_down_once_with_the_step(self) -> None:
        first = written(pausing(), "pause/1")
        assert first.waits == {"pause/1": ago(0)}
        assert written(first, "pause/1", began=NOW - 5, at=ago(-5)).waits == first.waits

    def test_an_instant_ahead_of_ours_is_put_right_by_who_comes(self) -> None:
        assert written(pausing(ago(-60)), "pause/1").waits == {"pause/1": ago(0)}
        assert written(pausing(ago(-60)), "pause/1", began=NOW - 5).waits == {"pause/1": ago(-60)}, "ours has begun: it counts"

    def test_it_goes_with_its_step(self) -> None:
        assert written(msgspec.structs.replace(pausing(ago(9)), steps_passed=2)).waits == {}

    def test_it_stays_while_the_run_stands_for_another_reason_too(self) -> None:
        assert written(pausing(ago(9))).waits == {"pause/1": ago(9)}


class TestBlocked:
    def test_a_lasting_block_is_stored_and_forgotten_afterwards(self) -> None:
        begun = run()
        early = written(begun, "run/blocked", began=NOW - REMEMBERED_AFTER_SECONDS + 1)
        assert early.waits == {}
        late = written(begun, "run/blocked", began=NOW - REMEMBERED_AFTER_SECONDS)
        assert late.waits == {"run/blocked": ago(0)}
        assert written(late).waits == {}

    @pytest.mark.parametrize(("passed", "left"), [(10, 290), (200, 100), (299, FRESH_SECONDS), (10**6, FRESH_SECONDS)])
    def test_it_goes_on_and_leaves_time_to_look(self, passed: float, left: float) -> None:
        what = msgspec.structs.replace(run(), waits={"run/blocked": ago(passed)})
        assert taken_over(what).timers == {"run/blocked": NOW + left - 300}


class TestRestarts:
    def patched_ago(self, seconds: float) -> ObservedPod:
        return facts(pod(images=NEW, record=msgspec.structs.replace(patched(), patched_at=ago(seconds))))

    def test_the_old_container_has_its_grace_period_before(self) -> None:
        timers = taken_over(run(), self.patched_ago(130)).timers
        assert timers == {"uid-web-a/stop": NOW - 130, "uid-web-a/restart": NOW - 100}

    def test_a_deadline_leaves_time_to_look(self) -> None:
        timers = taken_over(run(), self.patched_ago(10**6), min_ready=20).timers
        assert timers["uid-web-a/restart"] == NOW - (300 + 20 - FRESH_SECONDS)

    def test_a_record_of_an_older_version_says_nothing(self) -> None:
        assert taken_over(run(), facts(pod(images=NEW, record=patched()))).timers == {}


READY = "2026-11-28T11:00:00Z"


def steady_pod(turned_at: str = READY, container: str = "c2", ready: str = "True") -> Pod:
    made = pod(images=NEW, generation=2, observed=2, statuses=[status("app", container, NEW["app"], "sha-2")])
    conditions = tuple(
        msgspec.structs.replace(c, status=ready, last_transition_time=turned_at) if c.type == "ContainersReady" else c
        for c in made.status.conditions or ()
    )
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, conditions=conditions))


def recorded(what: Pod, since: str = "") -> UpgradeRecord:
    return steady_now(facts(what), patched("c1", "sha-1"), since or ago(100))


class TestMinReady:
    def test_it_goes_on(self) -> None:
        what = facts(steady_pod())
        what = msgspec.structs.replace(what, record=recorded(what.pod))
        assert taken_over(run(), what).steady == {what.uid: NOW - 100}

    @pytest.mark.parametrize("now", [steady_pod("2026-11-28T11:00:01Z"), steady_pod(container="c3"), steady_pod(ready="False")])
    def test_min_ready_of_another_container_or_turn_does_not_count(self, now: Pod) -> None:
        what = msgspec.structs.replace(facts(now), record=recorded(steady_pod()))
        assert not steady_before(what, what.record)
        assert taken_over(run(), what).steady == {}

    def test_evidence_of_it_ends_with_a_turn(self) -> None:
        seen = Evidence(steady_since=NOW - 100)
        before = msgspec.structs.replace(facts(steady_pod()), record=recorded(steady_pod()))
        assert update_evidence(seen, before, frozenset(), NOW).steady_since == NOW - 100
        after = msgspec.structs.replace(facts(steady_pod("later")), record=before.record)
        assert update_evidence(seen, after, frozenset(), NOW).steady_since is None

    @pytest.mark.parametrize(("min_ready", "proof"), [(100.0, Proven), (101.0, NotYet)])
    def test_it_counts_for_min_ready_alone(self, min_ready: float, proof: type) -> None:
        what = facts(steady_pod())
        seen = Evidence(running_since={"c2": NOW - 5}, containers_ready_since=NOW - 5, steady_since=NOW - 100)
        assert isinstance(readiness_proof(what, recorded(what.pod), seen, min_ready, NOW), proof)


def written(what: Run, *named: str, began: float | None = None, at: str = "") -> Run:
    timers = {} if began is None else dict.fromkeys(named, began)
    return remembered(Plan(what, timers=frozenset(named)), timers, NOW, at or ago(0)).run
