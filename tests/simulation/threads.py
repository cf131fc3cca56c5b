"""The controller's threads as tasks on virtual time: the loops are the product's, only one runs at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inplace.kube.informers.reflector import Reflector
from inplace.kube.protocols import Clock, Transport
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.run.backend import Runnable, WorkerPool
from inplace.runtime.run.executor import Executor
from tests.simulation.host import VirtualRecording
from tests.simulation.tasks import SpeakingPump, Task, TaskHost, TaskKilled, Tasks


class TaskThreads:
    """Implements `runtime.threads.Threads` for the process of `task`. An iteration takes a round trip, so that time passes."""

    def __init__(self, host: TaskHost, clock: Clock, task: Callable[[], Task]) -> None:
        self._host = host
        self._clock = clock
        self._task = task
        self.loops: list[Task] = []

    def loop(self, name: str, iterate: Callable[[], bool], on_crash: Callable[[BaseException], None]) -> TaskJoin:
        ended = TaskEvent(self._host.tasks)

        def work() -> int:
            try:
                while iterate():
                    self._clock.sleep(self._host.rtt_seconds())
            except TaskKilled:
                raise
            except BaseException as bug:
                on_crash(bug)
            ended.set()
            return 0

        process = self._task()
        self.loops.append(self._host.tasks.start(work, self._host.machine, (process.stdout, process.stderr)))
        return TaskJoin(ended)

    def condition(self) -> TaskCondition:
        return TaskCondition(self._host.tasks)

    def event(self) -> TaskEvent:
        return TaskEvent(self._host.tasks)

    def exit_queue(self) -> TaskExitQueue:
        return TaskExitQueue(self._host.tasks)

    def watching(
        self,
        reflector: Reflector[Any],
        transport: Transport,
        on_crash: Callable[[BaseException], None],
    ) -> TaskWatching:
        return TaskWatching(SpeakingPump(self._host, reflector, self._task()))

    def kill(self) -> None:
        for task in self.loops:
            task.throw(TaskKilled())


class TaskCondition:
    """Nobody else runs meanwhile, so it locks nothing."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._waiting: list[Task] = []

    def __enter__(self) -> TaskCondition:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> bool:
        task = self._tasks.current
        assert task is not None
        self._waiting.append(task)
        try:
            task.wait(timeout)
        finally:
            was_notified = task not in self._waiting
            if not was_notified:
                self._waiting.remove(task)
        return was_notified

    def notify(self) -> None:
        if self._waiting:
            self._waiting.pop(0).wake()

    def notify_all(self) -> None:
        while self._waiting:
            self.notify()


class TaskEvent:
    def __init__(self, tasks: Tasks) -> None:
        self._changed = TaskCondition(tasks)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            self._changed.wait(timeout)
        return self._is_set


class TaskExitQueue:
    def __init__(self, tasks: Tasks) -> None:
        self._changed = TaskCondition(tasks)
        self._items: list[BaseException | None] = []

    def put(self, item: BaseException | None, /) -> None:
        self._items.append(item)
        self._changed.notify()

    def get(self) -> BaseException | None:
        while not self._items:
            self._changed.wait()
        return self._items.pop(0)


class TaskJoin:
    def __init__(self, ended: TaskEvent) -> None:
        self._ended = ended

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)


class TaskWatching:
    def __init__(self, pump: SpeakingPump) -> None:
        self._pump = pump

    def start(self) -> None:
        self._pump.go_on()

    def stop(self, timeout_seconds: float) -> None:
        self._pump.stop()


class TaskBackend:
    """Implements `run.backend.ControllerBackend`."""

    def __init__(self, host: TaskHost, threads: TaskThreads) -> None:
        self.threads = threads
        self._host = host

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        return self._host.workers(executor, lock, clock)

    def event_recorder(self, events: EventRecorder) -> Runnable:
        return VirtualRecording(events)

    def shutdown(self) -> None:
        pass
