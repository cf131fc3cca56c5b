"""An action is performed under the lock, which is asked at the last moment: a write may have waited long for its turn."""

from __future__ import annotations

import pytest

from inplace.engine.actions import Action, CloseGate, ListPods, RemoveRecord
from inplace.kube.errors import ConnectionFailed
from inplace.kube.limiter import RateLimiter
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef, TargetRef
from inplace.model.run import Run
from inplace.runtime.informers.inbox import ActionCompleted, ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import RENEW_DEADLINE_SECONDS, TargetLock
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.workers import perform
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api

TARGET = TargetRef("Deployment", "shop", "web")
RECORD = UpgradeRecord(run="one", lease="l", from_images={}, to_images={})
CLOSE = CloseGate(PodRef("shop", "web-1", "u-1", "1"), "inplace.dev/ready", RECORD)
POD = "/api/v1/namespaces/shop/pods/web-1"


class World:
    """A lock that was renewed just now, and a flow in which the next request waits for its turn."""

    def __init__(self, turn_seconds: float) -> None:
        self.server, self.clock = Server(), FakeClock()
        self.server.put(POD, {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"}})
        client = api(self.server, self.clock)
        self.lock = TargetLock(client, TARGET, None, "me")
        self.lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
        limiter = RateLimiter(self.clock, qps=1.0, burst=1)
        while limiter.reserve() < turn_seconds - 1.0:
            pass
        watches = TargetInformers(client, ThreadInbox(self.clock), TARGET, "app=web", "lease")
        self.executor = Executor(client.replace(limiter=limiter), "shop", watches)
        self.server.requests.clear()

    def perform(self, action: Action) -> ActionCompleted:
        event = perform(self.executor, self.lock, self.clock, action)
        assert isinstance(event, ActionCompleted)
        return event


def test_a_write_whose_turn_comes_in_time_goes_out() -> None:
    world = World(RENEW_DEADLINE_SECONDS - 1)
    assert world.perform(CLOSE).error is None
    assert len(world.server.writes) == 1


@pytest.mark.parametrize("action", [CLOSE, RemoveRecord(CLOSE.pod)])
def test_a_write_whose_turn_comes_too_late_is_not_sent(action: Action) -> None:
    """When it was handed over the lock was safe."""
    world = World(RENEW_DEADLINE_SECONDS)
    assert world.lock.is_safe
    event = world.perform(action)
    assert isinstance(event.error, ConnectionFailed)
    assert str(event.error) == "not sent: the lock was not renewed in time"
    assert world.server.writes == []


def test_reads_need_no_lock() -> None:
    world = World(RENEW_DEADLINE_SECONDS)
    world.perform(ListPods())
    assert [request.method for request in world.server.requests] == ["GET"]
