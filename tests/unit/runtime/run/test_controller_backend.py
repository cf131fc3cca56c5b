"""Real threads perform the actions of all runs of a controller."""

from __future__ import annotations

from queue import SimpleQueue

from inplace.engine.actions import CloseGate
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef, TargetRef
from inplace.model.run import Run
from inplace.runtime.informers.inbox import ActionCompleted, RunEvent, ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.run.backend import ThreadControllerBackend
from inplace.runtime.run.executor import Executor
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api

TARGET = TargetRef("Deployment", "shop", "web")
RECORD = UpgradeRecord(run="one", lease="l", from_images={}, to_images={})
CLOSE = CloseGate(PodRef("shop", "web-1", "u-1", "1"), "inplace.dev/ready", RECORD)


def test_an_action_is_performed_and_shutdown_waits_for_it() -> None:
    server, clock = Server(), FakeClock()
    server.put("/api/v1/namespaces/shop/pods/web-1", {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"}})
    client = api(server, clock)
    lock = TargetLock(client, TARGET, None, "me")
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    executor = Executor(client, "shop", TargetInformers(client, ThreadInbox(clock), TARGET, "app=web", "lease"))
    backend, events = ThreadControllerBackend(), SimpleQueue[RunEvent]()
    backend.workers(executor, lock, clock).submit(CLOSE, events.put)
    event = events.get(timeout=10)
    backend.shutdown()
    assert isinstance(event, ActionCompleted)
    assert (event.action, event.error) == (CLOSE, None)
    assert [path for _, path, _ in server.writes][-1] == "/api/v1/namespaces/shop/pods/web-1/status"


def test_the_event_recorder_is_its_own_thread() -> None:
    recorder = EventRecorder(api(Server(), FakeClock()), "me")
    assert ThreadControllerBackend().event_recorder(recorder) is recorder
