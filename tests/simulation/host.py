"""What runs beside a session, on the scheduler instead of on threads: inbox, watches, workers, the Lease's renewer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from inplace.engine.actions import Action
from inplace.kube.errors import ApiError, ConnectionFailed
from inplace.kube.informers.reflector import List, Reflector, Wait
from inplace.kube.informers.reflector import Watch as WatchCommand
from inplace.kube.informers.reflector_thread import LIST_TIMEOUT_SECONDS
from inplace.kube.limiter import RateLimiter
from inplace.kube.protocols import Clock, Request, Response
from inplace.runtime.informers.inbox import Inbox, RunEvent
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import RENEW_SECONDS, TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.run.backend import Runnable, WorkerPool
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.workers import perform
from inplace.sim.api.watching import Watch
from inplace.sim.clock import EventLoop, Timer
from tests.simulation.machine import Machine
from tests.simulation.transport import SimTransport

WORKERS = 8


class SimulatedBackend:
    """Implements `runtime.host.Host`.

    `rtt_seconds` is a request's round trip, `watch_seconds` gives how late the next watch line comes: both may be changed at
    any time. A limiter makes workers wait for their turn.
    """

    def __init__(self, scheduler: EventLoop, transport: SimTransport, limiter: RateLimiter | None = None) -> None:
        self.scheduler = scheduler
        self.machine = Machine(scheduler)
        self.transport = transport
        self.limiter = limiter
        self.rtt_seconds: Callable[[], float] = lambda: 0.004
        self.watch_seconds: Callable[[str], float] = lambda _plural: 0.003
        self.pumps: list[VirtualPump] = []

    def inbox(self, clock: Clock) -> Inbox:
        return VirtualInbox(self, clock)

    def informers(self, informers: TargetInformers) -> Runnable:
        return VirtualWatching(self, informers)

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        return VirtualWorkers(self, executor, lock, clock)

    def renewer(self, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> Runnable:
        return VirtualRenewer(self.machine, lock, on_lost)

    def event_recorder(self, events: EventRecorder) -> Runnable:
        return VirtualRecording(events)

    def cut_watches(self) -> None:
        """Every open watch breaks, as when a proxy in between restarts."""
        for pump in self.pumps:
            pump.cut()


class VirtualInbox:
    """Waiting lets the cluster's time pass until something is here."""

    def __init__(self, host: SimulatedBackend, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._events: deque[tuple[float, RunEvent]] = deque()

    def put(self, event: RunEvent) -> None:
        self._events.append((self._clock.monotonic(), event))

    def take(self) -> list[tuple[float, RunEvent]]:
        taken = list(self._events)
        self._events.clear()
        return taken

    def wait(self, seconds: float | None) -> None:
        scheduler = self._host.scheduler
        ends_at = float("inf") if seconds is None else scheduler.now + seconds
        while not self._events:
            at = scheduler.next_at
            if at is None or at > ends_at:
                assert ends_at < float("inf"), "nothing will ever happen again"
                scheduler.run_until(ends_at)
                return
            scheduler.run_next()


class VirtualWatching:
    """A pump for each reflector."""

    def __init__(self, host: SimulatedBackend, watches: TargetInformers) -> None:
        self._host = host
        self._pumps = [VirtualPump(host, reflector) for reflector in watches.reflectors]

    def start(self) -> None:
        self._host.pumps += self._pumps
        for pump in self._pumps:
            pump.go_on()

    def stop(self) -> None:
        for pump in self._pumps:
            pump.stop()
            self._host.pumps.remove(pump)


class VirtualPump:
    """What `kube.pump` does on a thread: carries out what a reflector asks for. Lines stay in order, however late they come."""

    def __init__(self, host: SimulatedBackend, reflector: Reflector[Any]) -> None:
        self._host = host
        self._reflector = reflector
        self._watch: Watch | None = None
        self._stall: Timer | None = None
        self._arrives_at = 0.0
        self._turn = 0
        """Grows with each connection, so that lines of one that is over are not taken for this one's."""
        self._is_stopped = False
        reflector.hang_up = self._drop

    @property
    def plural(self) -> str:
        return self._reflector.resource.plural

    def go_on(self) -> None:
        if self._is_stopped:
            return
        match self._reflector.next_command():
            case Wait(seconds):
                self._host.machine.after(seconds, self.go_on)
            case List(request):
                self._host.machine.after(self._host.rtt_seconds(), lambda: self._list(request))
            case WatchCommand(request, read_timeout_seconds):
                self._host.machine.after(self._host.rtt_seconds(), lambda: self._open(request, read_timeout_seconds))

    def stop(self) -> None:
        self._is_stopped = True
        self._hang_up()

    def cut(self) -> None:
        if self._watch is not None:
            self._hang_up()
            self._reflector.on_error(ConnectionFailed("the watch broke"))
            self.go_on()

    def _drop(self) -> None:
        """Of no use any more."""
        if self._watch is not None:
            self._hang_up()
            self._reflector.on_closed()
            self.go_on()

    def _list(self, request: Request) -> None:
        if self._is_stopped:
            return
        try:
            self._reflector.on_listed(self._host.transport.call(request, LIST_TIMEOUT_SECONDS))
        except ApiError as error:
            self._reflector.on_error(error)
        self.go_on()

    def _open(self, request: Request, read_timeout_seconds: float) -> None:
        if self._is_stopped:
            return
        if self._reflector.is_behind:
            self.go_on()
            return
        try:
            answer = self._host.transport.ask(request)
        except ApiError as error:
            self._reflector.on_error(error)
            self.go_on()
            return
        if isinstance(answer, Response):
            self._reflector.on_opened(answer)
            self.go_on()
            return
        if not self._reflector.on_opened(Response(status=200, body=b"")):
            self.go_on()
            return
        self._turn += 1
        turn = self._turn
        self._arrives_at = self._host.scheduler.now
        self._expect_more(read_timeout_seconds, turn)
        watch = answer.start(lambda line: self._sent(line, turn, read_timeout_seconds))
        self._watch = watch if watch.is_open else None

    def _sent(self, line: bytes | None, turn: int, read_timeout_seconds: float) -> None:
        """The server has written it; it arrives a moment later."""
        if turn != self._turn:
            return
        machine = self._host.machine
        self._arrives_at = max(self._arrives_at, machine.scheduler.now + self._host.watch_seconds(self.plural))
        machine.at(self._arrives_at, lambda: self._arrived(line, turn, read_timeout_seconds))

    def _arrived(self, line: bytes | None, turn: int, read_timeout_seconds: float) -> None:
        if turn != self._turn or self._is_stopped:
            return
        if line is None:
            self._hang_up()
            self._reflector.on_closed()
            self.go_on()
        elif self._reflector.on_line(line):
            self._expect_more(read_timeout_seconds, turn)
        else:
            self._hang_up()
            self.go_on()

    def _expect_more(self, seconds: float, turn: int) -> None:
        """Silence for this long is a dead connection."""
        if self._stall is not None:
            self._stall.cancel()

        def stalled() -> None:
            if turn == self._turn:
                self._hang_up()
                self._reflector.on_error(ConnectionFailed("nothing came for too long"))
                self.go_on()

        self._stall = self._host.machine.after(seconds, stalled)

    def _hang_up(self) -> None:
        self._turn += 1
        if self._stall is not None:
            self._stall.cancel()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


class VirtualWorkers:
    """Eight at a time; each action is one request, and takes a round trip."""

    def __init__(self, host: SimulatedBackend, executor: Executor, lock: TargetLock, clock: Clock) -> None:
        self._host = host
        self._executor = executor
        self._lock = lock
        self._clock = clock
        self._waiting: deque[tuple[Action, Callable[[RunEvent], None]]] = deque()
        self._busy = 0
        self._is_stopped = False

    def submit(self, action: Action, done: Callable[[RunEvent], None]) -> None:
        self._waiting.append((action, done))
        self._begin()

    def stop(self) -> None:
        self._is_stopped = True
        self._waiting.clear()

    def _begin(self) -> None:
        while self._waiting and self._busy < WORKERS:
            action, done = self._waiting.popleft()
            self._busy += 1
            turn = self._host.limiter.reserve() if self._host.limiter else 0.0
            self._host.machine.after(turn + self._host.rtt_seconds(), lambda a=action, d=done: self._perform(a, d))  # type: ignore[misc]

    def _perform(self, action: Action, done: Callable[[RunEvent], None]) -> None:
        event = perform(self._executor, self._lock, self._clock, action)
        self._busy -= 1
        if not self._is_stopped:
            done(event)
            self._begin()


class VirtualRecording:
    """Nobody waits for Events, so they are written in one go, at the end."""

    def __init__(self, events: EventRecorder) -> None:
        self._events = events

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._events.finish()
        while self._events.step():
            pass


class VirtualRenewer:
    """As `runtime.lock.Renewer`."""

    def __init__(self, machine: Machine, lock: TargetLock, on_lost: Callable[[BaseException], None]) -> None:
        self._machine = machine
        self._lock = lock
        self._on_lost = on_lost
        self._timer: Timer | None = None
        self._is_stopped = False

    def start(self) -> None:
        self._timer = self._machine.after(RENEW_SECONDS, self._renew)

    def stop(self) -> None:
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _renew(self) -> None:
        wait = RENEW_SECONDS
        try:
            self._lock.renew()
        except ApiError:
            wait = 1.0
        except BaseException as lost:
            self._on_lost(lost)
            return
        if not self._is_stopped:
            self._timer = self._machine.after(wait, self._renew)
