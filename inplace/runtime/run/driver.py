"""Drives one run: takes in what happened, plans, stores the run if it changed, and hands the actions to workers.

One pass is `step`; between passes the driver waits for an event or for the plan's own instant, so no thread waits for a pod and
a slot is refilled the moment it frees. The first event after quiet is acted on at once; in a storm of events passes keep a
distance that grows with the fleet. Nothing is written without the lock, and one object has one action at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from inplace.engine.actions import (
    DISRUPTIVE_ACTIONS,
    Action,
    ClaimBudget,
    CreateHistoryReplicaSet,
    ListPods,
    ListSlices,
    PatchImages,
    ReleaseBudget,
    RestoreFieldOwners,
    WorkloadAction,
    required_budgets,
)
from inplace.engine.planning.plan import Plan, PlanContext, RunResult
from inplace.engine.planning.planner import plan
from inplace.engine.planning.waits import still_carried, to_remember
from inplace.engine.preflight.rehearsal import adopt
from inplace.engine.runs.lifecycle import abort, format_requester, is_at_pause_step, pass_pause
from inplace.engine.runs.spec_paused import RELEASE_FIRST
from inplace.engine.snapshot import Snapshot
from inplace.kube.clock import format_time
from inplace.kube.errors import (
    ApiError,
    ConnectionFailed,
    Forbidden,
    NotFound,
    Unauthorized,
)
from inplace.kube.protocols import Clock
from inplace.model.durations import format_duration
from inplace.model.objects.pods import Pod
from inplace.model.run import Run, RunCommand, StopRequest
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
from inplace.runtime.lease.disruption_claims import DisruptionClaim
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.observability.frames import Frame
from inplace.runtime.requests import read_request, request_problem, requested_by
from inplace.runtime.run.backoff import MAX_REFUSALS, ActionBackoff, is_stale, may_be_done
from inplace.runtime.run.executor import ImagesRewritten

STALE_CACHE_SECONDS = 10.0
"""How long a watch may be failing before its cache is called old."""
PATIENCE_SECONDS = 300.0
"""How long the lock may go unrenewed, and nothing be written, before the run is left as it is."""
UNCONFIRMED_SECONDS = 15.0
"""How long such an act without an answer counts as done: a watch shows it long before."""
TICK_SECONDS = 1.0
"""The longest wait while something is wrong: no events may come then."""

MIN_INTERVAL_PER_POD_SECONDS = 50e-6
LONGEST_DISTANCE_SECONDS = 0.2
"""From the beginning of one pass to the next, for each pod that is watched: some seven times what a pass costs. So small
fleets notice nothing, and a thousand pods, with hundreds of events a second, cost a pass every 50 ms."""


class RunAbandoned(Exception):
    """The run cannot go on now and is left as it is; `str()` is one line for a person. The same command resumes it."""


class ForcedExit(Exception):
    """The person asked twice: leave now."""


class Workers(Protocol):
    """Runs actions in the background; `done` may be called on any thread."""

    def submit(self, action: Action, done: Callable[[RunEvent], None]) -> None: ...


class Driver:
    """`run` must be stored in the lock already. `told` gets every frame. `is_patient`: what the API server refuses is said, and
    tried again for ever, instead of the run being abandoned."""

    def __init__(
        self,
        observer: SnapshotBuilder,
        watches: TargetCaches,
        workers: Workers,
        lock: TargetLock,
        inbox: Inbox,
        clock: Clock,
        run: Run,
        told: Callable[[Frame], None],
        stop: StopRequest | None = None,
        dead_leases: frozenset[str] = frozenset(),
        *,
        is_patient: bool = False,
        only_frees: bool = False,
    ) -> None:
        self.run = run
        self._is_patient = is_patient
        self._only_frees = only_frees
        self._observer = observer
        self._watches = watches
        self._workers = workers
        self._lock = lock
        self._inbox = inbox
        self._clock = clock
        self._told = told
        self._stop = stop
        self.spec_pause: StopRequest | None = None
        """While there is one, nothing more is started, and only an abort is obeyed."""
        self.may_act: Callable[[], bool] = lambda: True
        """Asked before anything is done. False: not now."""
        self.on_request_rejected: Callable[[str], None] = lambda _why: None
        """Called with why a request is not obeyed."""
        self._dead_leases = dead_leases
        self._timers: dict[str, float] = {}
        self._carried: dict[str, float] | None = None  # timers of the process before us, until a plan names them
        self._busy: dict[str, Action] = {}
        self._rests = ActionBackoff()
        self._unanswered: dict[str, float] = {}
        self._fields_returned: frozenset[str] = frozenset()
        self._claims: dict[str, DisruptionClaim] = {}
        self._trouble = ""
        self._unstored = ""
        """Why something could not be stored in this pass. Nothing else may come that asks for the next."""
        self._blind_since: float | None = None
        self._stuck_since: float | None = None
        self.frame: Frame | None = None
        """The last that was told."""

    def drive(self) -> RunResult:
        """To the end. Raises `LostLock`, `Left`, `Abandoned`, or what a thread of ours died of."""
        while True:
            began_at = self._clock.monotonic()
            finished, wait_seconds = self.step()
            if finished is not None:
                return finished
            self._inbox.wait(wait_seconds)
            self._keep_distance(began_at)

    @property
    def min_interval_seconds(self) -> float:
        """From the beginning of one pass to the next."""
        return min(LONGEST_DISTANCE_SECONDS, MIN_INTERVAL_PER_POD_SECONDS * len(self._observer.facts))

    def _keep_distance(self, began_at: float) -> None:
        """What comes meanwhile is taken in together, each event with the instant at which it came."""
        early = began_at + self.min_interval_seconds - self._clock.monotonic()
        if early > 0:
            self._clock.sleep(early)

    def step(self) -> tuple[RunResult | None, float | None]:
        """One pass: the end, or how long to wait at most for the next event."""
        # In this order: a renewal after a gap unsyncs the caches before it counts, and what syncs them is here by then.
        is_safe, is_synced = self._lock.is_safe, self._watches.is_synced
        for at, event in self._inbox.take():
            self._take_in(event, at)
        now = self._clock.monotonic()
        self._keep_patience(now, is_safe=is_safe)
        if not is_synced:
            self._trouble = str(self._watches.error or "")
            self._tell_again(now)
            return None, TICK_SECONDS
        self._obey_request()
        now = self._clock.monotonic()
        closing = [*(key for key, action in self._busy.items() if isinstance(action, DISRUPTIVE_ACTIONS)), *self._doubtful(now)]
        busy = self._rests.waiting_keys(now).union(self._busy)
        observed = self._observer.build(now, self._timers_at(now), busy, closing, self._fields_returned, self._blind(now))
        claims = {name: claimed.room if claimed.until > now else 0 for name, claimed in self._claims.items()}
        observed = msgspec.structs.replace(observed, denials=self._rests.denials, claims=claims)
        since = format_time(self._clock.utcnow())
        spec = PlanContext(self._lock.name, self._stop or self.spec_pause, since, self._dead_leases, self._only_frees)
        planned = plan(observed, spec, self.run, now)
        self._timers = {timer: observed.timers.get(timer, now) for timer in planned.timers}
        self._carried = still_carried(self._carried or {}, planned)
        if not is_safe:
            self._tell(observed, planned, now)
            return None, TICK_SECONDS
        if planned.finished is not None:
            self.run = planned.run  # stored in the write that lets go of the lock, so that no end is left half told
            self._tell(observed, planned, now)
            return planned.finished, None
        is_stored = self._stored(planned.run) and (not planned.actions or self._allowed())
        self._tell(observed, planned, now)
        for action in planned.actions if is_stored else ():
            self._busy[action.key] = action
            if isinstance(action, DISRUPTIVE_ACTIONS):
                self._claims |= {name: self._claims[name].used() for name in required_budgets(action)}
            self._workers.submit(action, self._inbox.put)
        return None, self._wait_seconds(planned, now)

    def _timers_at(self, now: float) -> dict[str, float]:
        if self._carried is None:
            self._carried = self._observer.restore_timers(self.run, now, self._clock.utcnow())
        return {**self._carried, **self._timers}

    def _doubtful(self, now: float) -> list[str]:
        """Pods whose close was sent and not answered, until they show it or a while has passed: they count as closing."""
        facts = self._observer.facts
        self._unanswered = {
            key: until
            for key, until in self._unanswered.items()
            if until > now and (known := facts.get(key)) is not None and known.record is None
        }
        return list(self._unanswered)

    def _keep_patience(self, now: float, *, is_safe: bool) -> None:
        """Raises `Abandoned` where nothing may be written for too long, or nothing be seen: a person who has logged in again
        by then, or a network that is back, is waited for, and nobody for ever."""
        is_denied = isinstance(self._watches.error, (Unauthorized, Forbidden)) and not self._is_patient
        if is_safe and not is_denied:
            self._stuck_since = None
            return
        self._stuck_since = now if self._stuck_since is None else self._stuck_since
        if now - self._stuck_since > PATIENCE_SECONDS:
            why = self._lock_trouble(is_safe=is_safe) or str(self._watches.error or "")
            raise RunAbandoned(f"stopped after {format_duration(PATIENCE_SECONDS)} without a way on: {why}")

    def _lock_trouble(self, *, is_safe: bool) -> str:
        """What keeps the lock from being renewed. That we are refused is told at once, anything else once it matters."""
        match self._lock.error:
            case Unauthorized() | Forbidden() as error:
                return f"{error}; nothing is written until that is mended"
            case error if is_safe:
                return ""
            case error:
                why = f" ({error})" if error is not None else ""
                return f"the API server cannot be reached, or is slow{why}: nothing is written until the lock is renewed"

    def _blind(self, now: float) -> str:
        """Why the caches may be old."""
        error = self._watches.error
        if error is None:
            self._blind_since = None
            return ""
        self._blind_since = now if self._blind_since is None else self._blind_since
        return str(error) if now - self._blind_since > STALE_CACHE_SECONDS else ""

    def _wait_seconds(self, planned: Plan, now: float) -> float | None:
        waits = [until - now for until in self._rests.retry_times(now)]
        waits += [at - now for at in to_remember(planned, self._timers)]
        if planned.requeue_after is not None:
            waits.append(planned.requeue_after)
        if self._watches.error is not None or self._unstored or self._lock.error is not None:
            waits.append(TICK_SECONDS)
        self._unstored = ""
        return max(0.0, min(waits)) if waits else None

    def _take_in(self, event: RunEvent, at: float) -> None:
        match event:
            case PodChanged() | SliceChanged():
                self._observer.handle(event, at)
            case ActionCompleted():
                self._performed(event)
            case StopRequested(stop=stop):
                if self._stop is not None and self._stop is not stop:
                    raise ForcedExit
                self._stop = stop
            case ThreadCrashed(error=error):
                raise error
            case CacheChanged():
                pass

    def _performed(self, event: ActionCompleted) -> None:
        key = event.action.key
        self._busy.pop(key, None)
        if isinstance(event.action, ReleaseBudget):
            self._claims.pop(event.action.name, None)  # refused or not: whatever holds of it ends by itself
        if event.error is not None:
            self._refused(event.action, event.error)
            return
        self._rests.on_success(event.action, self._clock.monotonic(), self._clock.jitter())
        self._trouble = ""
        match event.action:
            case ListSlices():
                self._observer.on_slices_listed(event.result, event.sent_at)
            case ListPods():
                self._observer.on_pods_listed(event.result, event.sent_at)
                for at, other in self._inbox.take():
                    self._take_in(other, at)
            case ClaimBudget(budget=budget):
                self._claims[budget.metadata.name] = event.result
            case RestoreFieldOwners():
                self._fields_returned |= {key}
            case PatchImages(images=images) if isinstance(event.result, Pod):
                have = event.result.spec.images()
                self._observer.on_images_patched(key, {name: have[name] for name in images if name in have})

    def _refused(self, action: Action, error: ApiError) -> None:
        """Forget the plan, look again after a rest. What is refused of the workload itself the plan finds a way around; where
        it is of a pod, the run stops: those that are closed are freed first, and what is refused then too, it leaves."""
        now = self._clock.monotonic()
        times = self._rests.on_error(action, error, now, self._clock.jitter())
        if isinstance(action, DISRUPTIVE_ACTIONS) and may_be_done(action, error):
            self._unanswered[action.key] = now + UNCONFIRMED_SECONDS
        if isinstance(error, NotFound) or is_stale(error):
            return
        adopted = adopt(self.run, error.images) if isinstance(error, ImagesRewritten) else None
        if adopted is not None and self._stored(adopted):
            return
        self._trouble = str(error)
        if self._is_patient or isinstance(action, (WorkloadAction, CreateHistoryReplicaSet)):
            return
        if isinstance(error, Forbidden) or (times >= MAX_REFUSALS and not isinstance(error, (ConnectionFailed, Unauthorized))):
            if self._stop is not None:
                raise RunAbandoned(f"the API server refuses: {error}")
            self._stop = StopRequest("Failed", f"the API server refuses: {error}")

    def _obey_request(self) -> None:
        """A verb's request on the Lease; it goes in the write that stores its effect. One that is none goes, too."""
        lease = self._watches.leases.get_by_name(self.run.target.namespace, self._lock.name)
        asked, problem = read_request(lease), request_problem(lease)
        if asked is not None:
            self.apply_command(asked, requested_by(lease), clear_request=True)
        elif problem and self._stored(self.run, clear_request=True):
            self.on_request_rejected(problem)

    def _allowed(self) -> bool:
        is_allowed = self.may_act()
        self._unstored = self._unstored or ("" if is_allowed else "the InPlaceRollout cannot be written")
        return is_allowed

    @property
    def is_idle_at_pause(self) -> bool:
        """It stands at a timed pause, and nothing of it is in flight."""
        planned = self.frame.plan if self.frame is not None else None
        is_quiet = planned is not None and not planned.actions and not planned.progress.in_flight and not self._busy
        return is_quiet and is_at_pause_step(self.run) and self.run.commit is None and not self.run.rolling_back

    def stop(self, stop: StopRequest) -> None:
        """Ends it early, unless it is about to already."""
        self._stop = self._stop or stop

    def apply_command(self, verb: RunCommand, by: str, *, clear_request: bool = False) -> bool:
        """`by`: who asks; empty: nobody knows. False: it could not be stored now. Raises `LostLock`."""
        match verb:
            case "pause":
                self.stop(StopRequest("Paused", f"paused {format_requester(by)}"))
                return self._stored(self.run, clear_request=clear_request)
            case "resume" | "promote" if self.spec_pause is not None:
                self.on_request_rejected(f"asked to {verb}, but {RELEASE_FIRST}")
                return self._stored(self.run, clear_request=clear_request)
            case "resume" | "promote":
                goes_on = pass_pause(self.run)
            case "abort":
                goes_on = abort(self.run, by)
        is_stored = self._stored(goes_on, clear_request=clear_request)
        if is_stored and self._stop is not None and self._stop.outcome == "Paused":
            self._stop = None
        if is_stored and verb == "abort":
            self.spec_pause = None
        return is_stored

    def update_run(self, run: Run) -> bool:
        """The same run with other options. False: it could not be stored now. Raises `LostLock`."""
        return self._stored(run)

    def _stored(self, run: Run, *, clear_request: bool = False) -> bool:
        """Stores the run if it changed: before any action of its plan. False: not now, try again. Raises `LostLock`."""
        if run == self.run and not clear_request:
            return True
        try:
            self._lock.save(run, clear_request=clear_request)
        except ApiError as error:
            self._unstored = f"the run cannot be stored: {error}"
            return False
        if self._lock.lease is not None:
            self._watches.leases.upsert(self._lock.lease)
        self.run = run
        return True

    def _tell(self, observed: Snapshot, planned: Plan, now: float) -> None:
        since = {pod.uid: self._timers[pod.timer] for pod in planned.pods if pod.timer in self._timers}
        trouble = self._lock_trouble(is_safe=self._lock.is_safe) or self._unstored or self._trouble
        self.frame = Frame(observed, planned, since, now, trouble)
        self._told(self.frame)

    def _tell_again(self, now: float) -> None:
        """What was seen last, with what troubles us now: nothing newer may be judged on."""
        if self.frame is not None:
            trouble = self._lock_trouble(is_safe=self._lock.is_safe) or self._trouble
            self.frame = msgspec.structs.replace(self.frame, now=now, trouble=trouble)
            self._told(self.frame)
