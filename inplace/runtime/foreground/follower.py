"""Follows a run that somebody else drives, with the frames that driving it here would give.

The follower watches what the holder watches and reads the run from the Lease, but performs nothing: so the live view is one and
the same. It plans when something has changed, not for each drawing, and writes nothing; it may be left at any time, and the run
goes on.
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
from inplace.runtime.foreground.session import FrameHandler, Session
from inplace.runtime.informers.inbox import StopRequested, ThreadCrashed
from inplace.runtime.lease.run_states import current_instant
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import RunStatistics, Summary
from inplace.runtime.run.driver import PATIENCE_SECONDS

LOOK_SECONDS = 1.0
"""From one look at whether it is over to the next."""
SEE_SECONDS = 0.1
"""From one frame to the next, at least: nobody reads faster, and events come in storms."""
SPARED = 5
"""And so many times as long as the last one took: looking on costs a fifth of a core at most, whatever the fleet."""
LATE_SECONDS = 3.0
"""Whoever comes so long after the beginning has missed something of it."""


class FollowInterrupted(Exception):
    """A person does not want to look on any more; the run goes on, if it has begun. `words`: what names it."""

    def __init__(self, stop: StopRequest, words: tuple[str, ...], *, has_begun: bool) -> None:
        goes_on = "the run goes on in the cluster" if has_begun else "the run has not begun, and stays queued for a controller"
        super().__init__(f"{stop.message}; {goes_on}")
        self.stop = stop
        self.words = words


class Follower:
    """`subject`: what is followed, and when it is over."""

    def __init__(self, session: Session, subject: FollowedRun, on_frame: FrameHandler) -> None:
        self._session = session
        self._subject = subject
        self._on_frame = on_frame
        self._clock = session.api.clock
        self._tracker = RunStatistics(self._clock.monotonic())
        self._last: Frame | None = None
        self._stages: dict[str, tuple[str, float | None]] = {}
        """A pod's uid to its stage, and to when it was seen to begin; None: before we looked."""
        self._trouble = ""
        self._refused_since: float | None = None
        self._has_gone_on = False
        """It was seen before its end."""

    def follow(self) -> Summary | FinishedUnseen:
        """Until it is over. Raises `StoppedFollowing`, `Refused` where it was, and `ApiError`."""
        now = self._clock.monotonic()
        look_at, see_at, due_at, has_changed = now, now, now, True
        while True:
            has_changed = self._take_in() or has_changed or self._trouble != self._told_trouble()
            now, is_synced = self._clock.monotonic(), self._session.informers.is_synced
            self._keep_patience(now)
            if is_synced and now >= see_at and (has_changed or now >= due_at):
                wait_seconds = self._see(now)
                due_at = now + wait_seconds if wait_seconds is not None else float("inf")
                took_seconds = self._clock.monotonic() - now
                see_at, has_changed = now + max(SEE_SECONDS, took_seconds * SPARED), False
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                finished = self._subject.poll(self._lease(), is_synced=is_synced)
                if finished is not None:
                    return self._end(finished)
            self._session.inbox.wait(SEE_SECONDS if has_changed else LOOK_SECONDS / 2)

    def _keep_patience(self, now: float) -> None:
        """Whoever logs in again is waited for, and nobody for ever. Raises `ApiError`."""
        error = self._session.informers.error
        if not isinstance(error, (Unauthorized, Forbidden)):
            self._refused_since = None
            return
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._refused_since > PATIENCE_SECONDS:
            raise error

    def _take_in(self) -> bool:
        """Whether anything has happened."""
        events = self._session.inbox.take()
        for at, event in events:
            match event:
                case StopRequested(stop=stop):
                    has_begun = self._subject.read_run(self._lease()) is not None
                    raise FollowInterrupted(stop, self._subject.cli_args, has_begun=has_begun)
                case ThreadCrashed(error=error):
                    raise error
                case _:
                    self._session.snapshots.handle(event, at)
        return bool(events)

    def _lease(self) -> Lease | None:
        target = self._session.target
        return self._session.informers.leases.get_by_name(target.namespace, lease_name(target))

    def _told_trouble(self) -> str:
        return str(self._session.informers.error or "") or self._subject.error

    def _see(self, now: float) -> float | None:
        """As the holder sees it. Returns after how many seconds it may look different by time alone."""
        self._trouble = self._told_trouble()
        run = self._subject.read_run(self._lease())
        if run is None:
            return None
        if self._last is not None and self._last.plan.run.id != run.id:
            self._tracker = RunStatistics(now)
        self._session.snapshots.accept_undrainable(run.options.accept_undrainable)
        observed = self._session.snapshots.build(now, {})
        planned, since = self._shown(observed, run, now)
        finished = RunResult(run.outcome, run.message) if run.outcome not in (None, "Paused") else None
        planned = msgspec.structs.replace(planned, run=run, finished=finished)
        self._last = Frame(observed, planned, since, now, self._trouble)
        self._has_gone_on = self._has_gone_on or finished is None
        self._tracker.add_frame(self._last, self._session.snapshots.facts)
        if self._has_gone_on:
            self._on_frame(self._last)
        return _changes_in(planned, now)

    def _end(self, finished: RunResult) -> Summary | FinishedUnseen:
        self._see(self._clock.monotonic())
        last = self._last
        if last is None or not self._has_gone_on:
            return FinishedUnseen(finished.outcome, finished.message)
        run = self._subject.read_run(self._lease()) or last.plan.run
        seen = self._tracker.summary(run, finished, last, self._session.snapshots.facts)
        return _of_the_whole(seen, run, current_instant(self._clock))

    def _shown(self, observed: Snapshot, run: Run, now: float) -> tuple[Plan, Mapping[str, float]]:
        """By what is written down, as whoever only looks sees it: a watcher may have come in the middle."""
        lease = self._lease()
        held_since = (lease.spec.acquire_time or "") if lease is not None else ""
        at, name = current_instant(self._clock), lease_name(self._session.target)
        shown = estimate_pods(observed, run, name, at, held_since=held_since)
        progress = shown.progress
        if run.outcome is None:
            waited = estimate_wait(observed, run, name, at, held_since)
            progress = msgspec.structs.replace(progress, step=waited.step, waiting=waited.waiting, until=waited.until)
        return Plan(run=run, pods=shown.pods, progress=progress), {**self._since(shown.pods, now), **shown.since}

    def _since(self, pods: Iterable[PodProgress], now: float) -> dict[str, float]:
        """When the stages of pods in flight were seen to begin: not everything is written down."""
        before, unseen = self._stages, now if self._last is not None else None
        self._stages = {}
        for pod in pods:
            if pod.stage in IN_FLIGHT:
                known = before.get(pod.uid)
                self._stages[pod.uid] = known if known is not None and known[0] == pod.stage else (pod.stage, unseen)
        return {uid: at for uid, (_, at) in self._stages.items() if at is not None}


def _of_the_whole(seen: Summary, run: Run, at: CurrentTime) -> Summary:
    """With how long the run took, which is longer than it was watched by whoever came in the middle."""
    began, ended = at.monotonic(run.started_at), at.monotonic(run.ended_at)
    if began is None or ended is None or ended - began < seen.seconds + LATE_SECONDS:
        return seen
    return msgspec.structs.replace(seen, seconds=ended - began, watched_seconds=seen.seconds)


def _changes_in(plan: Plan, now: float) -> float | None:
    """After how many seconds it may look different by time alone."""
    instants = [pod.until for pod in plan.pods if pod.until is not None]
    if plan.progress.until is not None:
        instants.append(plan.progress.until)
    if instants:
        return max(LOOK_SECONDS, min(instants) - now)
    return LOOK_SECONDS if plan.progress.in_flight else None
