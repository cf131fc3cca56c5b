"""How long still: from the pods of the run that were seen from beginning to end, and from nothing else."""

import pytest

from inplace.cli.progress.forecast import Ahead, Forecast
from inplace.engine.planning.plan import PodProgress
from inplace.engine.pods.stages import Stage
from inplace.model.run import RunOptions, parse_steps
from inplace.runtime.observability.frames import Frame
from tests.builders import run
from tests.cli.frames import frame, view

EACH_SECONDS = 10.0


def pods(updated: int, flying: int, count: int = 10, stage: Stage = "Settling") -> list[PodProgress]:
    def of(i: int) -> Stage:
        return "Updated" if i < updated else stage if i < updated + flying else "Pending"

    return [view(f"web-{i}", of(i)) for i in range(count)]


def shown(now: float, updated: int, flying: int, steps: str = "100%", **of_run: object) -> Frame:
    return frame(now, *pods(updated, flying), run=run(RunOptions(steps=parse_steps(steps)), **of_run))


def seen(*frames: Frame) -> Forecast:
    forecast = Forecast()
    for each in frames:
        forecast.update(each)
    return forecast


def test_nothing_is_said_before_the_first_pod_is_done() -> None:
    last = shown(5, 0, 2)
    assert seen(shown(0, 0, 0), last).ahead(last, 5) is None


def test_what_is_left_goes_as_what_has_gone_two_at_a_time() -> None:
    last = shown(10, 2, 2)
    forecast = seen(shown(0, 0, 0), shown(0, 0, 2), last)
    assert forecast.ahead(last, 10) == Ahead(4 * EACH_SECONDS, to_pause=False)
    assert forecast.ahead(last, 15) == Ahead(3.5 * EACH_SECONDS, to_pause=False)


def test_a_pod_that_was_in_flight_before_we_looked_measures_nothing() -> None:
    last = shown(3, 2, 2)
    assert seen(shown(0, 0, 2), last).ahead(last, 3) is None


@pytest.mark.parametrize(
    ("steps", "passed", "wanted"),
    [
        ("40%,pause,100%", 0, Ahead(EACH_SECONDS, to_pause=True)),
        ("40%,pause:1m,100%", 0, Ahead(4 * EACH_SECONDS + 60, to_pause=False)),
        ("20%,pause,100%", 1, None),
        ("20%,pause,100%", 2, Ahead(4 * EACH_SECONDS, to_pause=False)),
    ],
)
def test_pauses_on_the_way(steps: str, passed: int, wanted: Ahead | None) -> None:
    last = shown(10, 2, 2, steps, steps_passed=passed)
    assert seen(shown(0, 0, 0, steps), shown(0, 0, 2, steps), last).ahead(last, 10) == wanted


def test_a_run_that_stands_has_nothing_ahead() -> None:
    last = shown(10, 2, 0, outcome="Paused")
    assert seen(shown(0, 0, 0), shown(0, 0, 2), last).ahead(last, 10) is None


def test_another_run_is_measured_anew() -> None:
    last = shown(20, 2, 2, id="another")
    assert seen(shown(0, 0, 0), shown(0, 0, 2), shown(10, 2, 2), last).ahead(last, 20) is None
