"""Looking on at a run: over at once where it has ended, until its end where it goes on, and left by a person without harm."""

from __future__ import annotations

import pytest

from inplace.model.run import PauseStep, PodsStep, StopRequest
from inplace.runtime.foreground.followed_run import FinishedUnseen, LeaseRun
from inplace.runtime.foreground.follower import Follower, FollowInterrupted
from inplace.runtime.foreground.session import Session
from inplace.runtime.observability.frames import Frame
from tests.simulation.simulated_cluster import SimulatedCluster


def follower(session: Session, frames: list[Frame]) -> Follower:
    view = session.view
    return Follower(view, LeaseRun(view.api, view.target, session.notify), frames.append)


@pytest.fixture
def app(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=2)
    return world


def test_a_run_that_has_ended_shows_no_frame(app: SimulatedCluster) -> None:
    app.upgrade("web", {"app": "reg/app:2"})
    frames: list[Frame] = []
    with app.session("web") as session:
        assert follower(session, frames).follow() == FinishedUnseen("Succeeded", "")
    assert frames == []


def test_a_paused_run_is_shown_until_a_person_leaves(app: SimulatedCluster) -> None:
    app.upgrade("web", {"app": "reg/app:2"}, steps=(PodsStep(1), PauseStep(), PodsStep("100%")))
    frames: list[Frame] = []
    with app.session("web") as session:
        app.scheduler.after(5, lambda: session.request_stop(StopRequest("Interrupted", "interrupted")))
        with pytest.raises(FollowInterrupted, match="interrupted; the run goes on in the cluster"):
            follower(session, frames).follow()
    progress = frames[-1].plan.progress
    assert (progress.desired, progress.updated, frames[-1].plan.run.outcome) == (2, 1, "Paused")


def test_a_person_who_leaves_before_a_run_leaves_it_queued(app: SimulatedCluster) -> None:
    with app.session("web") as session:
        session.request_stop(StopRequest("Interrupted", "interrupted"))
        with pytest.raises(FollowInterrupted, match="the run has not begun, and stays queued"):
            follower(session, []).follow()
