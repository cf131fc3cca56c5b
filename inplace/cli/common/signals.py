"""Ctrl-C and its kin while a run is driven: once, the run ends well; twice, it is left; before it began, the command just ends.

SIGINT, SIGTERM, SIGHUP and the end of `--timeout` (SIGALRM) are one and the same. A handler only writes a byte to a pipe, since
it may have interrupted a thread that holds any lock; a thread of ours reads it. Signals that were ignored when we were started
(nohup, a shell's background job) stay ignored.
"""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FrameType
from typing import Any

from inplace.model.durations import format_duration
from inplace.model.run import StopRequest
from inplace.runtime.foreground.session import Session

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class TimedOut(Exception):
    """`--timeout` was over before the run began."""


class InterruptHandler(ABC):
    """What a signal means: context manager; from the first write of the attached session on, signals are its own."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self._session: Session | None = None
        self._asked: list[StopRequest] = []

    @property
    def asked(self) -> StopRequest | None:
        """The first reason to stop."""
        return self._asked[0] if self._asked else None

    def attach(self, session: Session) -> None:
        self._session = session

    def told(self, number: int) -> None:
        """A signal came. Raises `TimedOut` or KeyboardInterrupt where the command shall just end."""
        if self._session is None or not self._session.has_started:
            raise TimedOut if number == signal.SIGALRM else KeyboardInterrupt
        if number == signal.SIGALRM and self._asked:
            return
        self._asked.append(self._stop_of(number))
        if len(self._asked) > 2:
            raise KeyboardInterrupt
        self._hand_over(self._session, self._asked[-1])

    def _stop_of(self, number: int) -> StopRequest:
        if number == signal.SIGALRM:
            return StopRequest("TimedOut", f"timed out after {format_duration(self.timeout_seconds or 0.0)}")
        return StopRequest("Interrupted", f"interrupted by {NAMES[signal.Signals(number)]}")

    @abstractmethod
    def __enter__(self) -> InterruptHandler: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def _hand_over(self, session: Session, stop: StopRequest) -> None: ...


class SignalStopper(InterruptHandler):
    """Of this process, on the main thread only."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        super().__init__(timeout_seconds)
        self._before: dict[int, Any] = {}
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, name="stopper", daemon=True)

    def __enter__(self) -> SignalStopper:
        self._thread.start()
        for number in (*NAMES, signal.SIGALRM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        if self.timeout_seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self.timeout_seconds)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)
        self._thread.join(1.0)
        os.close(self._read)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.told(number)

    def _hand_over(self, session: Session, stop: StopRequest) -> None:  # noqa: ARG002 as the thread reads them itself
        os.write(self._write, b"!")

    def _pass_on(self) -> None:
        passed = 0
        while os.read(self._read, 1):
            if self._session is not None:
                self._session.request_stop(self._asked[passed])
            passed += 1


def run_until_signal(stop: Callable[[], None], run: Callable[[], None]) -> None:
    """Runs to the end that `stop` brings about: at the first signal; the second ends the process at once.

    What was ignored when we were started (nohup, say) stays ignored.
    """
    numbers = [n for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]

    def told(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        signal.signal(number, told)
    run()
