"""Forecasts how long a run will still take, from the time that its pods have taken and how many were in flight at once.

Forecasts nothing before the first pod is done. For people: nothing is decided by it.
"""

from __future__ import annotations

import msgspec

from inplace.engine.planning.plan import ARRIVED
from inplace.engine.planning.steps import pods_for_step, steps_behind
from inplace.engine.pods.stages import IN_FLIGHT
from inplace.model.run import PauseStep, PodsStep, Step
from inplace.runtime.observability.frames import Frame


class Ahead(msgspec.Struct, frozen=True):
    """`to_pause`: `seconds` are to a pause that waits for a person, and not to the end of the run."""

    seconds: float
    to_pause: bool


class Forecast:
    """Learns from every frame."""

    def __init__(self) -> None:
        self._began: dict[str, float | None] = {}
        """When each pod in flight began; None if that was before the first frame."""
        self._done = 0
        self._spent = 0.0
        self._at_once = 1
        self._run = ""

    def update(self, frame: Frame) -> None:
        is_first, run = frame.plan.run.id != self._run, frame.plan.run
        if is_first:
            self._began, self._done, self._spent, self._at_once, self._run = {}, 0, 0.0, 1, run.id
        for pod in frame.plan.pods:
            if pod.stage in IN_FLIGHT:
                self._began.setdefault(pod.uid, None if is_first else frame.now)
            elif pod.uid in self._began:
                began = self._began.pop(pod.uid)
                if pod.stage in ARRIVED and began is not None:
                    self._done += 1
                    self._spent += frame.now - began
        self._at_once = max(self._at_once, len(self._began))

    def ahead(self, frame: Frame, now: float) -> Ahead | None:
        """Returns None if nothing can be said yet, or nothing is left to do."""
        progress, run = frame.plan.progress, frame.plan.run
        steps = () if run.rolling_back else run.options.steps[steps_behind(run) :]
        until, pauses, to_pause = _barrier(steps, progress.desired)
        left = until - progress.arrived
        if not self._done or run.outcome is not None or (left <= 0 and not pauses):
            return None
        per_pod = self._spent / self._done
        in_flight = [max(0.0, per_pod - (now - began)) if began is not None else per_pod / 2 for began in self._began.values()]
        waiting = max(0, left - len(in_flight))
        working = max((waiting * per_pod + sum(in_flight)) / self._at_once, max(in_flight, default=0.0))
        if steps and isinstance(steps[0], PauseStep) and progress.until is not None:
            pauses += progress.until - now - (steps[0].seconds or 0.0)
        return Ahead(working + max(0.0, pauses), to_pause)


def _barrier(steps: tuple[Step, ...], desired: int) -> tuple[int, float, bool]:
    """Returns how far the run goes by itself: to how many pods, with how many seconds of pauses, and whether it waits for a
    person then."""
    until, pauses = 0, 0.0
    for step in steps:
        match step:
            case PodsStep(amount=amount):
                until = pods_for_step(amount, desired)
            case PauseStep(seconds=None):
                return until, pauses, True
            case PauseStep(seconds=float() as seconds):
                pauses += seconds
            case PauseStep():
                pass
    return (until if steps else desired), pauses, False
