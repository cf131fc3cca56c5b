"""What a controller gives each of the rollouts that it carries out: the API server, its leadership, and a view of the target.

An `Outlook` is to a rollout what the watches of a session are to a command, but costs no thread and no request: it is fed from
the shared caches, and whatever comes only says that there is something to look at.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from inplace.engine.snapshot import Snapshot
from inplace.kube.api import ApiClient
from inplace.kube.protocols import Clock
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, lease_name
from inplace.runtime.informers.inbox import RunEvent
from inplace.runtime.informers.shared_informers import RunCaches, SharedInformers
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder
from inplace.runtime.lease.lock import Fence, LeaderRef, TargetLock
from inplace.runtime.lookup import ResolvedTarget
from inplace.runtime.observability.frames import Frame
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.resolver import RunResolver


class ReconcilerContext(Protocol):
    """What all rollouts of a controller stand on."""

    @property
    def api(self) -> ApiClient: ...

    @property
    def leader(self) -> LeaderRef: ...

    @property
    def fence(self) -> Fence: ...

    def workers(self, executor: Executor, lock: TargetLock) -> WorkerPool: ...

    def shared(self, namespace: str) -> SharedInformers: ...

    def claimed_by(self, run_id: str, besides: InPlaceRollout) -> str:
        """The name of another rollout, which is not over and has that run; empty: there is none."""
        ...

    def keep(self, rollout: InPlaceRollout) -> bool:
        """Our finalizer is on the rollout, so that it does not go before what is done now is freed. False: not yet."""
        ...

    def warned(self, rollout: InPlaceRollout, message: str) -> None: ...

    def drove(self, rollout: InPlaceRollout, frame: Frame) -> None:
        """After each pass of its run."""
        ...


class EnqueueingInbox:
    """Events of one run. Whatever comes makes `poke` known how many seconds may pass until the next pass. Thread-safe."""

    def __init__(self, clock: Clock, poke: Callable[[float], None]) -> None:
        self._clock = clock
        self._poke = poke
        self._lock = threading.Lock()
        self._events: deque[tuple[float, RunEvent]] = deque()
        self.rest_until = 0.0
        """What comes before is taken in together then."""

    def put(self, event: RunEvent) -> None:
        at = self._clock.monotonic()
        with self._lock:
            self._events.append((at, event))
        self._poke(max(0.0, self.rest_until - at))

    def take(self) -> list[tuple[float, RunEvent]]:
        with self._lock:
            taken, self._events = list(self._events), deque()
        return taken

    def wait(self, seconds: float | None) -> None:  # noqa: ARG002
        raise AssertionError("a controller's thread never waits for one run")


class RolloutView:
    """One target and what is around it, until `close`."""

    def __init__(
        self, api: ApiClient, shared: SharedInformers, run: Run, found: ResolvedTarget, poke: Callable[[float], None]
    ) -> None:
        self._clock = api.clock
        self.found = found
        self.inbox = EnqueueingInbox(api.clock, poke)
        self.part = RunCaches(shared, run.target, found.selector, lease_name(run.target), self.inbox.put)
        self.observer = SnapshotBuilder(self.part, run.target, found.uid)
        self.assessor = RunResolver(api, run.target, found, self.look, self.part)
        self.close = self.part.close

    def look(self, run: Run) -> Snapshot:
        """The snapshot that the run would be judged on."""
        self.observer.accept_undrainable(run.options.accept_undrainable)
        self.absorb()
        return self.now()

    def absorb(self) -> None:
        """For when no driver takes in what comes."""
        for at, event in self.inbox.take():
            self.observer.handle(event, at)

    def show(self, lock: TargetLock) -> None:
        """Our own write of the Lease is seen at once, so that no request is obeyed twice."""
        if lock.lease is not None:
            self.part.leases.upsert(lock.lease)

    def now(self) -> Snapshot:
        return self.observer.build(self._clock.monotonic(), {})
