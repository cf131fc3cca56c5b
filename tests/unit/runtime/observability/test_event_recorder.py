"""Events: one for what happens, a count for what happens again, nothing that waits or piles up."""

from __future__ import annotations

import json
import threading
from typing import Any

from inplace.kube.clock import SystemClock
from inplace.runtime.observability.event_recorder import (
    MAX_EVENTS,
    MEMORY_SECONDS,
    REFUSED_SECONDS,
    SERIES_SECONDS,
    EventRecorder,
    ObjectReference,
    Result,
)
from tests.unit.kube.fakes import FakeClock, refusal
from tests.unit.runtime.fakes import Server, api

WEB = ObjectReference("v1", "Pod", "shop", "web", "u1")
PATH = "/apis/events.k8s.io/v1/namespaces/shop/events"


class Bench:
    def __init__(self) -> None:
        self.server, self.clock = Server(), FakeClock()
        self.results: list[Result] = []
        self.events = EventRecorder(api(self.server, self.clock), "me", self.results.append)

    def tell(self, note: str = "because", about: ObjectReference = WEB, reason: str = "PodFailed") -> None:
        self.events.emit(about, "Warning", reason, "Upgrade", note)

    def work(self, seconds: float = 0.0) -> None:
        ends_at = self.clock.now + seconds
        while (due := self.events.queue.due_in()) is not None and self.clock.now + due <= ends_at:
            self.clock.now += due
            self.events.step()
        self.clock.now = max(self.clock.now, ends_at)

    @property
    def stored(self) -> list[Any]:
        return [body for path, body in self.server.objects.items() if path.startswith(PATH)]


def test_an_event_says_what_happened_to_whom() -> None:
    bench = Bench()
    bench.tell()
    assert bench.server.writes == []
    bench.work()
    (body,) = bench.stored
    assert body["metadata"]["name"].startswith("web.")
    assert body["eventTime"] == "2026-01-01T00:16:40.000000Z"
    assert body["regarding"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web", "uid": "u1"}
    rest = {key: body[key] for key in ("reason", "type", "action", "note", "reportingController", "reportingInstance")}
    assert rest == {
        "reason": "PodFailed",
        "type": "Warning",
        "action": "Upgrade",
        "note": "because",
        "reportingController": "inplace.dev/controller",
        "reportingInstance": "me",
    }
    assert bench.results == ["sent"]


def test_what_happens_again_is_counted_in_one_write() -> None:
    bench = Bench()
    bench.tell()
    bench.work()
    for _ in range(40):
        bench.tell()
    bench.work(SERIES_SECONDS + 1)
    (body,) = bench.stored
    assert body["series"]["count"] == 41
    assert len(bench.server.writes) == 2


def test_after_a_while_it_is_news_again() -> None:
    bench = Bench()
    bench.tell()
    bench.work(MEMORY_SECONDS + 1)
    bench.tell()
    bench.work(1)
    assert len(bench.stored) == 2


def test_other_reasons_notes_and_objects_are_other_events() -> None:
    """The note names the run: the second upgrade of a pod is no repetition of the first."""
    bench = Bench()
    bench.tell("by run one")
    bench.tell("by run two")
    bench.tell(reason="PodUpgraded")
    bench.tell(about=ObjectReference("v1", "Pod", "shop", "web", "another"))
    bench.work()
    assert len(bench.stored) == 4


def test_events_beyond_a_bound_are_dropped_until_there_is_room() -> None:
    bench = Bench()
    for number in range(MAX_EVENTS + 5):
        bench.tell(about=ObjectReference("v1", "Pod", "shop", "web", str(number)))
    assert bench.results == ["dropped"] * 5
    bench.work(1)
    bench.work(MEMORY_SECONDS + 1)
    assert len(bench.stored) == MAX_EVENTS
    bench.tell(about=ObjectReference("v1", "Pod", "shop", "web", "late"))
    bench.work(1)
    assert len(bench.stored) == MAX_EVENTS + 1


def test_trouble_is_tried_three_times_and_then_left() -> None:
    bench = Bench()
    bench.server.down = True
    bench.tell()
    bench.work(60)
    assert bench.results == ["failed"]
    bench.server.down = False
    bench.tell()
    bench.work(60)
    (body,) = bench.stored
    assert body["series"]["count"] == 2


def test_a_refusal_is_not_tried_again() -> None:
    bench = Bench()
    bench.server.refuse = refusal(403, "forbidden", "Forbidden")
    bench.tell()
    bench.work(60)
    assert len(bench.server.requests) == 1
    assert bench.results == ["failed"]


def test_events_that_may_not_be_written_are_tried_seldom() -> None:
    bench = Bench()
    bench.server.refuse = refusal(403, "you may not create events", "Forbidden")
    for number in range(5):
        bench.tell(about=ObjectReference("v1", "Pod", "shop", "web", str(number)))
    bench.work(60)
    assert len(bench.server.requests) == 1
    assert bench.results == ["failed"] * 5
    assert "you may not create events" in bench.events.refusal
    bench.server.refuse = None
    bench.work(REFUSED_SECONDS)
    bench.tell("again")
    bench.work(60)
    assert [body["note"] for body in bench.stored] == ["again"]


def test_at_the_end_everything_is_tried_once_at_once() -> None:
    bench = Bench()
    bench.tell()
    bench.work()
    bench.tell()
    bench.tell("another")
    bench.events.finish()
    bench.work()
    assert sorted((body["note"], "series" in body) for body in bench.stored) == [("another", False), ("because", True)]
    bench.server.down = True
    bench.tell("late")
    bench.events.finish()
    bench.work()
    assert bench.results[-1] == "failed"


def test_an_event_that_has_expired_is_told_anew() -> None:
    bench = Bench()
    bench.tell()
    bench.work()
    bench.server.objects.clear()
    bench.tell()
    bench.work(SERIES_SECONDS + 10)
    (body,) = bench.stored
    assert body["series"]["count"] == 2


def test_long_notes_and_names_are_cut() -> None:
    bench = Bench()
    bench.tell("x" * 5000, ObjectReference("v1", "Pod", "shop", "n" * 253, "u"))
    bench.work()
    (body,) = bench.stored
    assert len(body["note"]) <= 1024
    assert len(body["metadata"]["name"]) <= 253


def test_on_a_thread() -> None:
    server, sent = Server(), threading.Semaphore(0)
    events = EventRecorder(api(server, SystemClock()), "me", lambda _result: sent.release())  # type: ignore[arg-type]
    events.start()
    events.emit(WEB, "Normal", "PodUpgraded", "Upgrade", "done")
    assert sent.acquire(timeout=30)
    events.emit(WEB, "Normal", "PodUpgraded", "Upgrade", "done")
    events.stop()
    (body,) = server.objects.values()
    assert body["series"]["count"] == 2, "what is counted still is written at the end"
    assert json.loads(server.requests[0].body or b"")["reason"] == "PodUpgraded"
