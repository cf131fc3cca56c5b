"""The controller: every `InPlaceRollout` of its namespaces, carried out by the planner and the executor of the command.

Level-based: a watch only says which rollout to look at; what to do is decided from the caches when a worker comes to it. One
queue, a few workers, no thread for a run or for a pod. Only the leader works; a process that leads no more ends, and writes
nothing from the moment its Lease is old. Status is written when it has changed, at most once a second for each rollout.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from inplace.engine.rollouts import Ended, Pending, Refused, RolloutState, Waiting, is_run_of, run_id_of
from inplace.engine.rolloutstatus import answered, seen, status_of
from inplace.kube.api import Api
from inplace.kube.cache import Cache
from inplace.kube.clock import seconds_since, stamp
from inplace.kube.codec import Malformed
from inplace.kube.errors import ApiError, NotFound
from inplace.kube.pump import Pump
from inplace.kube.reflector import have_synced, trouble_of
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.kube.retry import ONCE
from inplace.kube.seam import MERGE
from inplace.model.names import FINALIZER
from inplace.model.pods import Pod
from inplace.model.policy import Lease
from inplace.model.rollout import OVER, InPlaceRollout, Phase, RolloutStatus
from inplace.model.run import ENDS, Verb, lease_name
from inplace.runtime import requests
from inplace.runtime.carrier import Carrier
from inplace.runtime.driver import Frame
from inplace.runtime.executor import Executor
from inplace.runtime.host import StoppableWorkers
from inplace.runtime.lanes import LanePool
from inplace.runtime.lock import Fence, LeaderRef, Lock, request_of, run_of
from inplace.runtime.shared import Shared
from inplace.runtime.watched import Watched
from inplace.runtime.workers import PoolWorkers
from inplace.runtime.workqueue import WorkQueue, soonest

STATUS_SECONDS = 1.0
SYNCING_SECONDS = 0.2
STOP_SECONDS = 5.0
BUG_SECONDS = 5.0

Key = tuple[str, str]
"""Namespace and name."""


class Controller:
    """`namespaces`: those it works in; none: all. `prepare` begins to watch, `lead` to work: between them it stands by.

    A simulation drives `reflectors` and calls `step` itself, with workers of its own.
    """

    def __init__(
        self,
        api: Api,
        namespaces: tuple[str, ...],
        leader: LeaderRef,
        fence: Fence,
        watched: Watched,
        *,
        size: int = 4,
        actions: int = 16,
    ) -> None:
        self.api = api
        self.namespaces = namespaces
        self.leader = leader
        self.fence = fence
        self._watched = watched
        self._size = size
        self._log = structlog.get_logger()
        self._pool = LanePool(actions)
        self.make_workers: Callable[[Executor, Lock], StoppableWorkers] | None = None
        """A simulation's own."""
        self.queue: WorkQueue[Key] = WorkQueue(api.clock, lambda key: key[0])
        self._carriers: dict[Key, tuple[str, Carrier]] = {}
        """With the uid of the rollout that each is for."""
        self._statuses: dict[Key, tuple[float, RolloutStatus]] = {}
        """When and what we have written last."""
        self._shared = {
            namespace: Shared(api, namespace, self._watch_changed, watched.unreadable) for namespace in namespaces or (None,)
        }
        self.reflectors = tuple(r for shared in self._shared.values() for r in shared.reflectors)
        for shared in self._shared.values():
            shared.rollouts.subscribe(self._rollout_changed)
            shared.leases.subscribe(self._lease_changed)
        self._trouble = ""
        self._pumps: list[Pump] = []
        self._threads: list[threading.Thread] = []

    def prepare(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begins to watch, on threads. `on_crash`: one of ours died of a bug."""
        self._on_crash = on_crash
        self._pumps = [Pump(reflector, self.api.transport, on_crash) for reflector in self.reflectors]
        for pump in self._pumps:
            pump.start()

    def lead(self) -> None:
        """Begins to work, on threads."""
        self.look_at_all()
        self._threads = [threading.Thread(target=self._work, name=f"rollout-{n}", daemon=True) for n in range(self._size)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begins no more, and waits a little for the writes on their way. What is held stays held by the leader's name, for
        the next leader to take up."""
        self.queue.shut_down()
        for pump in self._pumps:
            pump.stop(0.0)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._pool.shutdown(wait=True)

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
        return have_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        """The last trouble of a watch that is not over."""
        return trouble_of(self.reflectors)

    def step(self) -> bool:
        """Looks at one rollout that is due, if any is."""
        key = self.queue.take()
        if key is not None:
            self._handle(key)
        return key is not None

    def workers(self, executor: Executor, lock: Lock) -> StoppableWorkers:
        if self.make_workers is not None:
            return self.make_workers(executor, lock)
        return PoolWorkers(self._pool, executor, lock, self.api.clock)

    def shared(self, namespace: str) -> Shared:
        return self._shared[namespace if namespace in self._shared else None]

    def is_going_on(self, run_id: str, besides: InPlaceRollout) -> bool:
        """Told by what is carried out here, by what the statuses say, and by the names that runs have: whichever is first."""
        uid = besides.metadata.uid
        if any(known != uid and carrier.run_id == run_id for known, carrier in list(self._carriers.values())):
            return True
        others = self.shared(besides.metadata.namespace).rollouts.snapshot().values()
        return any(
            run_id in (other.status.run_id, run_id_of(other)) and other.status.phase not in OVER
            for other in others
            if other.metadata.uid != uid
        )

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        self._watched.warned(rollout, message)

    def drove(self, rollout: InPlaceRollout, frame: Frame) -> None:
        self._watched.drove(rollout, frame)

    def _work(self) -> None:
        try:
            while (key := self.queue.get()) is not None:
                self._handle(key)
        except BaseException as bug:
            self._on_crash(bug)

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
            self._tell_trouble(key, error)
            self.queue.add_rate_limited(key, error.retry_after_seconds or 0.0)
        except Exception as bug:
            # One rollout's bug must not stop the others: it is begun afresh, later and later.
            failed = bug
            why = f"{type(bug).__name__}: {bug}"
            self._log.exception("a bug: reconciling this rollout again", rollout="/".join(key), why=why)
            self._tell_trouble(key, bug)
            self._forget(key)
            self.queue.add_rate_limited(key, BUG_SECONDS)
        finally:
            self.queue.done(key)
        self._watched.reconciled(self.api.clock.monotonic() - began_at, failed)

    def _reconcile(self, key: Key) -> float | None:
        """Seconds after which to come again; None: only an event changes anything."""
        rollout = self.shared(key[0]).rollouts.named(*key)
        if rollout is None:
            self._forget(key)
            return None
        if not self.fence.is_safe or not self.is_synced:  # in this order: see `Driver.step`
            return SYNCING_SECONDS
        known = self._carriers.get(key)
        if known is not None and known[0] != rollout.metadata.uid:
            self._forget(key)
        if rollout.metadata.deletion_timestamp is not None:
            return self._delete(key, rollout)
        if rollout.unreadable and key not in self._carriers:
            return self._refuse_unread(key, rollout)
        if requests.problem_of(rollout):
            self._take_request(key, rollout)
            rollout = self.shared(key[0]).rollouts.named(*key) or rollout
        if self._is_over(rollout):
            return self._keep(key, rollout)
        if FINALIZER not in (rollout.metadata.finalizers or ()):
            self._set_finalizers(rollout, [*(rollout.metadata.finalizers or ()), FINALIZER])
        carrier = self._carrier(key, rollout)
        came = carrier.step(rollout, self._take_request(key, rollout))
        wait = self._tell(key, rollout, came.state or (Pending() if rollout.status.phase is None else None))
        if carrier.is_over and wait is None:
            return self._keep(key, self.shared(key[0]).rollouts.named(*key) or rollout)
        return soonest(came.requeue_after, wait)

    def _refuse_unread(self, key: Key, rollout: InPlaceRollout) -> float | None:
        """Nothing is begun for it. Where its status is what cannot be read, that is of another version of us, and stays."""
        if "`$.status" in rollout.unreadable or rollout.status.phase in OVER - {"Refused"}:
            return None
        return self._tell(key, rollout, Refused("Unreadable", f"it cannot be read: {rollout.unreadable}"))

    def _is_over(self, rollout: InPlaceRollout) -> bool:
        """Over, as the cluster says too, and not asked to go on; what was refused is judged again once it is edited. One that
        failed may be going on again already, whatever its status says yet."""
        status = rollout.status
        if status.phase not in OVER or request_of(rollout) is not None or self._has_run_under_way(rollout):
            return False
        return status.phase != "Refused" or status.observed_generation == rollout.metadata.generation

    def _keep(self, key: Key, rollout: InPlaceRollout) -> float | None:
        """A rollout that is over: shows what became of its run since, and goes when its time has come."""
        self._forget(key)
        self._let_go(rollout)
        status, meta = rollout.status, rollout.metadata
        wait = None
        lease = self.shared(key[0]).leases.named(meta.namespace, status.lease) if status.lease else None
        with suppress(ValueError):
            run = run_of(lease)
            if run is not None and run.id == status.run_id and run.outcome in ENDS:
                wait = self._tell(key, rollout, Ended(run))
        status = (self.shared(key[0]).rollouts.named(*key) or rollout).status
        if status.observed_generation != meta.generation:
            self._write_status(key, rollout, seen(status, meta.generation))
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
            if isinstance(looked.state, Waiting):
                return soonest(looked.requeue_after, self._tell(key, rollout, looked.state))
        came = carrier.give_up(rollout)
        if came is not None:
            return soonest(came.requeue_after, self._tell(key, rollout, came.state))
        self._forget(key)
        with suppress(NotFound):
            self._let_go(rollout)
        return None

    def _has_run_under_way(self, rollout: InPlaceRollout) -> bool:
        """Whoever drives it, or has left it: as its target's Lease tells."""
        meta = rollout.metadata
        lease = lease_name(rollout.spec.target.ref(meta.namespace))
        with suppress(ValueError):
            run = run_of(self.shared(meta.namespace).leases.named(meta.namespace, lease))
            return is_run_of(run, rollout) and run.is_under_way
        return False

    def _let_go(self, rollout: InPlaceRollout) -> None:
        """Nothing of ours keeps it any more: whoever deletes it, or its namespace, needs no controller."""
        names = rollout.metadata.finalizers or ()
        if FINALIZER in names:
            self._set_finalizers(rollout, [name for name in names if name != FINALIZER])

    def _set_finalizers(self, rollout: InPlaceRollout, names: list[str]) -> None:
        self._patch(rollout, {"metadata": {"finalizers": names or None, "resourceVersion": rollout.metadata.resource_version}})

    def _carrier(self, key: Key, rollout: InPlaceRollout) -> Carrier:
        known = self._carriers.get(key)
        if known is None:
            known = rollout.metadata.uid, Carrier(self, rollout, lambda seconds: self.queue.add_after(key, seconds))
            self._carriers[key] = known
        return known[1]

    def _forget(self, key: Key) -> None:
        known = self._carriers.pop(key, None)
        if known is not None:
            known[1].forget()
            self._watched.gone(known[0])
        self._statuses.pop(key, None)

    def _take_request(self, key: Key, rollout: InPlaceRollout) -> Verb | None:
        """Also one that is none: that is refused in words."""
        asked, problem = requests.take(rollout, self._patch)
        if problem:
            self.warned(rollout, problem)
        last = self._statuses.get(key, (0.0, rollout.status))[1]
        after = answered(last, problem, rollout.metadata.generation, stamp(self.api.clock.utcnow()))
        if after != last and (asked or problem):
            self._write_status(key, rollout, after)
        return asked

    def _patch(self, rollout: InPlaceRollout, body: dict[str, Any], subresource: str = "") -> None:
        """Only to this very object. Raises `ApiError`."""
        meta = rollout.metadata
        whole = {**body, "metadata": {**body.get("metadata", {}), "uid": meta.uid}}
        api = self.api.replace(policy=ONCE, timeout_seconds=5.0)
        with suppress(Malformed):  # done, and what came of it comes by the watch
            answer = api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, whole, MERGE, subresource=subresource)
            self.shared(meta.namespace).rollouts.upsert(answer)

    def _tell(self, key: Key, rollout: InPlaceRollout, state: RolloutState | None) -> float | None:
        """Writes the status if it has changed. Seconds until that is allowed again, if it is not now."""
        if state is None:
            return None
        now = self.api.clock.monotonic()
        written_at, before = self._statuses.get(key, (float("-inf"), rollout.status))
        text = stamp(self.api.clock.utcnow())
        after = status_of(rollout, state, before, text)
        if after == before:
            return None
        if after.phase == before.phase and now < written_at + STATUS_SECONDS:
            return written_at + STATUS_SECONDS - now
        self._write_status(key, rollout, after)
        self._watched.changed(rollout, before, after)
        return None

    def _tell_trouble(self, key: Key, error: Exception) -> None:
        """A rollout that cannot even begin says why; one that goes on says it itself."""
        rollout = self.shared(key[0]).rollouts.named(*key)
        if rollout is not None and rollout.status.phase in (None, "Pending", "Waiting"):
            with suppress(ApiError):
                self._tell(key, rollout, Waiting(type(error).__name__, str(error)))

    def _write_status(self, key: Key, rollout: InPlaceRollout, after: RolloutStatus) -> None:
        known = self.shared(key[0]).rollouts.named(*key) or rollout
        self._patch(known, {"status": after.merge_patch()}, "status")
        self._statuses[key] = (self.api.clock.monotonic(), after)

    def look_at_all(self) -> None:
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
        self.look_at_all()

    def _rollout_changed(self, old: InPlaceRollout | None, new: InPlaceRollout | None) -> None:
        """Our own status writes change nothing that is decided on."""
        there = new or old
        if there is None or (old is not None and new is not None and old.wish == new.wish):
            return
        self.queue.add((there.metadata.namespace, there.metadata.name))

    def _lease_changed(self, old: Lease | None, new: Lease | None) -> None:
        """Renewals are no news; the end of a run is, to the rollout that shows it and to those that wait for its target."""
        if new is None or (old is not None and old.metadata.annotations == new.metadata.annotations):
            return
        meta = new.metadata
        for rollout in self.shared(meta.namespace).rollouts.snapshot().values():
            there = rollout.metadata
            if there.namespace == meta.namespace and lease_name(rollout.spec.target.ref(meta.namespace)) == meta.name:
                self.queue.add((there.namespace, there.name))
