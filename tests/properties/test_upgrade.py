"""Whatever happens, in whatever order: the promises hold, and the run ends with nothing more to do for anybody.

The unmodified product in the embedded cluster. `INPLACE_HYPOTHESIS=thorough` plays thousands of scenarios.
"""

from __future__ import annotations

from hypothesis import example, given

from tests.properties.scenario_run import ScenarioRun
from tests.properties.scenarios import App, Asked, Container, Death, Incident, Network, Scenario, bad, calm, disturbed


@given(calm())
def test_every_upgrade_ends_done_with_nothing_more_to_do(scenario: Scenario) -> None:
    story = ScenarioRun(scenario)
    ended = story.play()
    assert ended in ("Succeeded", "AlreadyDone"), (ended, story.outcomes, story.last_result)
    assert {pod.uid for pod in story.world.pods()} == story.first
    comes_to_rest(story)


LATE_CRASH = Scenario(
    seed=62201,
    app=App(replicas=1),
    asked=Asked(max_unavailable=1, settle_seconds=0.0),
    network=Network(0.5, 5.0, 0.0, 0.0),
    incidents=(Incident(0.25, "crash", 1),),
)
"""The dry runs once gave up before the watch, 5 s late, showed that a container had crashed meanwhile."""


@given(disturbed())
@example(LATE_CRASH)
def test_what_others_do_in_the_middle_changes_nothing_of_that(scenario: Scenario) -> None:
    story = ScenarioRun(scenario)
    ended = story.play()
    assert ended in ("Succeeded", "AlreadyDone"), (ended, story.outcomes, story.last_result)
    comes_to_rest(story)


LATE_PROBE = Scenario(
    seed=299202,
    app=App(replicas=5, containers=(Container("startup"),), budget=1, kind="StatefulSet", is_parallel=True),
    asked=Asked(max_unavailable=1, settle_seconds=0.0, on_failure="rollback", tag="mute"),
    network=Network(0.005, 0.0, 5.0, 0.3, slices_behind_seconds=8.0),
    deaths=(Death(write=1, is_performed=False),),
)
"""The embedded kubelet once killed the container that had just come back, for the last failure of the one before."""


BACK_AFTER_A_DEATH = Scenario(
    seed=0,
    app=App(replicas=1, containers=(Container("startup"),), services=1, kind="ReplicaSet"),
    asked=Asked(max_unavailable=1, settle_seconds=0.0, on_failure="rollback", tag="mute"),
    network=Network(0.005, 0.0, 0.0, 0.0),
    deaths=(Death(write=8, is_performed=False),),
)
"""The way back was once given up at once: it was charged with the time of the restart that a process before had begun."""


@given(bad())
@example(LATE_PROBE)
@example(BACK_AFTER_A_DEATH)
def test_a_bad_image_costs_the_budget_at_most_and_can_be_aborted(scenario: Scenario) -> None:
    story = ScenarioRun(scenario)
    ended = story.play()
    back = scenario.asked.on_failure == "rollback"
    assert ended == ("RolledBack" if back else "Failed"), (ended, story.outcomes, story.last_result)
    assert len(story.judge.got_bad) <= story.limit()
    story.tag = "1"
    if not back:
        ended = story.play()
        assert ended in ("Succeeded", "AlreadyDone"), (ended, story.outcomes, story.last_result)
    assert {pod.uid for pod in story.world.pods()} == story.first
    comes_to_rest(story)


def comes_to_rest(story: ScenarioRun) -> None:
    story.free()
    story.world.scheduler.run_for(10)
    story.workload.check_goal(story.tag)
    story.is_quiet()
    story.is_done_again()
    assert story.verdict() == []
