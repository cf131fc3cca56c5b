"""The work queue: an item waits once, is worked on by one, and is never lost."""

from __future__ import annotations

import threading
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inplace.kube.clock import SystemClock
from inplace.kube.workqueue import WorkQueue
from tests.unit.kube.fakes import FakeClock


def queue() -> tuple[WorkQueue[str], FakeClock]:
    clock = FakeClock()
    return WorkQueue(clock), clock


def test_an_item_waits_once() -> None:
    work, _ = queue()
    for item in ("a", "b", "a"):
        work.add(item)
    assert len(work) == 2
    assert [work.try_get(), work.try_get(), work.try_get()] == ["a", "b", None]


def test_an_item_added_while_it_is_worked_on_comes_again_later() -> None:
    work, _ = queue()
    work.add("a")
    assert work.try_get() == "a"
    work.add("a")
    work.add("a")
    assert work.try_get() is None
    work.done("a")
    assert work.try_get() == "a"
    work.done("a")
    assert work.try_get() is None


def test_later_means_later_and_the_earliest_counts() -> None:
    work, clock = queue()
    work.add_after("a", 5)
    work.add_after("a", 2)
    work.add_after("a", 9)
    assert work.try_get() is None
    assert work.due_in() == 2
    clock.now += 2
    assert work.due_in() == 0
    assert work.try_get() == "a"
    work.done("a")
    clock.now += 100
    assert work.try_get() is None
    assert work.due_in() is None


def test_failures_wait_twice_as_long_each_time_until_forgotten() -> None:
    work, clock = queue()
    waits = []
    for _ in range(15):
        work.add_rate_limited("a")
        waits.append(round(work.due_in() or 0, 6))
        clock.now += 31
        assert work.try_get() == "a"
        work.done("a")
    assert waits[:4] == [0.005, 0.01, 0.02, 0.04]
    assert waits[-2:] == [30, 30]
    work.forget("a")
    work.add_rate_limited("a")
    assert round(work.due_in() or 0, 6) == 0.005


def test_the_server_may_ask_for_more_patience() -> None:
    work, _ = queue()
    work.add_rate_limited("a", 7)
    assert work.due_in() == 7


def test_shut_down_drops_what_waits() -> None:
    work, _ = queue()
    work.add("a")
    work.add_after("b", 1)
    work.shut_down()
    work.add("c")
    assert work.try_get() is None
    assert work.get() is None


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "done", "later", "wait"]), st.sampled_from("abc"))))
def test_no_change_is_missed_and_nobody_works_on_the_same_item(script: list[tuple[str, str]]) -> None:
    work, clock = queue()
    owed: set[str] = set()
    busy: list[str] = []
    for word, item in script:
        match word:
            case "add":
                work.add(item)
                owed.add(item)
            case "later":
                work.add_after(item, 1)
                owed.add(item)
            case "wait":
                clock.now += 1
            case "take":
                taken = work.try_get()
                if taken is not None:
                    assert taken not in busy
                    busy.append(taken)
                    owed.discard(taken)
            case _:
                if busy:
                    work.done(busy.pop(0))
    clock.now += 2
    for item in busy:
        work.done(item)
    while (taken := work.try_get()) is not None:
        owed.discard(taken)
        work.done(taken)
    assert not owed


def test_threads_share_the_work_and_end_when_told() -> None:
    work: WorkQueue[int] = WorkQueue(SystemClock())
    counted: Counter[int] = Counter()
    busy: set[int] = set()
    everything = threading.Event()

    def worker() -> None:
        while (item := work.get()) is not None:
            assert item not in busy
            busy.add(item)
            counted[item] += 1
            busy.discard(item)
            work.done(item)
            if len(counted) == 200:
                everything.set()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for item in range(100):
        work.add(item)
        work.add_after(100 + item, item / 10_000)
    assert everything.wait(30)
    work.shut_down()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_flows_take_turns_however_many_items_one_has() -> None:
    queue: WorkQueue[tuple[str, int]] = WorkQueue(FakeClock(), lambda key: key[0])
    for number in range(1000):
        queue.add(("evil", number))
    for number in range(2):
        queue.add(("shop", number))
    assert len(queue) == 1002
    taken = [queue.try_get() for _ in range(5)]
    assert taken == [("evil", 0), ("shop", 0), ("evil", 1), ("shop", 1), ("evil", 2)]
