"""A rollout's view of its target, and the inbox that enqueues it."""

from __future__ import annotations

from inplace.engine.runs.rollouts import run_from_rollout
from inplace.runtime.controller.context import EnqueueingInbox, RolloutView
from inplace.runtime.informers.inbox import CacheChanged
from inplace.runtime.lookup import resolve_target
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.controller.bench import KEY, ControllerBench
from tests.unit.runtime.rollouts import create_rollout


def test_events_before_the_debounce_ends_are_handled_together() -> None:
    clock, waits = FakeClock(), list[float]()
    inbox = EnqueueingInbox(clock, waits.append)
    inbox.put(CacheChanged())
    inbox.debounce_until = clock.now + 3.0
    inbox.put(CacheChanged())
    clock.now += 5.0
    inbox.put(CacheChanged())
    assert waits == [0.0, 3.0, 0.0]
    assert [at for at, _ in inbox.take()] == [1000.0, 1000.0, 1005.0]
    assert inbox.take() == []


def test_a_view_follows_its_pods_until_it_is_closed(bench: ControllerBench) -> None:
    create_rollout(bench.world)
    bench.world.wait(lambda: bench.informers.rollout(KEY) is not None)
    run, enqueued = run_from_rollout(bench.rollout), list[float]()
    target = resolve_target(bench.world.api, run.target)
    view = RolloutView(bench.world.api, bench.informers.in_namespace("shop"), run, target, enqueued.append)
    names = {pod.name for pod in bench.world.pods()}
    assert {facts.pod.name for facts in view.snapshot_for(run).pods} == names

    enqueued.clear()
    gone = sorted(names)[0]
    bench.world.request("DELETE", bench.world.path("", "pods", gone))
    bench.world.scheduler.run_for(60)
    assert enqueued
    view.drain_inbox()
    assert gone not in {facts.pod.name for facts in view.snapshot().pods}

    view.close()
    enqueued.clear()
    bench.world.request("DELETE", bench.world.path("", "pods", sorted(names)[1]))
    bench.world.scheduler.run_for(60)
    assert enqueued == []
