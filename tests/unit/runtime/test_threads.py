"""Loops on real threads: they end by themselves, and never die in silence."""

from __future__ import annotations

from inplace.runtime.threads import SYSTEM_THREADS

PATIENCE_SECONDS = 10.0


def test_a_loop_runs_until_it_returns_false() -> None:
    rounds: list[int] = []

    def iterate() -> bool:
        rounds.append(len(rounds))
        return len(rounds) < 3

    crashes: list[BaseException] = []
    SYSTEM_THREADS.loop("three rounds", iterate, crashes.append).join(PATIENCE_SECONDS)
    assert (rounds, crashes) == ([0, 1, 2], [])


def test_a_loop_that_raises_hands_on_the_bug() -> None:
    ended = SYSTEM_THREADS.exit_queue()
    bug = ValueError("a bug")

    def iterate() -> bool:
        raise bug

    SYSTEM_THREADS.loop("crashes", iterate, ended.put).join(PATIENCE_SECONDS)
    assert ended.get() is bug


def test_an_event_wakes_a_loop_that_waits() -> None:
    stop, crashes = SYSTEM_THREADS.event(), list[BaseException]()
    loop = SYSTEM_THREADS.loop("waits", lambda: not stop.wait(PATIENCE_SECONDS), crashes.append)
    assert not stop.is_set()
    stop.set()
    loop.join(PATIENCE_SECONDS)
    assert crashes == []
