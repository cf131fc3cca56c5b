"""The controller: reconciles every `InPlaceRollout` of its namespaces with the command's own planner and executor.

Level-based: a watch only says which rollout to reconcile; what to do is decided from the caches when a worker gets its key. One
queue, a few workers, no thread for a run or for a pod. Only the leader works; a process that has lost leadership ends, and
writes nothing from the moment its Lease is old.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError
from inplace.kube.workqueue import WorkQueue
from inplace.runtime.controller.active_rollouts import ActiveRollouts
from inplace.runtime.controller.context import ControllerListener, ReconcilerContext
from inplace.runtime.controller.event_handlers import EventHandlers
from inplace.runtime.controller.status_writer import RolloutWriter
from inplace.runtime.controller.syncer import RolloutSyncer
from inplace.runtime.informers.informer_set import InformerSet, Key
from inplace.runtime.lease.lock import Fence, LeaderRef
from inplace.runtime.run.backend import ControllerBackend, ThreadControllerBackend
from inplace.runtime.threads import Joinable, Watching

STOP_SECONDS = 5.0
"""How long `stop` waits for each worker."""
BUG_SECONDS = 5.0
"""How long a rollout rests at least after a bug."""


class Controller:
    """The queue and its workers. `namespaces` empty: all. Between `start_informers` and `start_workers` it stands by."""

    def __init__(
        self,
        api: ApiClient,
        namespaces: tuple[str, ...],
        leader: LeaderRef,
        fence: Fence,
        listener: ControllerListener,
        *,
        workers: int = 4,
        backend: ControllerBackend | None = None,
    ) -> None:
        self.api = api
        self.namespaces = namespaces
        self.leader = leader
        self._listener = listener
        self._size = workers
        self._log = structlog.get_logger()
        self._backend = backend = backend or ThreadControllerBackend()
        self.informers = InformerSet(api, namespaces, listener.unreadable)
        self.queue: WorkQueue[Key] = WorkQueue(api.clock, lambda key: key[0], backend.threads.condition())
        active = ActiveRollouts(self.informers)
        self._writer = RolloutWriter(api, self.informers, listener)
        self._syncer = RolloutSyncer(
            ReconcilerContext(
                api, leader, fence, self.informers, backend, listener, active.claimant, self._writer.add_finalizer
            ),
            self._writer,
            active,
            self.queue.add_after,
        )
        self._handlers = EventHandlers(self.informers, self.queue, active)
        self._handlers.register()
        self._watching: list[Watching] = []
        self._workers: list[Joinable] = []

    def start_informers(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begin to watch. `on_crash` gets the bug that ended a watch."""
        threads, transport = self._backend.threads, self.api.transport
        self._watching = [threads.watching(reflector, transport, on_crash) for reflector in self.informers.reflectors]
        for watching in self._watching:
            watching.start()

    def start_workers(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begin to reconcile. `on_crash` gets the bug that ended a worker."""
        self._handlers.enqueue_all()
        threads = self._backend.threads
        self._workers = [threads.loop(f"rollout-{n}", self.process_next, on_crash) for n in range(self._size)]

    def stop(self) -> None:
        """Begin nothing more, and wait a little for the writes on their way. What is held stays held in the leader's name, for
        the next leader to take up."""
        self.queue.shut_down()
        for watching in self._watching:
            watching.stop(0.0)
        for worker in self._workers:
            worker.join(STOP_SECONDS)
        self._backend.shutdown()

    def process_next(self) -> bool:
        """Wait for the next rollout that is due, and reconcile it. False: the queue is shut down."""
        key = self.queue.get()
        if key is None:
            return False
        began_at = self.api.clock.monotonic()
        try:
            error = self._reconcile(key)
        finally:
            self.queue.done(key)
        self._listener.reconciled(self.api.clock.monotonic() - began_at, error)
        return True

    def _reconcile(self, key: Key) -> Exception | None:
        """Return what went wrong; the rollout is enqueued again then, later each time."""
        try:
            requeue_after = self._syncer.sync(key)
        except ApiError as error:
            self._log.warning("trying again", rollout="/".join(key), why=str(error))
            self._writer.report_error(key, error)
            self.queue.add_rate_limited(key, error.retry_after_seconds or 0.0)
            return error
        except Exception as bug:
            # One rollout's bug must not stop the others: its reconciler is made anew.
            why = f"{type(bug).__name__}: {bug}"
            self._log.exception("a bug: reconciling this rollout again", rollout="/".join(key), why=why)
            self._writer.report_error(key, bug)
            self._syncer.close(key)
            self.queue.add_rate_limited(key, BUG_SECONDS)
            return bug
        self.queue.forget(key)
        if requeue_after is not None:
            self.queue.add_after(key, requeue_after)
        return None
