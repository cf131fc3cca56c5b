"""Which actions are on their way, which must wait, and what a lost answer means."""

from __future__ import annotations

import pytest

from inplace.engine.actions import CloseGate, RemoveRecord
from inplace.kube.errors import ConnectionFailed, Forbidden
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef
from inplace.runtime.informers.inbox import ActionCompleted
from inplace.runtime.run.action_tracker import UNCONFIRMED_SECONDS, ActionTracker
from tests.builders import facts, pod, record
from tests.unit.kube.fakes import FakeClock

REF = PodRef("shop", "web-a", "uid-web-a", "1")
CLOSE = CloseGate(REF, "inplace.dev/ready", UpgradeRecord(run="one", lease="l", from_images={}, to_images={}))
OBSERVED = {"uid-web-a": facts(pod("web-a"))}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tracker(clock: FakeClock) -> ActionTracker:
    return ActionTracker(clock)


def test_an_action_keeps_its_object_busy_until_it_ends(tracker: ActionTracker, clock: FakeClock) -> None:
    tracker.start(CLOSE)
    assert (tracker.is_idle, tracker.busy(clock.now), tracker.closing(clock.now, OBSERVED)) == (False, {CLOSE.key}, [CLOSE.key])
    tracker.end(CLOSE)
    tracker.succeed(ActionCompleted(CLOSE, None, clock.now))
    assert (tracker.is_idle, tracker.closing(clock.now, OBSERVED)) == (True, [])


def test_a_close_without_an_answer_counts_until_the_pod_shows_it(tracker: ActionTracker, clock: FakeClock) -> None:
    tracker.start(CLOSE)
    tracker.end(CLOSE)
    assert tracker.fail(CLOSE, ConnectionFailed("the answer was lost")) == 1
    assert tracker.closing(clock.now, OBSERVED) == [CLOSE.key]
    shown = {"uid-web-a": facts(pod("web-a", record=record()))}
    assert tracker.closing(clock.now, shown) == []


def test_a_close_without_an_answer_is_forgotten_after_a_while(tracker: ActionTracker, clock: FakeClock) -> None:
    tracker.start(CLOSE)
    tracker.end(CLOSE)
    tracker.fail(CLOSE, ConnectionFailed("the answer was lost"))
    clock.now += UNCONFIRMED_SECONDS + 1
    assert tracker.closing(clock.now, OBSERVED) == []


def test_a_refused_close_was_not_done(tracker: ActionTracker, clock: FakeClock) -> None:
    tracker.start(CLOSE)
    tracker.end(CLOSE)
    tracker.fail(CLOSE, Forbidden("you may not", status=403))
    assert tracker.closing(clock.now, OBSERVED) == []


def test_a_refused_action_waits_longer_each_time(tracker: ActionTracker, clock: FakeClock) -> None:
    remove = RemoveRecord(REF)
    waits = []
    for times in (1, 2, 3):
        assert tracker.fail(remove, ConnectionFailed("no answer")) == times
        (retry_at,) = tracker.retry_times(clock.now)
        assert remove.key in tracker.busy(clock.now)
        waits.append(retry_at - clock.now)
        clock.now = retry_at + 0.001
        assert remove.key not in tracker.busy(clock.now)
    assert waits[0] < waits[1] < waits[2]
