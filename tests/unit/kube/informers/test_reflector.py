"""Keeping a cache true through closings, stalls, expiries and refusals, in virtual time."""

from __future__ import annotations

import pytest

from inplace.kube.errors import ConnectionFailed, Forbidden, ServerError
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import List, Reflector, Wait
from inplace.kube.informers.reflector_thread import execute
from inplace.kube.paging import ListOptions
from inplace.kube.resources import PODS
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.pods import Pod
from tests.unit.kube.fakes import Answer, FakeClock, FakeStream, FakeTransport, bookmark, event, page, pod, query, refusal

BROKEN = ConnectionFailed("the connection broke")


class World:
    """Drives the machine on one thread until the script is used up. Watches live for `watch_seconds`."""

    def __init__(self, *script: Answer, watch_seconds: float = 0.0, jitter: float = 0.0) -> None:
        self.clock = FakeClock(jitter)
        self.transport = FakeTransport(*script)
        self.cache: Cache[Pod] = Cache()
        self.changes: list[str] = []
        self.states: list[tuple[str, bool]] = []
        self.cache.subscribe(self._changed)
        self.reflector = Reflector(
            PODS, self.cache, self.clock, scope=ListOptions(namespace="shop", label_selector="app=x"), on_state=self._state
        )
        self._watch_seconds = watch_seconds
        self.transport.before_end = self._pass_time

    def run(self) -> World:
        while self.transport.script:
            match self.reflector.next_command():
                case Wait(seconds):
                    self.clock.sleep(seconds)
                case command:
                    execute(command, self.reflector, self.transport)
        return self

    def paths(self) -> list[str]:
        """`list`, or `watch@resourceVersion`, in order."""
        queries = [query(request) for request in self.transport.requests]
        return [f"watch@{q['resourceVersion']}" if "watch" in q else "list" for q in queries]

    def names(self) -> set[str]:
        return {p.name for p in self.cache.snapshot().values()}

    def _pass_time(self) -> None:
        self.clock.now += self._watch_seconds

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        sign = "+" if old is None else "-" if new is None else "~"
        last = new or old
        assert last is not None
        self.changes.append(f"{sign}{last.uid}@{last.metadata.resource_version}")

    def _state(self) -> None:
        self.states.append((str(self.reflector.error or ""), self.cache.has_synced))


def test_a_reflector_lists_in_pages_and_watches_from_there() -> None:
    world = World(
        page(10, pod("a", 1), more="t"),
        page(10, pod("b", 2)),
        FakeStream(event("ADDED", pod("c", 11)), event("MODIFIED", pod("a", 12)), event("DELETED", pod("b", 13))),
    ).run()
    assert world.changes == ["+uid-a@1", "+uid-b@2", "+uid-c@11", "~uid-a@12", "-uid-b@2"]
    assert world.cache.resource_version == 13
    watch = query(world.transport.requests[2])
    assert watch["allowWatchBookmarks"] == "true"
    assert watch["labelSelector"] == "app=x"
    assert watch["resourceVersion"] == "10"
    assert world.transport.requests[2].path == "/api/v1/namespaces/shop/pods"


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, "240"), (0.999, "479")])
def test_the_server_is_asked_to_end_a_watch_at_varying_times(jitter: float, seconds: str) -> None:
    world = World(page(10), FakeStream(), jitter=jitter).run()
    assert query(world.transport.requests[1])["timeoutSeconds"] == seconds


def test_a_watch_that_ends_resumes_where_it_was() -> None:
    world = World(page(10), FakeStream(event("ADDED", pod("a", 11))), FakeStream(bookmark(40)), FakeStream()).run()
    assert world.paths() == ["list", "watch@10", "watch@11", "watch@40"]


def test_bookmarks_move_on_and_change_nothing() -> None:
    world = World(page(10, pod("a", 1)), FakeStream(bookmark(90))).run()
    assert world.changes == ["+uid-a@1"]
    assert world.cache.resource_version == 90


def test_a_broken_connection_resumes_where_it_was() -> None:
    world = World(page(10), FakeStream(event("ADDED", pod("a", 11)), error=BROKEN), FakeStream()).run()
    assert world.paths() == ["list", "watch@10", "watch@11"]
    assert world.states == [("", True), ("the connection broke", True), ("", True)]


@pytest.mark.parametrize("line", [b'{"type":"ADDED","object":{"metad', b"<html>", b'{"type":"NEW","object":{}}', b"[]"])
def test_a_line_that_cannot_be_read_resumes_at_the_last_good_one(line: bytes) -> None:
    world = World(
        page(10), FakeStream(event("ADDED", pod("a", 11)), line, event("ADDED", pod("never", 12))), FakeStream()
    ).run()
    assert world.paths() == ["list", "watch@10", "watch@11"]
    assert world.names() == {"a"}


def test_a_410_lists_again_at_once_and_deletes_nothing_falsely() -> None:
    world = World(
        page(10, pod("a", 1), pod("b", 2)), FakeStream(status=410), page(50, pod("a", 1), pod("b", 40)), FakeStream()
    ).run()
    assert world.paths() == ["list", "watch@10", "list", "watch@50"]
    assert world.changes == ["+uid-a@1", "+uid-b@2", "~uid-b@40"]
    assert world.clock.slept == []


def test_an_error_410_in_the_stream_lists_again() -> None:
    error = event("ERROR", {"kind": "Status", "metadata": {}, "code": 410, "reason": "Expired", "message": "too old"})
    world = World(page(10, pod("a", 1)), FakeStream(error), page(50, pod("a", 30, uid="new")), FakeStream()).run()
    assert world.paths() == ["list", "watch@10", "list", "watch@50"]
    assert world.changes == ["+uid-a@1", "-uid-a@1", "+new@30"]


def test_any_other_error_in_the_stream_lists_again_after_a_wait() -> None:
    error = event("ERROR", {"kind": "Status", "code": 500, "message": "etcd leader changed"})
    world = World(page(10), FakeStream(error), page(50), FakeStream()).run()
    assert world.paths() == ["list", "watch@10", "list", "watch@50"]
    assert world.clock.slept == [0.8]


def test_endless_410s_do_not_make_endless_lists() -> None:
    script: list[Answer] = [page(10), FakeStream(status=410)] * 5
    world = World(*script).run()
    assert world.clock.slept == pytest.approx([0.8, 1.6, 3.2])


def test_a_410_in_the_middle_of_a_list_starts_it_over() -> None:
    world = World(page(10, pod("a", 1), more="t"), refusal(410), page(20, pod("b", 15))).run()
    assert world.changes == ["+uid-b@15"]


def test_a_server_that_closes_at_once_is_not_hammered() -> None:
    world = World(page(10), *[FakeStream()] * 9).run()
    assert world.clock.slept == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15])


def test_the_back_off_spreads_clients_up_to_thirty_seconds() -> None:
    world = World(*[BROKEN] * 9, jitter=0.999).run()
    assert world.clock.slept[0] == pytest.approx(1.6, abs=0.01)
    assert max(world.clock.slept) == pytest.approx(30, abs=0.1)


def test_a_watch_that_lived_makes_up_for_the_failures_before() -> None:
    world = World(page(10), *[FakeStream(error=BROKEN)] * 4, watch_seconds=10).run()
    assert world.clock.slept == pytest.approx([0.8] * 3)


def test_a_watch_that_lived_and_was_closed_is_reopened_at_once() -> None:
    world = World(page(10), *[FakeStream(bookmark(20))] * 4, watch_seconds=300).run()
    assert world.clock.slept == []
    assert world.states == [("", True)]


def test_failing_to_open_a_watch_after_a_long_one_backs_off() -> None:
    world = World(page(10), FakeStream(error=BROKEN), *[BROKEN] * 3, FakeStream(), watch_seconds=100).run()
    assert world.clock.slept == pytest.approx([0.8, 1.6, 3.2, 6.4])


def test_the_servers_own_wait_is_kept() -> None:
    world = World(refusal(429, "slow down", retry_after="20"), page(10)).run()
    assert world.clock.slept == [20]


def test_a_silent_watch_resumes_first_and_lists_the_second_time() -> None:
    silent = [FakeStream(error=ConnectionFailed("no answer for 70 s")) for _ in range(2)]
    world = World(page(10), *silent, page(10), FakeStream(bookmark(11)), watch_seconds=70).run()
    assert world.paths() == ["list", "watch@10", "watch@10", "list", "watch@10"]
    assert world.states[:1] == [("", True)]
    assert world.cache.resource_version == 11


def test_a_refused_list_is_reported_and_retried_until_allowed() -> None:
    forbidden = refusal(403, "User viewer cannot list pods", "Forbidden")
    world = World(forbidden, forbidden)
    world.run()
    assert isinstance(world.reflector.error, Forbidden)
    assert world.states == [("User viewer cannot list pods", False)]
    world.transport.script += [page(10, pod("a", 1))]
    world.run()
    assert world.states[1:] == [("", True)]
    assert world.clock.slept == pytest.approx([0.8, 1.6])


def test_a_right_taken_away_later_is_told_and_the_cache_stays() -> None:
    world = World(page(10, pod("a", 1)), FakeStream(refusal(403, "not any more").body, status=403)).run()
    assert isinstance(world.reflector.error, Forbidden)
    assert world.names() == {"a"}


def test_a_broken_server_is_told() -> None:
    world = World(refusal(500, "etcdserver: leader changed")).run()
    assert isinstance(world.reflector.error, ServerError)


def test_an_own_write_made_during_a_list_survives_it() -> None:
    world = World(page(10, pod("a", 1)), FakeStream(status=410), page(20, pod("a", 1)))
    newer = Pod(metadata=ObjectMeta(name="a", namespace="shop", uid="uid-a", resource_version="25"))
    world.transport.before_answer = lambda: world.cache.upsert(newer) if len(world.transport.requests) == 3 else None
    world.run()
    assert world.cache.get("uid-a") is newer


def test_a_relist_is_synced_only_by_a_list_begun_since() -> None:
    world = World(page(10, pod("a", 1)))
    reflector = world.reflector
    assert isinstance(reflector.next_command(), List)
    reflector.relist()
    reflector.on_listed(page(10, pod("a", 1)))
    synced = [reflector.has_synced]
    assert isinstance(reflector.next_command(), List)
    reflector.on_listed(page(12, pod("b", 12)))
    synced.append(reflector.has_synced)
    assert synced == [False, True]
    assert world.names() == {"b"}
