"""Follows a run that somebody else drives, with the frames that driving it here would give.

The follower watches what the holder watches and reads the run from the Lease, but performs nothing, so both have the same live
view. It plans when something has changed, not for each drawing, and writes nothing. It may be left at any time; the run goes
on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inplace.engine.planning.plan import Plan, PodProgress, RunResult
from inplace.engine.pods.stages import IN_FLIGHT
from inplace.engine.snapshot import Snapshot
from inplace.engine.status.estimate import CurrentTime, estimate_pods, estimate_wait
from inplace.kube.errors import Forbidden, Unauthorized
from inplace.model.objects.coordination import Lease
from inplace.model.run import Run, StopRequest, lease_name
from inplace.runtime.foreground.followed_run import FinishedUnseen, FollowedRun
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.informers.inbox import StopRequested, ThreadCrashed
from inplace.runtime.lease.run_states import current_time
from inplace.runtime.observability.frames import Frame, FrameHandler
from inplace.runtime.observability.statistics import RunStatistics, Summary
from inplace.runtime.run.connectivity import PATIENCE_SECONDS

POLL_SECONDS = 1.0
"""How often the follower checks whether the run is over."""
MIN_FRAME_SECONDS = 0.1
"""The shortest time from one frame to the next: nobody reads faster, and events come in storms."""
IDLE_FACTOR = 5
"""The next frame waits at least this many times as long as the last one took, so that following costs a fifth of a core at
most, whatever the size of the fleet."""
LATE_SECONDS = 3.0
"""A follower that starts this long after the run has missed a part of it."""


class FollowInterrupted(Exception):
    """A person stopped following; the run goes on, if it has begun. `cli_args`: what names it on the command line."""

    def __init__(self, stop: StopRequest, cli_args: tuple[str, ...], *, has_begun: bool) -> None:
        goes_on = "the run goes on in the cluster" if has_begun else "the run has not begun, and stays queued for a controller"
        super().__init__(f"{stop.message}; {goes_on}")
        self.stop = stop
        self.cli_args = cli_args


class Follower:
    """`followed`: the run, and when it is over."""

    def __init__(self, view: TargetView, followed: FollowedRun, on_frame: FrameHandler) -> None:
        self._view = view
        self._followed = followed
        self._on_frame = on_frame
        self._clock = view.api.clock
        self._statistics = RunStatistics(self._clock.monotonic())
        self._last: Frame | None = None
        self._stages: dict[str, tuple[str, float | None]] = {}
        """A pod's uid to its stage, and to when that was seen to begin; None: before this follower started."""
        self._error = ""
        self._refused_since: float | None = None
        self._was_running = False
        """Whether the run was seen before its end."""

    def follow(self) -> Summary | FinishedUnseen:
        """Follows until the run is over. Raises `FollowInterrupted`, `RefusedError` if the run was refused, and `ApiError`."""
        now = self._clock.monotonic()
        poll_at, frame_at, due_at, has_changed = now, now, now, True
        while True:
            has_changed = self._handle_events() or has_changed or self._error != self._current_error()
            now, is_synced = self._clock.monotonic(), self._view.informers.is_synced
            self._require_access(now)
            if is_synced and now >= frame_at and (has_changed or now >= due_at):
                wait_seconds = self._publish(now)
                due_at = now + wait_seconds if wait_seconds is not None else float("inf")
                took_seconds = self._clock.monotonic() - now
                frame_at, has_changed = now + max(MIN_FRAME_SECONDS, took_seconds * IDLE_FACTOR), False
            if now >= poll_at:
                poll_at = now + POLL_SECONDS
                finished = self._followed.poll(self._lease(), is_synced=is_synced)
                if finished is not None:
                    return self._end(finished)
            self._view.inbox.wait(MIN_FRAME_SECONDS if has_changed else POLL_SECONDS / 2)

    def _require_access(self, now: float) -> None:
        """Raises the `ApiError` of the watches once it has lasted long enough to log in again."""
        error = self._view.informers.error
        if not isinstance(error, (Unauthorized, Forbidden)):
            self._refused_since = None
            return
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._refused_since > PATIENCE_SECONDS:
            raise error

    def _handle_events(self) -> bool:
        """Whether there were any."""
        events = self._view.inbox.take()
        for at, event in events:
            match event:
                case StopRequested(stop=stop):
                    has_begun = self._followed.read_run(self._lease()) is not None
                    raise FollowInterrupted(stop, self._followed.cli_args, has_begun=has_begun)
                case ThreadCrashed(error=error):
                    raise error
                case _:
                    self._view.snapshot_builder.handle(event, at)
        return bool(events)

    def _lease(self) -> Lease | None:
        target = self._view.target
        return self._view.informers.leases.get_by_name(target.namespace, lease_name(target))

    def _current_error(self) -> str:
        return str(self._view.informers.error or "") or self._followed.error

    def _publish(self, now: float) -> float | None:
        """Publishes a frame as the holder would. Returns after how many seconds time alone may change it."""
        self._error = self._current_error()
        run = self._followed.read_run(self._lease())
        if run is None:
            return None
        if self._last is not None and self._last.plan.run.id != run.id:
            self._statistics = RunStatistics(now)
        builder = self._view.snapshot_builder
        builder.accept_undrainable(run.options.accept_undrainable)
        snapshot = builder.build(now, {})
        planned, since = self._plan_as_holder(snapshot, run, now)
        finished = RunResult(run.outcome, run.message) if run.outcome not in (None, "Paused") else None
        planned = msgspec.structs.replace(planned, run=run, finished=finished)
        self._last = Frame(snapshot, planned, since, now, self._error)
        self._was_running = self._was_running or finished is None
        self._statistics.add_frame(self._last, builder.facts)
        if self._was_running:
            self._on_frame(self._last)
        return _changes_in(planned, now)

    def _end(self, finished: RunResult) -> Summary | FinishedUnseen:
        self._publish(self._clock.monotonic())
        last = self._last
        if last is None or not self._was_running:
            return FinishedUnseen(finished.outcome, finished.message)
        run = self._followed.read_run(self._lease()) or last.plan.run
        summary = self._statistics.summary(run, finished, last, self._view.snapshot_builder.facts)
        return _with_total_time(summary, run, current_time(self._clock))

    def _plan_as_holder(self, snapshot: Snapshot, run: Run, now: float) -> tuple[Plan, Mapping[str, float]]:
        """Made of what is written down, since a follower may have started in the middle of the run."""
        lease = self._lease()
        held_since = (lease.spec.acquire_time or "") if lease is not None else ""
        at, name = current_time(self._clock), lease_name(self._view.target)
        shown = estimate_pods(snapshot, run, name, at, held_since=held_since)
        progress = shown.progress
        if run.outcome is None:
            waited = estimate_wait(snapshot, run, name, at, held_since)
            progress = msgspec.structs.replace(progress, step=waited.step, waiting=waited.waiting, until=waited.until)
        return Plan(run=run, pods=shown.pods, progress=progress), {**self._since(shown.pods, now), **shown.since}

    def _since(self, pods: Iterable[PodProgress], now: float) -> dict[str, float]:
        """When the stages of pods in flight were seen to begin: not all of that is written down."""
        before, unseen = self._stages, now if self._last is not None else None
        self._stages = {}
        for pod in pods:
            if pod.stage in IN_FLIGHT:
                earlier = before.get(pod.uid)
                self._stages[pod.uid] = earlier if earlier is not None and earlier[0] == pod.stage else (pod.stage, unseen)
        return {uid: at for uid, (_, at) in self._stages.items() if at is not None}


def _with_total_time(summary: Summary, run: Run, at: CurrentTime) -> Summary:
    """Adds how long the whole run took, where only its last part was followed."""
    began, ended = at.monotonic(run.started_at), at.monotonic(run.ended_at)
    if began is None or ended is None or ended - began < summary.seconds + LATE_SECONDS:
        return summary
    return msgspec.structs.replace(summary, seconds=ended - began, watched_seconds=summary.seconds)


def _changes_in(plan: Plan, now: float) -> float | None:
    """After how many seconds time alone may change what the plan shows."""
    instants = [pod.until for pod in plan.pods if pod.until is not None]
    if plan.progress.until is not None:
        instants.append(plan.progress.until)
    if instants:
        return max(POLL_SECONDS, min(instants) - now)
    return POLL_SECONDS if plan.progress.in_flight else None
