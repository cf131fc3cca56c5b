"""The controller: every `InPlaceRollout` of its namespaces, carried out by the planner and the executor of the command.

Level-based: a watch only says which rollout to look at; what to do is decided from the caches when a worker comes to it. One
queue, a few workers, no thread for a run or for a pod. Only the leader works; a process that leads no more ends, and writes
nothing from the moment its Lease is old. Status is written when it has changed, at most once a second for each rollout.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import structlog

from inplace.engine.runs.rollout_status import with_observed_generation
from inplace.engine.runs.rollouts import FinishedState, PendingState, RejectedState, WaitingState, default_run_id, owns_run
from inplace.kube.api import ApiClient
from inplace.kube.clock import seconds_since
from inplace.kube.errors import ApiError, NotFound
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.reflector import all_synced, first_error
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.kube.workqueue import WorkQueue, soonest
from inplace.model.objects.coordination import Lease
from inplace.model.objects.pods import Pod
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout, Phase
from inplace.model.run import TERMINAL_OUTCOMES, lease_name
from inplace.runtime.controller.backend import ControllerBackend, ThreadControllerBackend
from inplace.runtime.controller.listeners import ControllerListener
from inplace.runtime.controller.reconciler import RolloutReconciler
from inplace.runtime.controller.status_writer import Key, RolloutWriter
from inplace.runtime.finalizers import as_deleted
from inplace.runtime.informers.shared_informers import SharedInformers
from inplace.runtime.lease.lock import Fence, LeaderRef, TargetLock, run_from_lease
from inplace.runtime.observability.frames import Frame
from inplace.runtime.requests import read_request, request_problem
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.executor import Executor
from inplace.runtime.threads import Joinable, Watching

SYNCING_SECONDS = 0.2
STOP_SECONDS = 5.0
BUG_SECONDS = 5.0


class Controller:
    """`namespaces`: those it works in; none: all. Between `start_informers` and `start_workers` it stands by."""

    def __init__(
        self,
        api: ApiClient,
        namespaces: tuple[str, ...],
        leader: LeaderRef,
        fence: Fence,
        watched: ControllerListener,
        *,
        workers: int = 4,
        backend: ControllerBackend | None = None,
    ) -> None:
        self.api = api
        self.namespaces = namespaces
        self.leader = leader
        self.fence = fence
        self._watched = watched
        self._size = workers
        self._log = structlog.get_logger()
        self._backend = backend or ThreadControllerBackend()
        self._running = self._backend.threads
        self.queue: WorkQueue[Key] = WorkQueue(api.clock, lambda key: key[0], self._running.condition())
        self._carriers: dict[Key, tuple[str, RolloutReconciler]] = {}
        """With the uid of the rollout that each is for."""
        self._shared = {
            namespace: SharedInformers(api, namespace, self._watch_changed, watched.unreadable)
            for namespace in namespaces or (None,)
        }
        self._writer = RolloutWriter(api, self.shared, watched)
        self.reflectors = tuple(r for shared in self._shared.values() for r in shared.reflectors)
        for shared in self._shared.values():
            shared.rollouts.subscribe(self._rollout_changed)
            shared.leases.subscribe(self._lease_changed)
        self._trouble = ""
        self._watching: list[Watching] = []
        self._workers: list[Joinable] = []

    def start_informers(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begin to watch. `on_crash` gets the bug that ended a watch."""
        self._watching = [self._running.watching(r, self.api.transport, on_crash) for r in self.reflectors]
        for watching in self._watching:
            watching.start()

    def start_workers(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begin to work. `on_crash` gets the bug that ended a worker."""
        self.enqueue_all()
        self._workers = [self._running.loop(f"rollout-{n}", self.process_next, on_crash) for n in range(self._size)]

    def stop(self) -> None:
        """Begin nothing more, and wait a little for the writes on their way. What is held stays held in the leader's name, for
        the next leader to take up."""
        self.queue.shut_down()
        for watching in self._watching:
            watching.stop(0.0)
        for worker in self._workers:
            worker.join(STOP_SECONDS)
        self._backend.shutdown()

    @property
    def pod_caches(self) -> tuple[Cache[Pod], ...]:
        """Of each namespace it works in, or one of all."""
        return tuple(shared.pods for shared in self._shared.values())

    def count(self, phase: Phase) -> int:
        """Rollouts in that phase."""
        caches = (shared.rollouts for shared in self._shared.values())
        return sum(rollout.status.phase == phase for cache in caches for rollout in cache.snapshot().values())

    @property
    def is_synced(self) -> bool:
        return all_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        """The last trouble of a watch that is not over."""
        return first_error(self.reflectors)

    def process_next(self) -> bool:
        """Wait for the next rollout that is due, and reconcile it. False: the queue is shut down."""
        key = self.queue.get()
        if key is None:
            return False
        self._handle(key)
        return True

    def workers(self, executor: Executor, lock: TargetLock) -> WorkerPool:
        return self._backend.workers(executor, lock, self.api.clock)

    def shared(self, namespace: str) -> SharedInformers:
        return self._shared[namespace if namespace in self._shared else None]

    def claimed_by(self, run_id: str, besides: InPlaceRollout) -> str:
        """Told by what is carried out here, by what the statuses say, and by the names that runs have: whichever is first."""
        uid = besides.metadata.uid
        for (_, name), (known, carrier) in list(self._carriers.items()):
            if known != uid and carrier.run_id == run_id:
                return name
        for other in self.shared(besides.metadata.namespace).rollouts.snapshot().values():
            has_it = run_id in (other.status.run_id, default_run_id(other)) and other.status.phase not in TERMINAL_PHASES
            if has_it and other.metadata.uid != uid:
                return other.metadata.name
        return ""

    def keep(self, rollout: InPlaceRollout) -> bool:
        return self._writer.keep(rollout)

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        self._watched.warned(rollout, message)

    def drove(self, rollout: InPlaceRollout, frame: Frame) -> None:
        self._watched.drove(rollout, frame)

    def _handle(self, key: Key) -> None:
        began_at = self.api.clock.monotonic()
        failed: Exception | None = None
        try:
            after = self._reconcile(key)
            self.queue.forget(key)
            if after is not None:
                self.queue.add_after(key, after)
        except ApiError as error:
            failed = error
            self._log.warning("trying again", rollout="/".join(key), why=str(error))
            self._writer.tell_trouble(key, error)
            self.queue.add_rate_limited(key, error.retry_after_seconds or 0.0)
        except Exception as bug:
            # One rollout's bug must not stop the others: it is begun afresh, later and later.
            failed = bug
            why = f"{type(bug).__name__}: {bug}"
            self._log.exception("a bug: reconciling this rollout again", rollout="/".join(key), why=why)
            self._writer.tell_trouble(key, bug)
            self._forget(key)
            self.queue.add_rate_limited(key, BUG_SECONDS)
        finally:
            self.queue.done(key)
        self._watched.reconciled(self.api.clock.monotonic() - began_at, failed)

    def _reconcile(self, key: Key) -> float | None:
        """Seconds after which to come again; None: only an event changes anything."""
        rollout = self.shared(key[0]).rollouts.get_by_name(*key)
        known = self._carriers.get(key)
        if rollout is None and known is None:
            return None
        if not self.fence.is_safe or not self.is_synced:  # in this order: see `Driver.step`
            return SYNCING_SECONDS
        if known is not None and (rollout is None or known[0] != rollout.metadata.uid):
            came = known[1].give_up(as_deleted(known[1].rollout))
            if came is not None:
                return came.requeue_after
            self._forget(key)
        if rollout is None:
            return None
        if rollout.metadata.deletion_timestamp is not None:
            return self._delete(key, rollout)
        if rollout.unreadable and key not in self._carriers:
            return self._refuse_unread(key, rollout)
        if request_problem(rollout):
            self._writer.take_request(key, rollout)
            rollout = self.shared(key[0]).rollouts.get_by_name(*key) or rollout
        if self._is_over(rollout):
            return self._finished(key, rollout)
        carrier = self._carrier(key, rollout)
        came = carrier.step(rollout, self._writer.take_request(key, rollout))
        if not carrier.has_to_free:  # before anybody is told that it stands, or is over, and acts on that
            self._writer.let_go(self.shared(key[0]).rollouts.get_by_name(*key) or rollout)
        elif rollout.spec.on_delete == "Abort":
            self._writer.keep(rollout)  # also where it came to that by an edit, with nothing in flight
        wait = self._writer.tell(key, rollout, came.state or (PendingState() if rollout.status.phase is None else None))
        if carrier.is_over and wait is None:
            return self._finished(key, self.shared(key[0]).rollouts.get_by_name(*key) or rollout)
        return soonest(came.requeue_after, wait)

    def _refuse_unread(self, key: Key, rollout: InPlaceRollout) -> float | None:
        """Nothing is begun for it. Where its status is what cannot be read, that is of another version of us, and stays."""
        if "`$.status" in rollout.unreadable or rollout.status.phase in TERMINAL_PHASES - {"Refused"}:
            return None
        return self._writer.tell(key, rollout, RejectedState("Unreadable", f"it cannot be read: {rollout.unreadable}"))

    def _is_over(self, rollout: InPlaceRollout) -> bool:
        """Over, as the cluster says too, and not asked to go on; what was refused is judged again once it is edited. One that
        failed may be going on again already, whatever its status says yet."""
        status = rollout.status
        if status.phase not in TERMINAL_PHASES or read_request(rollout) is not None or self._has_run_under_way(rollout):
            return False
        return status.phase != "Refused" or status.observed_generation == rollout.metadata.generation

    def _finished(self, key: Key, rollout: InPlaceRollout) -> float | None:
        """A rollout that is over: shows what became of its run since, and goes when its time has come."""
        self._forget(key)
        self._writer.let_go(rollout)
        status, meta = rollout.status, rollout.metadata
        wait = None
        lease = self.shared(key[0]).leases.get_by_name(meta.namespace, status.lease) if status.lease else None
        with suppress(ValueError):
            run = run_from_lease(lease)
            if run is not None and run.id == status.run_id and run.outcome in TERMINAL_OUTCOMES:
                wait = self._writer.tell(key, rollout, FinishedState(run))
        status = (self.shared(key[0]).rollouts.get_by_name(*key) or rollout).status
        if status.observed_generation != meta.generation:
            self._writer.write_status(key, rollout, with_observed_generation(status, meta.generation))
        ttl = rollout.spec.ttl_seconds_after_finished
        if ttl is None or not status.finished_at:
            return wait
        left = ttl - (seconds_since(status.finished_at, self.api.clock.utcnow()) or 0.0)
        if left <= 0:
            with suppress(NotFound):
                self.api.delete(INPLACE_ROLLOUTS, meta.namespace, meta.name, uid=meta.uid)
            return None
        return soonest(left, wait)

    def _delete(self, key: Key, rollout: InPlaceRollout) -> float | None:
        """Ends what goes on as the rollout says, also where it went on under the leader before us."""
        carrier = self._carrier(key, rollout)
        if not carrier.run_id and self._has_run_under_way(rollout):
            looked = carrier.step(rollout, None)
            if isinstance(looked.state, WaitingState):
                return soonest(looked.requeue_after, self._writer.tell(key, rollout, looked.state))
        came = carrier.give_up(rollout)
        if came is not None:
            return soonest(came.requeue_after, self._writer.tell(key, rollout, came.state))
        self._forget(key)
        with suppress(NotFound):
            self._writer.let_go(rollout)
        return None

    def _has_run_under_way(self, rollout: InPlaceRollout) -> bool:
        """Whoever drives it, or has left it: as its target's Lease tells."""
        meta = rollout.metadata
        lease = lease_name(rollout.spec.target.ref(meta.namespace))
        with suppress(ValueError):
            run = run_from_lease(self.shared(meta.namespace).leases.get_by_name(meta.namespace, lease))
            return owns_run(run, rollout) and run.is_active
        return False

    def _carrier(self, key: Key, rollout: InPlaceRollout) -> RolloutReconciler:
        known = self._carriers.get(key)
        if known is None:
            known = rollout.metadata.uid, RolloutReconciler(self, rollout, lambda seconds: self.queue.add_after(key, seconds))
            self._carriers[key] = known
        return known[1]

    def _forget(self, key: Key) -> None:
        known = self._carriers.pop(key, None)
        if known is not None:
            known[1].forget()
            self._watched.gone(known[0])
        self._writer.forget(key)

    def enqueue_all(self) -> None:
        """Every rollout, at once: for who begins to lead, and when a watch has come back."""
        for shared in self._shared.values():
            for rollout in shared.rollouts.snapshot().values():
                self.queue.add((rollout.metadata.namespace, rollout.metadata.name))

    def _watch_changed(self) -> None:
        """A watch has begun, or is in trouble, or out of it."""
        trouble = str(self.error or "")
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._log.warning("cannot watch, trying again", why=trouble)
            else:
                self._log.info("watching again")
        self.enqueue_all()

    def _rollout_changed(self, old: InPlaceRollout | None, new: InPlaceRollout | None) -> None:
        """Our own status writes change nothing that is decided on."""
        there = new or old
        if there is None or (old is not None and new is not None and old.user_input == new.user_input):
            return
        key = (there.metadata.namespace, there.metadata.name)
        known = self._carriers.get(key)
        if new is None and known is not None and known[0] == there.metadata.uid:
            known[1].rollout = there  # an edit that came with its end counts, too
        self.queue.add(key)

    def _lease_changed(self, old: Lease | None, new: Lease | None) -> None:
        """Renewals are no news; the end of a run is, to the rollout that shows it and to those that wait for its target."""
        if new is None or (old is not None and old.metadata.annotations == new.metadata.annotations):
            return
        meta = new.metadata
        for rollout in self.shared(meta.namespace).rollouts.snapshot().values():
            there = rollout.metadata
            if there.namespace == meta.namespace and lease_name(rollout.spec.target.ref(meta.namespace)) == meta.name:
                self.queue.add((there.namespace, there.name))
