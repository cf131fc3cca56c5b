"""A key of the queue, from a new rollout to one that has expired: its run, its finalizer, its status and its end."""

from __future__ import annotations

from typing import Any

from inplace.model.constants import FINALIZER
from inplace.runtime.controller.syncer import SYNCING_SECONDS
from tests.unit.runtime.controller.bench import KEY, ControllerBench
from tests.unit.runtime.rollouts import PATH, create_rollout, set_status

ONE_STEP = {"steps": [{"pods": 1}, {"pause": {}}, {"pods": "100%"}]}


def create(bench: ControllerBench, **spec: Any) -> None:
    create_rollout(bench.world, drain={"settleSeconds": 1}, **spec)
    bench.world.wait(lambda: bench.informers.rollout(KEY) is not None)


def images(bench: ControllerBench) -> set[str]:
    return {pod.obj["spec"]["containers"][0]["image"] for pod in bench.world.pods()}


def test_a_rollout_is_carried_out_and_freed(bench: ControllerBench) -> None:
    create(bench)
    bench.sync_until("Succeeded")
    assert images(bench) == {"reg/app:2"}
    assert bench.listener.phases == ["Pending", "Progressing", "Succeeded"]
    assert not bench.rollout.metadata.finalizers


def test_nothing_is_done_unless_we_lead(bench: ControllerBench) -> None:
    create(bench)
    bench.fence.is_safe = False
    before = dict(bench.world.transport.requests)
    assert bench.syncer.sync(KEY) == SYNCING_SECONDS
    assert bench.world.transport.requests == before


def test_a_run_in_flight_keeps_its_rollout(bench: ControllerBench) -> None:
    create(bench)
    bench.world.wait(lambda: bench.syncer.sync(KEY) is not None and FINALIZER in (bench.rollout.metadata.finalizers or ()))
    bench.world.request("DELETE", f"{PATH}/up")
    bench.world.wait(lambda: bench.rollout.metadata.deletion_timestamp is not None)
    for _ in range(200):
        if bench.informers.rollout(KEY) is None:
            break
        bench.syncer.sync(KEY)
        bench.world.scheduler.run_for(0.5)
    assert bench.informers.rollout(KEY) is None
    assert bench.world.ready("web") == 2


def test_a_paused_rollout_goes_on_when_asked(bench: ControllerBench) -> None:
    create(bench, strategy={"maxUnavailable": 1, **ONE_STEP})
    bench.sync_until("Paused")
    assert images(bench) == {"reg/app:1", "reg/app:2"}
    body = {"metadata": {"annotations": {"inplace.dev/request": "resume"}}}
    bench.world.request("PATCH", f"{PATH}/up", body, "application/merge-patch+json")
    bench.world.scheduler.run_for(1)
    bench.sync_until("Succeeded")
    assert images(bench) == {"reg/app:2"}


def test_a_finished_rollout_is_deleted_after_its_time_to_live(bench: ControllerBench) -> None:
    create(bench, ttlSecondsAfterFinished=60)
    bench.sync_until("Succeeded")
    wait_seconds = bench.syncer.sync(KEY)
    assert wait_seconds is not None
    assert 50 < wait_seconds <= 60
    bench.world.scheduler.run_for(wait_seconds + 1)
    assert bench.syncer.sync(KEY) is None
    bench.world.scheduler.run_for(1)
    assert bench.informers.rollout(KEY) is None


def test_a_key_of_nothing_asks_for_nothing(bench: ControllerBench) -> None:
    assert bench.syncer.sync(("shop", "nothing")) is None


def test_a_rollout_that_finished_before_us_is_left_as_it_is(bench: ControllerBench) -> None:
    create(bench)
    set_status(bench.world, phase="Succeeded", observedGeneration=1)
    bench.world.scheduler.run_for(1)
    assert bench.syncer.sync(KEY) is None
    assert images(bench) == {"reg/app:1"}
