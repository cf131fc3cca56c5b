"""What one tenant asks of a controller that others use, too, costs the others little."""

from __future__ import annotations

import msgspec

from inplace.kube.paging import ListResult
from inplace.model.refs import TargetRef
from inplace.runtime.controller.controller import Controller
from inplace.runtime.informers.inbox import PodChanged, RunEvent
from inplace.runtime.informers.shared_informers import RunCaches, SharedInformers
from inplace.runtime.lease.lock import LeaderRef
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.observability.metrics import Metrics
from inplace.runtime.observability.telemetry import TelemetryListener
from tests.builders import NS, pod
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api


class Safe:
    is_safe = True


def test_namespaces_take_turns() -> None:
    leader = LeaderRef("sys", "inplace", "me")
    listener = TelemetryListener(Metrics(), EventRecorder(api(Server(), FakeClock()), "me"))
    controller = Controller(api(Server(), FakeClock()), (), leader, Safe(), listener)
    for key in (("evil", "a"), ("evil", "b"), ("evil", "c"), ("shop", "up")):
        controller.queue.add(key)
    assert [controller.queue.try_get() for _ in range(3)] == [("evil", "a"), ("shop", "up"), ("evil", "b")]


def test_a_run_of_pods_by_name_sees_these_alone() -> None:
    shared = SharedInformers(api(Server(), FakeClock()), None, lambda: None, lambda _lost: None)
    pods = [pod(f"web-{number}") for number in range(50)]
    shared.pods.replace(ListResult(items=tuple(pods), resource_version="9"))
    told: list[RunEvent] = []
    part = RunCaches(shared, TargetRef("Pods", NS, pod_names=("web-7", "gone")), "", "lease", told.append)
    assert [p.name for p in part.pods.snapshot().values()] == ["web-7"]
    changed = msgspec.structs.replace(pods[3], metadata=msgspec.structs.replace(pods[3].metadata, resource_version="10"))
    shared.pods.upsert(changed)
    assert [event.new.name for event in told if isinstance(event, PodChanged) and event.new is not None] == ["web-7"]
