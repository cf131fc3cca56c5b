"""What a plan is: actions to do now, the run as it is to be stored before them, and what to wait for."""

from __future__ import annotations

from typing import Literal

import msgspec

from inplace.engine.actions import Action
from inplace.engine.pods.stages import Stage
from inplace.model.durations import format_duration
from inplace.model.run import Outcome, Run, StopRequest

Shows = Stage | Literal["Restored", ""]
"""What a person is shown: `Restored` on the way back and after it, nothing where the run has no more to say of a pod."""


ARRIVED: frozenset[Shows] = frozenset({"Updated", "Restored"})


class PlanContext(msgspec.Struct, frozen=True):
    """What this process asks of the run, apart from what the run itself says."""

    lease_name: str
    stop: StopRequest | None = None
    timestamp: str = ""
    """Wall time for the record, for people."""
    dead_leases: frozenset[str] = frozenset()
    """Bare pods recorded under these may be taken over: nobody holds them."""
    frees_only: bool = False
    """A stored run is left, not driven: no image is brought to any pod, what is in flight is finished as it is or reopened, and
    a commit that has begun is finished only where every pod runs its images already."""


def within(reason: str, at_most_seconds: float, seconds: float | None = None, left_seconds: float | None = None) -> str:
    """`stopping app, 23 s of at most 60 s`; without the seconds so far where nobody counts them. Where what it waits for is
    over by itself: `drained; waiting for proxies and open connections, 3s left`."""
    if left_seconds is not None and reason:
        return f"{reason}, {format_duration(max(0, round(left_seconds)))} left"
    if not at_most_seconds:
        return reason
    so_far = "" if seconds is None else f"{seconds:.0f} s of "
    return f"{reason}, {so_far}at most {at_most_seconds:.0f} s"


class PodProgress(msgspec.Struct, frozen=True, gc=False):
    """One pod for the eyes of a person."""

    name: str
    uid: str
    node: str
    stage: Shows
    reason: str
    image: str
    at_most_seconds: float = 0.0
    """How long what `reason` says may lawfully take; 0: nothing is known of that."""
    until: float | None = None
    """The instant at which what `reason` says is over by itself, by the clock that judged; None: nobody knows."""

    @property
    def description(self) -> str:
        return within(self.reason, self.at_most_seconds)

    @property
    def timer(self) -> str:
        """The timer that runs while the pod is in this stage."""
        return f"{self.uid}/stage/{self.stage}"


class Progress(msgspec.Struct, frozen=True):
    """`updated`: pods in service on the images that were asked for: it falls on the way back, while `restored` rises."""

    desired: int
    updated: int
    in_flight: int
    unavailable: int
    failed: int
    step: str = ""
    waiting: str = ""
    """What the whole run waits for, if not for its pods."""
    ready: int = 0
    """Pods of the target that serve, updated or not."""
    unscheduled: int = 0
    """Of `updated` (or `restored`): those that wait for a node, so that nothing of them runs yet."""
    restored: int = 0
    """Pods that are back, or were never touched, of a run that goes back or has gone back."""
    arrived: int = 0
    """`restored` of such a run, `updated` of another: how far it is."""
    until: float | None = None
    """The instant at which what `waiting` says is over by itself, such as a timed pause; None: nobody knows."""

    def describe(self, now: float | None = None) -> str:
        """What the whole run is at, with how long still where it is said when it is now."""
        left = self.until - now if self.until is not None and now is not None else None
        return ": ".join(filter(None, (self.step, within(self.waiting, 0.0, None, left))))


class RunResult(msgspec.Struct, frozen=True):
    """`by_others`: because somebody else changed the workload."""

    outcome: Outcome
    message: str = ""
    external_change: bool = False


class RunUpdate(msgspec.Struct, frozen=True):
    """The other outcome of a planning pass: the run itself changes, and this one is planned instead.

    It is stored with the plan that it leads to, in one write before the first action of that plan.
    """

    run: Run


class Caution(msgspec.Struct, frozen=True, rename="camel"):
    """What a person is told before a run that may begin. `reason`: one stable word, for machines."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


class Plan(msgspec.Struct, frozen=True):
    """What is to be done now.

    `requeue_after`: seconds after which time alone may change the plan; None: only an event can. `timers`: those that this plan
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
