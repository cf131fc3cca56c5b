"""Whatever the cluster does, in whatever order: the rules of the design hold, and the run ends."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from inplace.engine.observed import Observed
from inplace.engine.plan import Plan
from inplace.engine.preflight import NoChange, preflight
from inplace.engine.resume import Begin, StillPaused, decide, resume
from inplace.model.quantity import share_of
from inplace.model.run import OnFailure, Options, Pause, Run, Share, Step
from tests.builders import LEASE, NEW, OLD, run
from tests.properties.orchestrator import Lease, Orchestrator
from tests.properties.world import PROBES, TruePod, World

LONGEST_SECONDS = 4000.0
STEPS: tuple[tuple[Step, ...], ...] = (
    (Share(amount="100%"),),
    (Share(amount="10%"), Pause(seconds=20.0), Share(amount="50%"), Pause(), Share(amount="100%")),
    (Share(amount=1), Pause(), Share(amount="33%"), Pause(seconds=1.0), Share(amount="100%")),
)


class Scenario(msgspec.Struct, frozen=True):
    seed: int
    replicas: int
    limit: int
    steps: tuple[Step, ...] = STEPS[0]
    settle: float = 1.0
    min_ready: float = 0.0
    probe: str = "readiness"
    bad: bool = False
    on_failure: OnFailure = "pause"
    lag: float = 0.2
    slice_lag: float = 0.0
    """How much later than pods slices are seen."""
    faults: float = 0.0
    slowness: float = 1.0
    deaths: tuple[float, ...] = ()
    """When the orchestrator is killed."""
    deleted: tuple[float, ...] = ()
    scaled: tuple[tuple[float, int], ...] = ()
    crashed: tuple[float, ...] = ()
    paused: bool = False
    """By the user, before we came."""
    twin: bool = False

    @property
    def is_disturbed(self) -> bool:
        return bool(self.deleted or self.scaled or self.crashed)


def instants(most: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(st.floats(0.1, 90.0).map(lambda x: round(x, 2)), max_size=most).map(lambda xs: tuple(sorted(xs)))


SCENARIOS = st.builds(
    Scenario,
    seed=st.integers(0, 1 << 30),
    replicas=st.integers(1, 7),
    limit=st.integers(1, 3),
    steps=st.sampled_from(STEPS),
    settle=st.sampled_from([0.0, 1.0, 5.0]),
    min_ready=st.sampled_from([0.0, 0.0, 4.0]),
    probe=st.sampled_from(sorted(PROBES)),
    lag=st.sampled_from([0.0, 0.3, 5.0]),
    slice_lag=st.sampled_from([0.0, 0.0, 15.0]),
    faults=st.sampled_from([0.0, 0.3]),
    slowness=st.sampled_from([1.0, 1.0, 3.0]),
    deaths=instants(2),
    paused=st.booleans(),
    twin=st.booleans(),
)
DISTURBED = st.builds(
    msgspec.structs.replace,
    SCENARIOS,
    deleted=instants(2),
    scaled=st.lists(st.tuples(st.floats(0.1, 90.0).map(lambda x: round(x, 2)), st.integers(1, 8)), max_size=2).map(tuple),
    crashed=instants(2),
)
BAD = st.builds(
    msgspec.structs.replace, SCENARIOS, bad=st.just(True), on_failure=st.sampled_from(["pause", "rollback", "continue"])
)


class Story:
    """One upgrade from its first look to its last, through deaths and pauses."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = s = scenario
        self.rng = random.Random(s.seed)
        self.world = World(self.rng, s.replicas, (OLD["app"], NEW["app"]), s.probe, s.bad, s.slowness)
        self.world.budget, self.world.settle, self.world.paused = s.limit, s.settle, s.paused
        self.world.seen_paused = s.paused
        self.world.hidden = 10.0 + 8.0 * s.slowness + 2 * (s.lag + s.slice_lag)
        if s.twin:
            self.world.add_older_twin()
        options = Options(
            max_unavailable=s.limit,
            steps=s.steps,
            settle_seconds=s.settle,
            min_ready_seconds=s.min_ready,
            on_failure=s.on_failure,
            drain_timeout_seconds=120.0,
        )
        self.asked = run(options, paused=scenario.paused)
        self.lease = Lease(self.asked)
        self.first = {p.uid for p in self.world.pods.values()}
        self.plans = 0
        self.pauses: list[int] = []
        self.outcomes: list[str] = []
        self.process = self.begin()
        for at in s.deaths:
            self.world.after(at, self.die)
        for at in s.deleted:
            self.later(at, lambda: self.world.delete(self.anyone()) if self.world.pods else None)
        for at, replicas in s.scaled:
            self.later(at, functools.partial(self.world.scale, replicas))
        for at in s.crashed:
            self.later(at, lambda: self.world.crash(self.anyone()) if self.world.pods else None)

    def later(self, at: float, act: Callable[[], None]) -> None:
        """Unless the run is over by then."""
        self.world.after(at, lambda: None if self.process.finished else act())

    def anyone(self) -> TruePod:
        return self.rng.choice(list(self.world.pods.values()))

    def begin(self) -> Orchestrator:
        process = Orchestrator(
            self.world, self.lease, self.rng, self.scenario.lag, self.scenario.faults, self.scenario.slice_lag
        )
        process.on_plan = self.check
        return process

    def die(self) -> None:
        """Killed, and started again when its Lease has run out."""
        if self.process.alive and not self.process.finished:
            self.process.crash()
            self.world.after(15.0, self.again)

    def again(self) -> None:
        decision = decide(self.lease.run, self.asked, {})
        if isinstance(decision, StillPaused):
            decision = resume(self.lease.run)
        assert isinstance(decision, Begin)
        self.lease.run = decision.run
        self.process = self.begin()

    def play(self) -> Run:
        """Until the run is over and nothing happens any more; a pause made by hand is resumed after ten seconds."""
        world = self.world
        over: float | None = None
        while world.step(LONGEST_SECONDS if over is None else over + 60.0):
            self.look_at_truth()
            if not self.process.finished:
                over = None
            elif over is None:
                over = world.now
                self.outcomes.append(self.lease.run.outcome or "")
                if self.lease.run.outcome == "Paused":
                    self.process.crash()
                    world.after(10.0, self.again)
        return self.lease.run

    def look_at_truth(self) -> None:
        world = self.world
        if not self.scenario.is_disturbed and world.unavailable() > self.scenario.limit:
            world.say(f"{world.unavailable()} pods are unavailable, {self.scenario.limit} may be")

    def check(self, observed: Observed, made: Plan) -> None:
        self.plans += 1
        assert self.plans < 20_000, "does not come to rest"
        steps, here = made.run.options.steps, made.run.steps_passed
        if self.scenario.is_disturbed or made.run.rolling_back or here >= len(steps) or not isinstance(steps[here], Pause):
            return
        before = steps[here - 1]
        assert isinstance(before, Share)
        wanted = before.amount if isinstance(before.amount, int) else share_of(int(before.amount[:-1]), self.scenario.replicas)
        updated = sum(p.runs == NEW["app"] and p.ready and p.record is None for p in self.world.pods.values())
        touched = sum(p.record is not None or p.image == NEW["app"] for p in self.world.pods.values())
        self.pauses.append(updated)
        if made.progress.updated > wanted and here > 1:
            return  # an earlier step asked for more
        if updated != wanted or touched != wanted:
            self.world.say(f"{updated} pods updated and {touched} touched at a pause after {before.amount}, {wanted} wanted")


def holds(story: Story) -> None:
    assert story.world.violations == []


@given(SCENARIOS)
def test_every_upgrade_ends_done_with_nothing_more_to_do(scenario: Scenario) -> None:
    story = Story(scenario)
    ended = story.play()
    holds(story)
    assert ended.outcome == "Succeeded", ended
    everything_is_new(story)
    assert {p.uid for p in story.world.pods.values()} == story.first
    assert all(p.patches == [NEW["app"]] for p in story.world.pods.values())
    nothing_more(story)


@given(DISTURBED)
def test_deletions_scalings_and_crashes_in_the_middle_change_nothing_of_that(scenario: Scenario) -> None:
    story = Story(scenario)
    ended = story.play()
    holds(story)
    assert ended.outcome == "Succeeded", ended
    everything_is_new(story)
    nothing_more(story)


@given(BAD)
def test_a_bad_image_costs_at_most_the_budget(scenario: Scenario) -> None:
    story = Story(scenario)
    ended = story.play()
    holds(story)
    assert ended.outcome == ("RolledBack" if ended.rolling_back else "Failed"), ended
    assert not any(p.runs == NEW["app"] for p in story.world.pods.values())
    assert {p.uid for p in story.world.pods.values()} == story.first
    if scenario.on_failure == "rollback":
        assert all(p.runs == OLD["app"] and p.record is None and story.world.serves(p) for p in story.world.pods.values())


def everything_is_new(story: Story) -> None:
    world = story.world
    assert len(world.pods) == world.replicas
    assert all(world.serves(p) and p.runs == NEW["app"] and p.record is None for p in world.pods.values())
    assert world.template == world.sets["web-1"]["image"] == NEW["app"]
    assert world.paused == story.scenario.paused
    assert sorted(rs["revision"] for rs in world.sets.values()) == [2, 3]
    assert world.sets["web-1"]["revision"] == 3


def nothing_more(story: Story) -> None:
    process = story.process
    assert process.alive
    assert isinstance(preflight(process.observed(), story.asked, LEASE, resuming=False), NoChange)
    again = Orchestrator(story.world, Lease(story.asked), story.rng, 0.0, 0.0)
    until = story.world.now + 60
    while story.world.step(until):
        pass
    assert again.finished is not None
    assert again.writes == []
