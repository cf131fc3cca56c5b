"""What a plan is: actions to take now, the run to store before them, and what people are shown of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from inplace.engine.actions import Action
from inplace.engine.pods.stages import Stage
from inplace.model.durations import format_duration
from inplace.model.run import Outcome, Run, StopRequest

Shows = Stage | Literal["Restored", ""]
"""The stage that people are shown: `Restored` for pods of a run that goes or went back; empty where the run no longer concerns
the pod."""

ARRIVED: frozenset[Shows] = frozenset({"Updated", "Restored"})


class PlanContext(msgspec.Struct, frozen=True):
    """What a plan depends on besides the snapshot and the run: the process that plans, and what it was told to do."""

    lease_name: str
    stop: StopRequest | None = None
    timestamp: str = ""
    """Wall-clock time of this plan, as text, for records; empty: nothing that needs it is written."""
    dead_leases: frozenset[str] = frozenset()
    """Leases that nobody holds: bare pods recorded under them may be taken over."""
    frees_only: bool = False
    """Leaves a stored run instead of driving it: patches no image, finishes pods in flight as they are or reopens them, and
    finishes a commit only where every pod runs its images already."""


def within(reason: str, at_most_seconds: float, seconds: float | None = None, left_seconds: float | None = None) -> str:
    """Formats a reason with its time: `stopping app, 23 s of at most 60 s`, without the first number where `seconds` is None.
    For a wait that ends by itself: `drained; waiting for proxies and open connections, 3s left`."""
    if left_seconds is not None and reason:
        return f"{reason}, {format_duration(max(0, round(left_seconds)))} left"
    if not at_most_seconds:
        return reason
    so_far = "" if seconds is None else f"{seconds:.0f} s of "
    return f"{reason}, {so_far}at most {at_most_seconds:.0f} s"


class PodProgress(msgspec.Struct, frozen=True, gc=False):
    """One pod as people are shown it."""

    name: str
    uid: str
    node: str
    stage: Shows
    reason: str
    image: str
    at_most_seconds: float = 0.0
    """How long what `reason` says may take; 0: unknown."""
    until: float | None = None
    """Monotonic instant at which what `reason` says is over by itself; None: unknown."""

    @property
    def description(self) -> str:
        return within(self.reason, self.at_most_seconds)

    @property
    def timer(self) -> str:
        """The timer that runs while the pod is in this stage."""
        return f"{self.uid}/stage/{self.stage}"


class Progress(msgspec.Struct, frozen=True):
    """Counts of a run's pods. `updated`: in service on the requested images; falls when the run goes back, while `restored`
    rises."""

    desired: int
    updated: int
    in_flight: int
    unavailable: int
    failed: int
    step: str = ""
    waiting: str = ""
    """What the whole run waits for, if not for its pods."""
    ready: int = 0
    """Pods of the target in service, updated or not."""
    unscheduled: int = 0
    """Of `updated` (or `restored`): those that wait for a node, so that nothing of them runs yet."""
    restored: int = 0
    """For a run that goes or went back: pods that are back, or were never touched."""
    arrived: int = 0
    """How far the run is: `restored` if it goes or went back, else `updated`."""
    until: float | None = None
    """Monotonic instant at which what `waiting` says is over by itself, such as a timed pause; None: unknown."""

    def describe(self, now: float | None = None) -> str:
        """Step and wait in words; given `now`, with how long the wait still lasts."""
        left = self.until - now if self.until is not None and now is not None else None
        return ": ".join(filter(None, (self.step, within(self.waiting, 0.0, None, left))))


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended, or stopped. `external_change`: because somebody else changed the workload."""

    outcome: Outcome
    message: str = ""
    external_change: bool = False


class RunUpdate(msgspec.Struct, frozen=True):
    """The other outcome of a planning pass: the run itself changes, and this one is planned instead.

    It is stored with the plan that it leads to, in one write before the first action of that plan.
    """

    run: Run


class Caution(msgspec.Struct, frozen=True, rename="camel"):
    """A warning before a run that may begin. `reason`: one stable word, for machines."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


class Plan(msgspec.Struct, frozen=True):
    """What is to be done now.

    `requeue_after_seconds`: after which time alone may change the plan; None: only an event can. `timers`: those that this plan
    reads; the runtime starts new ones, keeps the others going, and forgets those not named. `finished` comes without actions,
    and then `run` carries the outcome.
    """

    run: Run
    """Stored, where it differs, before the first action is done."""
    actions: tuple[Action, ...] = ()
    pods: tuple[PodProgress, ...] = ()
    progress: Progress = Progress(0, 0, 0, 0, 0)
    requeue_after_seconds: float | None = None
    timers: frozenset[str] = frozenset()
    finished: RunResult | None = None
