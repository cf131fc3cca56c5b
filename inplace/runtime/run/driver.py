"""Drives one run: handles what happened, plans, stores the run if it changed, and hands the actions to workers.

One pass is `step`. Between passes the driver waits for an event or for the instant that the plan names, so no thread waits for
a pod, and a slot is refilled the moment it is free. The first event after a quiet time is handled at once; in a storm of events
passes keep an interval that grows with the fleet. Nothing is written without the lock, and one object has one action at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from inplace.engine.actions import (
    Action,
    CreateHistoryReplicaSet,
    ListPods,
    ListSlices,
    PatchImages,
    WorkloadAction,
)
from inplace.engine.planning.plan import Plan, PlanContext, RunResult
from inplace.engine.planning.planner import plan
from inplace.engine.planning.waits import still_carried, to_remember
from inplace.engine.preflight.rehearsal import adopt
from inplace.engine.runs.lifecycle import abort, format_requester, is_at_pause_step, pass_pause
from inplace.engine.runs.spec_paused import RELEASE_FIRST
from inplace.engine.snapshot import Snapshot
from inplace.kube.clock import format_time
from inplace.kube.errors import ApiError, ConnectionFailed, Forbidden, NotFound, Unauthorized
from inplace.kube.protocols import Clock
from inplace.model.objects.pods import Pod
from inplace.model.run import Run, RunCommand, StopRequest
from inplace.runtime.errors import ForcedExit, RunAbandoned
from inplace.runtime.informers.inbox import (
    ActionCompleted,
    CacheChanged,
    Inbox,
    PodChanged,
    RunEvent,
    SliceChanged,
    StopRequested,
    ThreadCrashed,
)
from inplace.runtime.informers.snapshot_builder import SnapshotBuilder
from inplace.runtime.informers.target_informers import TargetCaches
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.observability.frames import Frame
from inplace.runtime.requests import read_request, request_problem, requested_by
from inplace.runtime.run.action_tracker import ActionTracker
from inplace.runtime.run.backoff import MAX_REFUSALS, is_stale
from inplace.runtime.run.connectivity import Connectivity
from inplace.runtime.run.executor import ImagesRewritten

TICK_SECONDS = 1.0
"""The longest wait while something is wrong: no event may come then."""

MIN_INTERVAL_PER_POD_SECONDS = 50e-6
MAX_INTERVAL_SECONDS = 0.2
"""From the beginning of one pass to the next: as long as this for each watched pod, which is some seven times what a pass
costs. Small fleets do not notice it; a thousand pods, with hundreds of events a second, cost one pass every 50 ms."""


class Workers(Protocol):
    """Runs actions in the background; `done` may be called on any thread."""

    def submit(self, action: Action, done: Callable[[RunEvent], None]) -> None: ...


class RunInputs(msgspec.Struct, frozen=True):
    """What a driver sees of its target: where events arrive, what they are folded into, and the caches beside."""

    snapshot_builder: SnapshotBuilder
    caches: TargetCaches
    inbox: Inbox


class DriverOptions(msgspec.Struct, frozen=True):
    """`retry_forever`: a refusal of the API server is reported and retried for ever; otherwise the run is abandoned.
    `only_frees`: no pod is taken out of service any more. `dead_leases`: whose records the run may finish."""

    retry_forever: bool = False
    only_frees: bool = False
    dead_leases: frozenset[str] = frozenset()


class Driver:
    """Drives `run`, which must be stored in the lock already. `on_frame` gets every frame.

    Over 200 lines and 15 methods: the loop, the two kinds of answers and the commands share what a pass is planned on.
    """

    def __init__(
        self,
        inputs: RunInputs,
        workers: Workers,
        lock: TargetLock,
        clock: Clock,
        run: Run,
        on_frame: Callable[[Frame], None],
        options: DriverOptions,
        stop: StopRequest | None = None,
    ) -> None:
        self.run = run
        self._options = options
        self._snapshot_builder = inputs.snapshot_builder
        self._caches = inputs.caches
        self._inbox = inputs.inbox
        self._workers = workers
        self._lock = lock
        self._clock = clock
        self._on_frame = on_frame
        self._stop = stop
        self.spec_pause: StopRequest | None = None
        """While it is set nothing new is started, and abort is the only command that is applied."""
        self.may_act: Callable[[], bool] = lambda: True
        """Called before any action is sent. False: not now."""
        self.on_request_rejected: Callable[[str], None] = lambda _why: None
        """Called with the reason why a request is not applied."""
        self.frame: Frame | None = None
        """The last that was published."""
        self._connectivity = Connectivity(inputs.caches, lock, retry_forever=options.retry_forever)
        self._actions = ActionTracker(clock)
        self._timers: dict[str, float] = {}
        self._carried: dict[str, float] | None = None  # timers of an earlier process, until a plan names them
        self._action_error = ""
        self._store_error = ""
        """Why something could not be stored in this pass. Then no event may come that asks for the next pass."""

    def drive(self) -> RunResult:
        """Drives the run to its end. Raises `LockLostError`, `ForcedExit`, `RunAbandoned`, or what one of our threads died
        of."""
        while True:
            started_at = self._clock.monotonic()
            finished, wait_seconds = self.step()
            if finished is not None:
                return finished
            self._inbox.wait(wait_seconds)
            self._keep_interval(started_at)

    @property
    def min_interval_seconds(self) -> float:
        """From the beginning of one pass to the next."""
        return min(MAX_INTERVAL_SECONDS, MIN_INTERVAL_PER_POD_SECONDS * len(self._snapshot_builder.facts))

    def _keep_interval(self, started_at: float) -> None:
        """Events that come meanwhile are handled together, each with the instant at which it came."""
        early = started_at + self.min_interval_seconds - self._clock.monotonic()
        if early > 0:
            self._clock.sleep(early)

    def step(self) -> tuple[RunResult | None, float | None]:
        """Makes one pass. Returns the end of the run, or how many seconds to wait at most for the next event."""
        # In this order: a renewal after a gap unsyncs the caches before it counts, and their lists are here before the events.
        is_safe, is_synced = self._lock.is_safe, self._caches.is_synced
        for at, event in self._inbox.take():
            self._handle_event(event, at)
        now = self._clock.monotonic()
        self._connectivity.require_progress(now, is_safe=is_safe)
        if not is_synced:
            self._action_error = str(self._caches.error or "")
            self._publish_last(now)
            return None, TICK_SECONDS
        self._apply_request()
        now = self._clock.monotonic()
        snapshot = self._snapshot(now)
        context = self._plan_context()
        planned = plan(snapshot, context, self.run, now)
        self._timers = {timer: snapshot.timers.get(timer, now) for timer in planned.timers}
        self._carried = still_carried(self._carried or {}, planned)
        if not is_safe:
            self._publish(snapshot, planned, now)
            return None, TICK_SECONDS
        if planned.finished is not None:
            self.run = planned.run  # stored in the write that releases the lock, so that an end is stored whole or not at all
            self._publish(snapshot, planned, now)
            return planned.finished, None
        is_stored = self._store(planned.run) and (not planned.actions or self._actions_allowed())
        self._publish(snapshot, planned, now)
        for action in planned.actions if is_stored else ():
            self._actions.start(action)
            self._workers.submit(action, self._inbox.put)
        return None, self._wait_seconds(planned, now)

    def _snapshot(self, now: float) -> Snapshot:
        """What the next plan is judged on."""
        actions, builder = self._actions, self._snapshot_builder
        closing, busy = actions.closing(now, builder.facts), actions.busy(now)
        stale = self._connectivity.stale_reason(now)
        snapshot = builder.build(now, self._current_timers(now), busy, closing, actions.fields_returned, stale)
        return actions.annotate(snapshot, now)

    def _plan_context(self) -> PlanContext:
        since, options = format_time(self._clock.utcnow()), self._options
        return PlanContext(self._lock.name, self._stop or self.spec_pause, since, options.dead_leases, options.only_frees)

    def _current_timers(self, now: float) -> dict[str, float]:
        if self._carried is None:
            self._carried = self._snapshot_builder.restore_timers(self.run, now, self._clock.utcnow())
        return {**self._carried, **self._timers}

    def _wait_seconds(self, planned: Plan, now: float) -> float | None:
        waits = [at - now for at in self._actions.retry_times(now)]
        waits += [at - now for at in to_remember(planned, self._timers)]
        if planned.requeue_after_seconds is not None:
            waits.append(planned.requeue_after_seconds)
        if self._connectivity.has_error or self._store_error:
            waits.append(TICK_SECONDS)
        self._store_error = ""
        return max(0.0, min(waits)) if waits else None

    def _handle_event(self, event: RunEvent, at: float) -> None:
        match event:
            case PodChanged() | SliceChanged():
                self._snapshot_builder.handle(event, at)
            case ActionCompleted():
                self._on_action_completed(event)
            case StopRequested(stop=stop):
                if self._stop is not None and self._stop is not stop:
                    raise ForcedExit
                self._stop = stop
            case ThreadCrashed(error=error):
                raise error
            case CacheChanged():
                pass

    def _on_action_completed(self, event: ActionCompleted) -> None:
        self._actions.end(event.action)
        if event.error is not None:
            self._on_action_error(event.action, event.error)
            return
        self._actions.succeed(event)
        self._action_error = ""
        match event.action:
            case ListSlices():
                self._snapshot_builder.on_slices_listed(event.result, event.sent_at)
            case ListPods():
                self._snapshot_builder.on_pods_listed(event.result, event.sent_at)
                for at, other in self._inbox.take():
                    self._handle_event(other, at)
            case PatchImages(images=images) if isinstance(event.result, Pod):
                have = event.result.spec.images()
                self._snapshot_builder.on_images_patched(
                    event.action.key, {name: have[name] for name in images if name in have}
                )
            case _:
                pass

    def _on_action_error(self, action: Action, error: ApiError) -> None:
        """Drops the plan; the next one is made after a wait. The plan finds a way around what is refused on the workload. What
        is refused on a pod stops the run: closed pods are freed first, and what is still refused then is left as it is."""
        times = self._actions.fail(action, error)
        if isinstance(error, NotFound) or is_stale(error):
            return
        adopted = adopt(self.run, error.images) if isinstance(error, ImagesRewritten) else None
        if adopted is not None and self._store(adopted):
            return
        self._action_error = str(error)
        if self._options.retry_forever or isinstance(action, (WorkloadAction, CreateHistoryReplicaSet)):
            return
        if isinstance(error, Forbidden) or (times >= MAX_REFUSALS and not isinstance(error, (ConnectionFailed, Unauthorized))):
            if self._stop is not None:
                raise RunAbandoned(f"the API server refuses: {error}")
            self._stop = StopRequest("Failed", f"the API server refuses: {error}")

    def _apply_request(self) -> None:
        """Applies the request on the Lease; the write that stores its effect removes it. One that is no request goes, too."""
        lease = self._caches.leases.get_by_name(self.run.target.namespace, self._lock.name)
        command, problem = read_request(lease), request_problem(lease)
        if command is not None:
            self.apply_command(command, requested_by(lease), clear_request=True)
        elif problem and self._store(self.run, clear_request=True):
            self.on_request_rejected(problem)

    def _actions_allowed(self) -> bool:
        is_allowed = self.may_act()
        self._store_error = self._store_error or ("" if is_allowed else "the InPlaceRollout cannot be written")
        return is_allowed

    @property
    def is_idle_at_pause(self) -> bool:
        """Whether the run stands at a pause step, with nothing in flight."""
        planned = self.frame.plan if self.frame is not None else None
        is_quiet = planned is not None and not planned.actions and not planned.progress.in_flight and self._actions.is_idle
        return is_quiet and is_at_pause_step(self.run) and self.run.commit is None and not self.run.rolling_back

    def stop(self, stop: StopRequest) -> None:
        """Ends the run early, unless it is stopping already."""
        self._stop = self._stop or stop

    def apply_command(self, command: RunCommand, by: str, *, clear_request: bool = False) -> bool:
        """`by`: who gave the command; empty: unknown. False: it could not be stored now. Raises `LockLostError`."""
        match command:
            case "pause":
                self.stop(StopRequest("Paused", f"paused {format_requester(by)}"))
                return self._store(self.run, clear_request=clear_request)
            case "resume" | "promote" if self.spec_pause is not None:
                self.on_request_rejected(f"asked to {command}, but {RELEASE_FIRST}")
                return self._store(self.run, clear_request=clear_request)
            case "resume" | "promote":
                changed = pass_pause(self.run)
            case "abort":
                changed = abort(self.run, by)
        is_stored = self._store(changed, clear_request=clear_request)
        if is_stored and self._stop is not None and self._stop.outcome == "Paused":
            self._stop = None
        if is_stored and command == "abort":
            self.spec_pause = None
        return is_stored

    def update_run(self, run: Run) -> bool:
        """Goes on with the same run under other options. False: it could not be stored now. Raises `LockLostError`."""
        return self._store(run)

    def _store(self, run: Run, *, clear_request: bool = False) -> bool:
        """Stores the run if it changed, before any action of its plan. False: not now, try again. Raises `LockLostError`."""
        if run == self.run and not clear_request:
            return True
        try:
            self._lock.save(run, clear_request=clear_request)
        except ApiError as error:
            self._store_error = f"the run cannot be stored: {error}"
            return False
        if self._lock.lease is not None:
            self._caches.leases.upsert(self._lock.lease)
        self.run = run
        return True

    def _publish(self, snapshot: Snapshot, planned: Plan, now: float) -> None:
        since = {pod.uid: self._timers[pod.timer] for pod in planned.pods if pod.timer in self._timers}
        lock_problem = self._connectivity.lock_problem(is_safe=self._lock.is_safe)
        self.frame = Frame(snapshot, planned, since, now, lock_problem or self._store_error or self._action_error)
        self._on_frame(self.frame)

    def _publish_last(self, now: float) -> None:
        """Publishes the last frame again with the present error: nothing newer may be planned on."""
        if self.frame is not None:
            trouble = self._connectivity.lock_problem(is_safe=self._lock.is_safe) or self._action_error
            self.frame = msgspec.structs.replace(self.frame, now=now, trouble=trouble)
            self._on_frame(self.frame)
