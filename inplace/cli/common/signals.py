"""Turns signals into a graceful stop of the run that this process drives.

The first Ctrl-C stops the run once the pods in flight are done, the second quits at once; before the run has begun, the command
just ends. SIGTERM, SIGHUP and the end of `--timeout` (SIGALRM) count as Ctrl-C does.

A signal handler only writes a byte to a pipe, which a thread reads: it may have interrupted code that holds a lock. Signals
that were ignored when the process started (nohup, a shell's background job) stay ignored.
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
    """`--timeout` expired before the run began."""


class InterruptHandler(ABC):
    """Decides what a signal means. As a context manager, it handles signals from the attached session's first write on."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self._session: Session | None = None
        self._requests: list[StopRequest] = []

    @property
    def stop_request(self) -> StopRequest | None:
        """The first request to stop."""
        return self._requests[0] if self._requests else None

    def attach(self, session: Session) -> None:
        self._session = session

    def handle(self, number: int) -> None:
        """Handles a signal. Raises `TimedOut` or KeyboardInterrupt if the command should just end."""
        if self._session is None or not self._session.has_started:
            raise TimedOut if number == signal.SIGALRM else KeyboardInterrupt
        if number == signal.SIGALRM and self._requests:
            return
        self._requests.append(self._stop_request(number))
        if len(self._requests) > 2:
            raise KeyboardInterrupt
        self._deliver(self._session, self._requests[-1])

    def _stop_request(self, number: int) -> StopRequest:
        if number == signal.SIGALRM:
            return StopRequest("TimedOut", f"timed out after {format_duration(self.timeout_seconds or 0.0)}")
        return StopRequest("Interrupted", f"interrupted by {NAMES[signal.Signals(number)]}")

    @abstractmethod
    def __enter__(self) -> InterruptHandler: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def _deliver(self, session: Session, stop: StopRequest) -> None: ...


class SignalInterruptHandler(InterruptHandler):
    """Handles the signals of this process. On the main thread only."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        super().__init__(timeout_seconds)
        self._previous: dict[int, Any] = {}
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._read_pipe, name="interrupts", daemon=True)

    def __enter__(self) -> SignalInterruptHandler:
        self._thread.start()
        for number in (*NAMES, signal.SIGALRM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        if self.timeout_seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self.timeout_seconds)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._write)
        self._thread.join(1.0)
        os.close(self._read)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.handle(number)

    def _deliver(self, session: Session, stop: StopRequest) -> None:  # noqa: ARG002 as the thread reads them itself
        os.write(self._write, b"!")

    def _read_pipe(self) -> None:
        delivered = 0
        while os.read(self._read, 1):
            if self._session is not None:
                self._session.request_stop(self._requests[delivered])
            delivered += 1


def run_until_signal(stop: Callable[[], None], run: Callable[[], None]) -> None:
    """Calls `run`, and `stop` at the first signal; a second signal ends the process at once.

    Signals that were ignored when the process started (nohup, say) stay ignored.
    """
    numbers = [n for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        signal.signal(number, on_signal)
    run()
