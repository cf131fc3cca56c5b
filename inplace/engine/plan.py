"""What a plan is: actions to do now, the run as it is to be stored before them, and what to wait for."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import Action
from inplace.engine.stages import Stage
from inplace.model.run import Outcome, Run, Stop


class Spec(msgspec.Struct, frozen=True):
    """What this process asks of the run, apart from what the run itself says."""

    lease: str
    stop: Stop | None = None
    since: str = ""
    """Wall time for the record, for people."""
    dead_leases: frozenset[str] = frozenset()
    """Bare pods recorded under these may be taken over: nobody holds them."""
    only_frees: bool = False
    """A stored run is left, not driven: no image is brought to any pod, what is in flight is finished as it is or reopened, and
    a commit that has begun is finished only where every pod runs its images already."""


def within(reason: str, at_most_seconds: float, seconds: float | None = None) -> str:
    """`stopping app, 23 s of at most 60 s`; without the seconds so far where nobody counts them."""
    if not at_most_seconds:
        return reason
    so_far = "" if seconds is None else f"{seconds:.0f} s of "
    return f"{reason}, {so_far}at most {at_most_seconds:.0f} s"


class PodView(msgspec.Struct, frozen=True, gc=False):
    """One pod for the eyes of a person."""

    name: str
    uid: str
    node: str
    stage: Stage
    reason: str
    image: str
    at_most_seconds: float = 0.0
    """How long what `reason` says may lawfully take; 0: nothing is known of that."""

    @property
    def words(self) -> str:
        return within(self.reason, self.at_most_seconds)

    @property
    def timer(self) -> str:
        """The timer that runs while the pod is in this stage."""
        return f"{self.uid}/stage/{self.stage}"


class Progress(msgspec.Struct, frozen=True):
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
    """Of `updated`: those that wait for a node, so that nothing of them runs yet."""


class Finished(msgspec.Struct, frozen=True):
    """`by_others`: because somebody else changed the workload."""

    outcome: Outcome
    message: str = ""
    by_others: bool = False


class Caution(msgspec.Struct, frozen=True, rename="camel"):
    """What a person is told before a run that may begin. `reason`: one stable word, for machines."""

    reason: str
    message: str

    def __str__(self) -> str:
        return self.message


class Plan(msgspec.Struct, frozen=True):
    """`requeue_after`: seconds after which time alone may change the plan; None: only an event can.

    `timers`: the clocks that this plan reads. The runtime starts those that are new, keeps the others going, and forgets
    those no longer named. `finished` comes with no actions, and with `run` carrying the outcome.
    """

    run: Run
    actions: tuple[Action, ...] = ()
    pods: tuple[PodView, ...] = ()
    progress: Progress = Progress(0, 0, 0, 0, 0)
    requeue_after: float | None = None
    timers: frozenset[str] = frozenset()
    finished: Finished | None = None
