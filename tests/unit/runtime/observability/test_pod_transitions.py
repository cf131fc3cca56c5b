"""What is new about pods from one frame to the next: each news once, and none that an earlier process told."""

from __future__ import annotations

import msgspec

from inplace.engine.planning.plan import Plan, PodProgress, Shows
from inplace.model.run import PodFailure
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.pod_transitions import PodTransition, PodTransitions
from tests.builders import observed, run

FAILED = PodFailure(pod="a", uid="u-a", reason="ImagePullBackOff", message="no such image")


def frame(now: float, *failures: PodFailure, **stages: Shows) -> Frame:
    pods = tuple(PodProgress(name=n, uid=f"u-{n}", node="", stage=s, reason="", image="app:2") for n, s in stages.items())
    return Frame(observed(), Plan(msgspec.structs.replace(run(), failures=failures), pods=pods), {}, now, "")


def told(news: list[PodTransition]) -> list[tuple[str, str | None, tuple[Shows, float] | None]]:
    return [(each.name, each.reason, each.left) for each in news]


def test_each_stage_that_is_left_is_told_with_its_length() -> None:
    transitions = PodTransitions()
    assert transitions.add_frame(frame(0.0, a="Pending")) == []
    assert told(transitions.add_frame(frame(1.0, a="Closing"))) == [("a", "PodClosed", None)]
    assert transitions.add_frame(frame(2.0, a="Closing")) == []
    assert told(transitions.add_frame(frame(4.0, a="Restarting"))) == [("a", None, ("Closing", 3.0))]
    assert told(transitions.add_frame(frame(9.0, a="Updated"))) == [("a", "PodUpgraded", ("Restarting", 5.0))]
    assert transitions.add_frame(frame(10.0, a="Updated")) == []


def test_a_process_that_comes_in_the_middle_repeats_nothing() -> None:
    transitions = PodTransitions()
    assert transitions.add_frame(frame(0.0, FAILED, a="Failed", b="Closing")) == []
    assert told(transitions.add_frame(frame(2.0, FAILED, a="Failed", b="Restarting"))) == [("b", None, ("Closing", 2.0))]


def test_a_failure_is_told_once_as_a_warning() -> None:
    transitions = PodTransitions()
    transitions.add_frame(frame(0.0, a="Restarting"))
    news = transitions.add_frame(frame(1.0, FAILED, a="Failed"))
    (failed,) = [each for each in news if each.reason == "PodFailed"]
    assert (failed.event_type, failed.note) == ("Warning", "ImagePullBackOff: no such image")
    reference = failed.reference("shop")
    assert (reference.kind, reference.name, reference.uid) == ("Pod", "a", "u-a")
    assert transitions.add_frame(frame(2.0, FAILED, a="Failed")) == []
