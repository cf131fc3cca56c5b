"""The parts of a controller on an embedded cluster: caches are watched on virtual time, a test calls each reconcile."""

from __future__ import annotations

from inplace.kube.codec import Unreadable
from inplace.kube.protocols import Clock
from inplace.kube.workqueue import WorkQueue
from inplace.model.rollout import InPlaceRollout, RolloutStatus
from inplace.runtime.controller.active_rollouts import ActiveRollouts
from inplace.runtime.controller.context import ReconcilerContext
from inplace.runtime.controller.status_writer import RolloutWriter
from inplace.runtime.controller.syncer import RolloutSyncer
from inplace.runtime.informers.informer_set import InformerSet, Key
from inplace.runtime.lease.lock import LeaderRef, TargetLock
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.observability.frames import Frame
from inplace.runtime.run.backend import Runnable, WorkerPool
from inplace.runtime.run.executor import Executor
from inplace.runtime.threads import SYSTEM_THREADS
from tests.simulation.host import VirtualPump, VirtualRecording
from tests.simulation.simulated_cluster import SimulatedCluster

KEY: Key = ("shop", "up")
LEADER = LeaderRef("shop", "inplace-controller", "me")


class Leading:
    """A fence: we lead until somebody says otherwise."""

    is_safe = True


class VirtualBackend:
    """Implements `run.backend.ControllerBackend`: actions are performed on the cluster's own time."""

    threads = SYSTEM_THREADS

    def __init__(self, world: SimulatedCluster) -> None:
        self._host = world.host

    def workers(self, executor: Executor, lock: TargetLock, clock: Clock) -> WorkerPool:
        return self._host.workers(executor, lock, clock)

    def event_recorder(self, events: EventRecorder) -> Runnable:
        return VirtualRecording(events)

    def shutdown(self) -> None:
        pass


class RecordingListener:
    """Implements `controller.context.ControllerListener`."""

    def __init__(self) -> None:
        self.phases: list[str | None] = []
        self.warnings: list[str] = []
        self.lost: list[Unreadable] = []

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.phase != before.phase:
            self.phases.append(after.phase)

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        self.warnings.append(message)

    def reconciled(self, seconds: float, error: BaseException | None) -> None:
        pass

    def unreadable(self, lost: Unreadable) -> None:
        self.lost.append(lost)

    def on_frame(self, rollout: InPlaceRollout, frame: Frame) -> None:
        pass

    def released(self, uid: str) -> None:
        pass


class ControllerBench:
    """In namespace `shop`, with everything listed."""

    def __init__(self, world: SimulatedCluster) -> None:
        self.world = world
        self.listener, self.fence = RecordingListener(), Leading()
        self.queue: WorkQueue[Key] = WorkQueue(world.clock)
        self.informers = InformerSet(world.api, ("shop",), self.listener.unreadable)
        self.active = ActiveRollouts(self.informers)
        self.writer = RolloutWriter(world.api, self.informers, self.listener)
        self.context = ReconcilerContext(
            world.api,
            LEADER,
            self.fence,
            self.informers,
            VirtualBackend(world),
            self.listener,
            self.active.claimant,
            self.writer.add_finalizer,
        )
        self.syncer = RolloutSyncer(self.context, self.writer, self.active, self.queue.add_after)

    def watch(self) -> None:
        """Begins to watch, and waits until everything is listed."""
        for reflector in self.informers.reflectors:
            VirtualPump(self.world.host, reflector).go_on()
        self.world.wait(lambda: self.informers.is_synced)

    @property
    def rollout(self) -> InPlaceRollout:
        found = self.informers.rollout(KEY)
        assert found is not None
        return found

    def sync_until(self, phase: str, seconds: float = 300.0) -> None:
        """Syncs as often as it is asked to, until the cached status has that phase."""
        ends_at = self.world.scheduler.now + seconds
        while self.rollout.status.phase != phase:
            assert self.world.scheduler.now < ends_at, self.rollout.status
            wait_seconds = self.syncer.sync(KEY)
            self.world.scheduler.run_for(min(0.5 if wait_seconds is None else wait_seconds, 0.5) or 0.01)
