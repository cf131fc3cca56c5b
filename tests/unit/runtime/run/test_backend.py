"""The real things that run beside a session, each on threads of its own."""

from __future__ import annotations

from queue import SimpleQueue

from inplace.engine.actions import RemoveRecord
from inplace.kube.api import ApiClient
from inplace.kube.clock import SystemClock
from inplace.kube.retry import NO_RETRY
from inplace.model.refs import PodRef, TargetRef
from inplace.model.run import Run
from inplace.runtime.informers.inbox import ActionCompleted, CacheChanged, RunEvent
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.backend import ThreadBackend
from inplace.runtime.run.executor import Executor
from tests.unit.runtime.fakes import Server

TARGET = TargetRef("Deployment", "shop", "web")
POD = "/api/v1/namespaces/shop/pods/web-1"


def client(server: Server) -> ApiClient:
    return ApiClient(transport=server, clock=SystemClock(), policy=NO_RETRY)


def test_an_inbox_wakes_who_waits() -> None:
    clock = SystemClock()
    inbox = ThreadBackend().inbox(clock)
    inbox.put(CacheChanged())
    inbox.wait(60.0)
    ((at, event),) = inbox.take()
    assert event == CacheChanged()
    assert at <= clock.monotonic()


def test_workers_perform_an_action_and_tell_its_end() -> None:
    server, backend = Server(), ThreadBackend()
    server.put(POD, {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"}})
    api = client(server)
    lock = TargetLock(api, TARGET, None, "me")
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    executor = Executor(api, "shop", TargetInformers(api, backend.inbox(api.clock), TARGET, "app=web", "lease"))
    workers, events = backend.workers(executor, lock, api.clock), SimpleQueue[RunEvent]()
    action = RemoveRecord(PodRef("shop", "web-1", "u-1", server.objects[POD]["metadata"]["resourceVersion"]))
    workers.submit(action, events.put)
    event = events.get(timeout=10)
    workers.stop()
    assert isinstance(event, ActionCompleted)
    assert (event.action, event.error) == (action, None)


def test_a_renewer_that_is_stopped_loses_nothing() -> None:
    server, backend = Server(), ThreadBackend()
    api, lost = client(server), list[BaseException]()
    lock = TargetLock(api, TARGET, None, "me")
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    renewer = backend.renewer(lock, lost.append)
    renewer.start()
    renewer.stop()
    informers = TargetInformers(api, backend.inbox(api.clock), TARGET, "app=web", "lease")
    assert backend.informers(informers) is informers
    assert (lost, lock.is_safe) == ([], True)
