"""What a process that works until it is stopped runs on: loops on threads, and what these wait with.

The loops of the controller, of the gates and of leader election are written once, on these protocols: `SystemThreads` runs them
on threads of the interpreter, a simulation runs the same code in turns, on virtual time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

from inplace.kube.informers.reflector import Reflector
from inplace.kube.informers.reflector_thread import ReflectorThread
from inplace.kube.protocols import Transport
from inplace.kube.workqueue import Condition


class Joinable(Protocol):
    """A loop that was started."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most `timeout` seconds."""
        ...


class Event(Protocol):
    """As `threading.Event`."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class ExitQueue(Protocol):
    """Takes why a process ends: the bug it died of, or None for a clean stop. `put` is safe in a signal handler."""

    def put(self, item: BaseException | None, /) -> None: ...

    def get(self) -> BaseException | None: ...


class Watching(Protocol):
    """Fills a cache from `start` to `stop`."""

    def start(self) -> None: ...

    def stop(self, timeout_seconds: float) -> None: ...


class Threads(Protocol):
    def loop(self, name: str, iterate: Callable[[], bool], on_crash: Callable[[BaseException], None]) -> Joinable:
        """Start a loop that calls `iterate` until it returns False; `on_crash` gets what it raises."""
        ...

    def condition(self) -> Condition: ...

    def event(self) -> Event: ...

    def exit_queue(self) -> ExitQueue: ...

    def watching(
        self, reflector: Reflector[Any], transport: Transport, on_crash: Callable[[BaseException], None]
    ) -> Watching: ...


class SystemThreads:
    """Daemon threads of the interpreter; waits take as long as they say."""

    def loop(self, name: str, iterate: Callable[[], bool], on_crash: Callable[[BaseException], None]) -> Joinable:
        def work() -> None:
            try:
                while iterate():
                    pass
            except BaseException as bug:
                on_crash(bug)

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def condition(self) -> Condition:
        return threading.Condition()

    def event(self) -> Event:
        return threading.Event()

    def exit_queue(self) -> ExitQueue:
        return SimpleQueue()

    def watching(self, reflector: Reflector[Any], transport: Transport, on_crash: Callable[[BaseException], None]) -> Watching:
        return ReflectorThread(reflector, transport, on_crash)


SYSTEM_THREADS = SystemThreads()
