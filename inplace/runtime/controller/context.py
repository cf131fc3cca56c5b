"""What the reconcilers of a controller share, and the view that each has of its target.

A `RolloutView` is to a rollout what the informers of a session are to a command, but costs no thread and no request: it is fed
from the shared caches, and an event in it only says that there is something to reconcile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inplace.engine.snapshot import Snapshot
from inplace.kube.api import ApiClient
from inplace.kube.codec import Unreadable
from inplace.kube.protocols import Clock
from inplace.model.rollout import InPlaceRollout, RolloutStatus
from inplace.model.run import Run, lease_name
from inplace.runtime.informers.inbox import RunEvent
from inplace.runtime.informers.informer_set import InformerSet
from inplace.runtime.informers.shared_informers import RunCaches, SharedInformers
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder
from inplace.runtime.lease.lock import Fence, LeaderRef, TargetLock
from inplace.runtime.lookup import ResolvedTarget
from inplace.runtime.observability.frames import Frame
from inplace.runtime.run.backend import ControllerBackend
from inplace.runtime.run.resolver import RunResolver


class ControllerListener(Protocol):
    """Hears of a controller's work, for events and metrics (`TelemetryListener`); the controller knows neither.

    It is called in the middle of a reconcile: it must be quick and must not raise.
    """

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        """A status was written."""
        ...

    def warned(self, rollout: InPlaceRollout, message: str) -> None: ...

    def reconciled(self, seconds: float, error: BaseException | None) -> None: ...

    def unreadable(self, lost: Unreadable) -> None:
        """A watched object cannot be read; called once for each reason."""
        ...

    def on_frame(self, rollout: InPlaceRollout, frame: Frame) -> None:
        """The rollout's run has made one iteration."""
        ...

    def released(self, uid: str) -> None:
        """That rollout is not reconciled here any more."""
        ...


@dataclass(frozen=True)
class ReconcilerContext:
    """What a rollout's reconciler may use of its controller."""

    api: ApiClient
    leader: LeaderRef
    fence: Fence
    informers: InformerSet
    backend: ControllerBackend
    listener: ControllerListener
    claimant: Callable[[str, InPlaceRollout], str]
    """`ActiveRollouts.claimant`: which rollout other than this one has that run."""
    add_finalizer: Callable[[InPlaceRollout], bool]
    """`RolloutWriter.add_finalizer`: no rollout may go before what is done now has been freed."""


class EnqueueingInbox:
    """Events of one run. `enqueue_after` is called with the seconds that may pass until the next reconcile. Thread-safe."""

    def __init__(self, clock: Clock, enqueue_after: Callable[[float], None]) -> None:
        self._clock = clock
        self._enqueue_after = enqueue_after
        self._lock = threading.Lock()
        self._events: deque[tuple[float, RunEvent]] = deque()
        self.debounce_until = 0.0
        """Events that come before this instant are handled together."""

    def put(self, event: RunEvent) -> None:
        at = self._clock.monotonic()
        with self._lock:
            self._events.append((at, event))
        self._enqueue_after(max(0.0, self.debounce_until - at))

    def take(self) -> list[tuple[float, RunEvent]]:
        with self._lock:
            taken, self._events = list(self._events), deque()
        return taken

    def wait(self, seconds: float | None) -> None:  # noqa: ARG002
        raise AssertionError("a controller's thread never waits for one run")


class RolloutView:
    """One target and what is around it, until `close`."""

    def __init__(
        self,
        api: ApiClient,
        informers: SharedInformers,
        run: Run,
        target: ResolvedTarget,
        enqueue_after: Callable[[float], None],
    ) -> None:
        self._clock = api.clock
        self.target = target
        self.inbox = EnqueueingInbox(api.clock, enqueue_after)
        self.caches = RunCaches(informers, run.target, target.selector, lease_name(run.target), self.inbox.put)
        self.builder = SnapshotBuilder(self.caches, run.target, target.uid)
        self.resolver = RunResolver(api, run.target, target, self.snapshot_for, self.caches)
        self.close = self.caches.close

    def snapshot_for(self, run: Run) -> Snapshot:
        """Return the snapshot that the run would be judged on."""
        self.builder.accept_undrainable(run.options.accept_undrainable)
        self.drain_inbox()
        return self.snapshot()

    def drain_inbox(self) -> None:
        """Take in the events that have come; for when no driver does."""
        for at, event in self.inbox.take():
            self.builder.handle(event, at)

    def store_lease(self, lock: TargetLock) -> None:
        """Put the Lease as we have just written it into the cache, so that no request is obeyed twice."""
        if lock.lease is not None:
            self.caches.leases.upsert(lock.lease)

    def snapshot(self) -> Snapshot:
        return self.builder.build(self._clock.monotonic(), {})
