"""Follows a run that the controller drives, with the frames that driving it here would give.

The follower watches what the holder watches, reads the run from the Lease and plans as the holder does, but performs nothing:
so the live view is one and the same. It writes nothing, and may be left at any time; the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inplace.engine.plan import Finished, Spec
from inplace.engine.planner import plan
from inplace.kube.errors import ApiError, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.rollout import OVER, InPlaceRollout
from inplace.model.run import Outcome, Run, Stop, lease_name
from inplace.runtime.assessing import NothingToDo
from inplace.runtime.driver import Frame
from inplace.runtime.found import Refused
from inplace.runtime.inbox import Crashed, StopAsked
from inplace.runtime.lock import run_of
from inplace.runtime.report import Summary, Tracker
from inplace.runtime.session import OnFrame, Session

UNSEEN_SECONDS = 10.0
"""How long a controller may take to see a rollout before it is asked for."""
LOOK_SECONDS = 1.0
"""From one look at the rollout itself to the next."""
OUTCOMES: dict[str, Outcome] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "RolledBack": "RolledBack",
    "Aborted": "Aborted",
    "Paused": "Paused",
}


NOT_SEEN = "no controller has picked this up yet: is one running for this namespace? Ctrl-C detaches; the rollout stays queued"


class StoppedFollowing(Exception):
    """A person does not want to look on any more; the run goes on."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(f"{stop.message}; the run goes on in the cluster")
        self.stop = stop


class Follower:
    """`said` gets what the rollout waits for, whenever that changes."""

    def __init__(self, session: Session, rollout: InPlaceRollout, on_frame: OnFrame, said: Callable[[str], None]) -> None:
        self._session = session
        self._rollout = rollout
        self._on_frame = on_frame
        self._said = said
        self._clock = session.api.clock
        self._tracker = Tracker(self._clock.monotonic())
        self._timers: dict[str, float] = {}
        self._last: Frame | None = None
        self._message = ""
        self._asks_at = self._clock.monotonic() + UNSEEN_SECONDS

    def follow(self) -> Summary | NothingToDo:
        """Until it is over, or stands paused. Raises `StoppedFollowing`, `Refused` where it was, and `ApiError`."""
        look_at = self._clock.monotonic()
        while True:
            self._take_in()
            if self._session.watches.is_synced:
                self._see()
            if self._clock.monotonic() >= look_at:
                look_at = self._clock.monotonic() + LOOK_SECONDS
                if self._look():
                    return self._end()
            self._session.inbox.wait(LOOK_SECONDS / 2)

    def _take_in(self) -> None:
        for at, event in self._session.inbox.take():
            match event:
                case StopAsked(stop=stop):
                    raise StoppedFollowing(stop)
                case Crashed(error=error):
                    raise error
                case _:
                    self._session.observer.absorb(event, at)

    def _run(self) -> Run | None:
        target = self._session.target
        lease = self._session.watches.leases.named(target.namespace, lease_name(target))
        try:
            run = run_of(lease)
        except ValueError:
            return None
        return run if run is not None and run.id == self._rollout.status.run_id else None

    def _see(self) -> None:
        """As the holder sees it."""
        run = self._run()
        if run is None:
            return
        now = self._clock.monotonic()
        observed = self._session.observer.observe(now, self._timers)
        # A run that ended is shown as it stood: nothing is planned for it any more.
        going = msgspec.structs.replace(run, outcome=None)
        planned = plan(observed, Spec(lease_name(self._session.target)), going, now)
        self._timers = {timer: self._timers.get(timer, now) for timer in planned.timers}
        since = {pod.uid: self._timers[pod.timer] for pod in planned.pods if pod.timer in self._timers}
        trouble = str(self._session.watches.error or "")
        self._last = Frame(observed, msgspec.structs.replace(planned, run=run), since, now, trouble)
        self._tracker.saw(self._last, self._session.observer.facts)
        self._on_frame(self._last)

    def _look(self) -> bool:
        """Whether it is over, or waits for a person."""
        meta = self._rollout.metadata
        try:
            self._rollout = self._session.api.get(INPLACE_ROLLOUTS, meta.namespace, meta.name)
        except NotFound:
            raise ApiError(f"InPlaceRollout {meta.name} was deleted") from None
        status = self._rollout.status
        if status.phase is None and self._clock.monotonic() >= self._asks_at:
            self._asks_at = float("inf")
            self._said(NOT_SEEN)
        if status.phase == "Refused":
            raise Refused(status.message)
        if status.phase == "Waiting" and status.message != self._message:
            self._message = status.message
            self._said(f"waiting: {status.message}")
        return status.phase in OVER or status.phase == "Paused"

    def _end(self) -> Summary | NothingToDo:
        status, last = self._rollout.status, self._last
        run = self._run() or (last.plan.run if last is not None else None)
        if last is None or run is None:
            return NothingToDo(status.message or f"{self._session.target} is {status.phase}")
        outcome = OUTCOMES[status.phase or "Succeeded"]
        facts = {uid: f for uid, f in self._session.observer.facts.items() if uid in {pod.uid for pod in last.plan.pods}}
        return self._tracker.summary(run, Finished(outcome, status.message), last, facts)
