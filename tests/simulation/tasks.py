"""Several commands at once in one embedded cluster, on virtual time: each on a thread of its own, of which one runs at a time.

A task has the turn until it waits, for an event of its own or for time to pass, and then gives it back to whoever drives the
scheduler. So everything stays a function of the seed, though the product's code blocks as it does in a process.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from inplace.kube.informers.reflector import Reflector
from inplace.kube.protocols import Clock, Request
from inplace.runtime.informers.inbox import Inbox, RunEvent
from inplace.sim.clock import EventLoop
from tests.simulation.host import SimulatedBackend, VirtualPump
from tests.simulation.machine import Machine
from tests.simulation.transport import VirtualClock


class TaskKilled(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Tasks:
    """`turns` grows whenever a task has run: what it may have changed is to be looked at again."""

    def __init__(self, scheduler: EventLoop) -> None:
        self.scheduler = scheduler
        self.current: Task | None = None
        self.turns = 0
        self._all: list[Task] = []

    def start(
        self, work: Callable[[], int], machine: Machine | None = None, streams: tuple[_Text, _Text] | None = None
    ) -> Task:
        """Begins at the scheduler's next event; on a machine and with output of its own, if none are given."""
        task = Task(self, work, machine or Machine(self.scheduler), streams or (_Text(), _Text()))
        self._all.append(task)
        task.wake()
        return task

    def kill_all(self) -> None:
        for task in self._all:
            task.throw(TaskKilled())
        while any(not task.is_over for task in self._all):
            self.scheduler.run_next()


class Task:
    """`result` is what `work` returned, None if it was killed. What else it raised is raised by `ended`."""

    def __init__(self, tasks: Tasks, work: Callable[[], int], machine: Machine, streams: tuple[_Text, _Text]) -> None:
        self.stdout, self.stderr = streams
        self.is_over = False
        self.result: int | None = None
        self._tasks = tasks
        self._machine = machine
        self._work = work
        self._waits = 0
        """Counts; who would end a wait that is over already ends none."""
        self._thrown: BaseException | None = None
        self._error: BaseException | None = None
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="task", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None) -> None:
        """Of the task itself: until it is woken, at most so long."""
        self._raise_thrown()
        timer = self._machine.after(seconds, self._waker()) if seconds is not None else None
        self._back.release()
        self._turn.acquire()
        self._waits += 1
        if timer is not None:
            timer.cancel()
        self._raise_thrown()

    def wake(self) -> None:
        self._machine.after(0.0, self._waker())

    def throw(self, error: BaseException) -> None:
        """It gets this where it waits."""
        if not self.is_over:
            self._thrown = error
            self.wake()

    def ended(self) -> int | None:
        """Raises the bug that it died of."""
        assert self.is_over
        if self._error is not None:
            raise self._error
        return self.result

    def _waker(self) -> Callable[[], None]:
        number = self._waits
        return lambda: self._go_on() if number == self._waits and not self.is_over else None

    def _go_on(self) -> None:
        """On the scheduler's thread: until it waits again or is over."""
        tasks = self._tasks
        before, tasks.current = tasks.current, self
        with self.speaking():
            self._turn.release()
            self._back.acquire()
        tasks.current = before
        tasks.turns += 1

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """What is printed is this task's output."""
        streams, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), (self.stdout, self.stderr)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams

    def _run(self) -> None:
        self._turn.acquire()
        self._waits += 1
        try:
            self._raise_thrown()
            self.result = self._work()
        except TaskKilled:
            pass
        except BaseException as error:
            self._error = error
        self.is_over = True
        self._back.release()

    def _raise_thrown(self) -> None:
        error, self._thrown = self._thrown, None
        if error is not None:
            raise error


class _Text(io.TextIOWrapper):
    """A terminal's other end: never a terminal itself, readable at any time."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()


class TaskClock(VirtualClock):
    """Sleeping gives the turn back; outside of any task it lets time pass there and then."""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks.scheduler)
        self._tasks = tasks

    def sleep(self, seconds: float) -> None:
        task = self._tasks.current
        if task is None:
            super().sleep(seconds)
            return
        ends_at = self.monotonic() + seconds
        while (left := ends_at - self.monotonic()) > 0:
            task.wait(left)


class TaskHost(SimulatedBackend):
    """A host of one task's sessions."""

    tasks: Tasks

    def inbox(self, clock: Clock) -> Inbox:
        assert self.tasks.current is not None
        return TaskInbox(self.tasks.current, clock, self)


class TaskInbox:
    """Waiting gives the turn back until something is here."""

    def __init__(self, task: Task, clock: Clock, host: TaskHost) -> None:
        self._task = task
        self._clock = clock
        self._host = host
        self._events: list[tuple[float, RunEvent]] = []

    def put(self, event: RunEvent) -> None:
        self._events.append((self._clock.monotonic(), event))
        self._task.wake()

    def take(self) -> list[tuple[float, RunEvent]]:
        taken, self._events = self._events, []
        return taken

    def wait(self, seconds: float | None) -> None:
        if not self._events:
            self._task.wait(seconds)


class SpeakingPump(VirtualPump):
    """Of a reflector that prints what it hears."""

    def __init__(self, host: SimulatedBackend, reflector: Reflector[Any], task: Task) -> None:
        super().__init__(host, reflector)
        self._task = task

    def _list(self, request: Request) -> None:
        with self._task.speaking():
            super()._list(request)
        self._task.wake()

    def _open(self, request: Request, read_timeout_seconds: float) -> None:
        with self._task.speaking():
            super()._open(request, read_timeout_seconds)

    def _arrived(self, line: bytes | None, turn: int, read_timeout_seconds: float) -> None:
        with self._task.speaking():
            super()._arrived(line, turn, read_timeout_seconds)
