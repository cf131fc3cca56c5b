"""Ctrl-C and other signals, on a fake session that only notes the requests to stop."""

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from inplace.cli.common.signals import SignalInterruptHandler, TimedOut
from inplace.model.run import StopRequest


class FakeSession:
    def __init__(self, has_started: bool) -> None:
        self.has_started = has_started
        self.stops: list[StopRequest] = []
        self._there = threading.Semaphore(0)

    def request_stop(self, stop: StopRequest) -> None:
        self.stops.append(stop)
        self._there.release()

    def wait(self) -> None:
        assert self._there.acquire(timeout=10)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def attached(stopper: SignalInterruptHandler, session: Any) -> FakeSession:
    stopper.attach(session)
    fake: FakeSession = session
    return fake


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_the_first_write_a_signal_just_ends_the_command(number: signal.Signals) -> None:
    with SignalInterruptHandler() as stopper:
        with pytest.raises(KeyboardInterrupt):
            send(number)
        attached(stopper, FakeSession(has_started=False))
        with pytest.raises(KeyboardInterrupt):
            send(number)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_once_ends_well_twice_leaves_three_times_breaks_off(number: signal.Signals, name: str) -> None:
    with SignalInterruptHandler() as stopper:
        session = attached(stopper, FakeSession(has_started=True))
        for _ in range(2):
            send(number)
            session.wait()
        assert session.stops == [StopRequest("Interrupted", f"interrupted by {name}")] * 2
        assert stopper.stop_request == session.stops[0]
        with pytest.raises(KeyboardInterrupt):
            send(number)


def test_a_timeout_acts_as_one_signal() -> None:
    with SignalInterruptHandler(600) as stopper:
        session = attached(stopper, FakeSession(has_started=True))
        send(signal.SIGALRM)
        session.wait()
        send(signal.SIGALRM)
        assert session.stops == [StopRequest("TimedOut", "timed out after 10m")]


def test_a_timeout_after_a_signal_is_not_the_second() -> None:
    with SignalInterruptHandler(600) as stopper:
        session = attached(stopper, FakeSession(has_started=True))
        send(signal.SIGINT)
        session.wait()
        send(signal.SIGALRM)
        assert [stop.outcome for stop in session.stops] == ["Interrupted"]


def test_a_timeout_before_the_first_write() -> None:
    with SignalInterruptHandler(600), pytest.raises(TimedOut):
        send(signal.SIGALRM)


def test_signals_that_were_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalInterruptHandler() as stopper:
            session = attached(stopper, FakeSession(has_started=True))
            send(signal.SIGHUP)
            assert stopper.stop_request is None
            assert session.stops == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)]
    with SignalInterruptHandler(600):
        pass
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_these_tests_pass_under_nohup_too() -> None:
    """Signals that the shell has ignored are inherited."""
    deaf = ("sh", "-c", """trap '' HUP INT; exec "$@" """, "sh")
    tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not nohup")
    ran = subprocess.run((*deaf, *tests), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


LATE = """
import atexit, os, signal
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
from inplace.cli.main import main
main(["version"])
"""


def test_one_that_comes_on_the_way_out_changes_nothing() -> None:
    """Everything has been said by then."""
    ran = subprocess.run((sys.executable, "-c", LATE), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("inplace ")
