"""Events happen in order, and the same seed is the same story."""

from inplace.sim.clock import EventLoop
from tests.unit.sim.support import Client


def test_events_happen_by_instant_then_in_order_of_creation() -> None:
    scheduler, seen = EventLoop(), []
    for name, at in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        scheduler.at(at, lambda name=name: seen.append((name, scheduler.now)))  # type: ignore[misc]
    scheduler.run_for(5)
    assert seen == [("first", 1.0), ("second", 1.0), ("late", 2.0)]
    assert scheduler.now == 5.0


def test_a_cancelled_event_never_happens_and_is_not_the_next() -> None:
    scheduler, seen = EventLoop(), []
    timer = scheduler.after(1, lambda: seen.append("no"))
    scheduler.after(2, lambda: seen.append("yes"))
    timer.cancel()
    assert scheduler.next_at == 2.0
    scheduler.run_for(3)
    assert seen == ["yes"]


def test_an_event_in_the_past_happens_now_and_time_never_returns() -> None:
    scheduler = EventLoop()
    scheduler.run_for(10)
    scheduler.at(3, lambda: None)
    assert scheduler.next_at == 10.0
    scheduler.run_next()
    assert scheduler.now == 10.0
    assert not scheduler.run_next()


def test_timestamps_are_of_the_scheduler() -> None:
    scheduler = EventLoop()
    scheduler.run_for(61.5)
    assert scheduler.stamp() == "2026-01-01T00:01:01Z"
    assert scheduler.micro_stamp() == "2026-01-01T00:01:01.500000Z"
    assert scheduler.stamp_after(30) == "2026-01-01T00:01:31Z"


def _story(seed: int) -> list[tuple[str, str]]:
    client = Client(seed)
    client.service()
    client.deployment(replicas=4)
    client.run(3)
    client.set_image("deployments/web", "reg/app:2")
    client.run(10)
    return [(pod["metadata"]["name"], pod["metadata"]["resourceVersion"]) for pod in client.all("pods")]


def test_the_same_seed_is_the_same_story() -> None:
    assert _story(1) == _story(1)
    assert _story(1) != _story(2)
