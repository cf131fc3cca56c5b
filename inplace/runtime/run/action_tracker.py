"""Tracks the actions of one run: which are on their way, which must wait before they are sent again, what they achieved.

Always holds: one object has one action at a time, and a close that may have been done counts as done until the pod shows
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.engine.actions import (
    DISRUPTIVE_ACTIONS,
    Action,
    ClaimBudget,
    ReleaseBudget,
    RestoreFieldOwners,
    required_budgets,
)
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Clock
from inplace.runtime.informers.inbox import ActionCompleted
from inplace.runtime.lease.disruption_claims import DisruptionClaim
from inplace.runtime.run.backoff import ActionBackoff, may_be_done

UNCONFIRMED_SECONDS = 15.0
"""How long a close or an image patch without an answer counts as done: a watch shows it long before."""


class ActionTracker:
    """Is told of every action that is sent and of every one that ends. Not thread-safe: the driver's thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._backoff = ActionBackoff()
        self._in_progress: dict[str, Action] = {}
        self._unconfirmed_until: dict[str, float] = {}
        self._claims: dict[str, DisruptionClaim] = {}
        self.fields_returned: frozenset[str] = frozenset()
        """Keys of the actions that gave image fields back to their owners."""

    @property
    def is_idle(self) -> bool:
        """Whether no action is on its way."""
        return not self._in_progress

    def start(self, action: Action) -> None:
        """The action is being sent. A claim counts for one plan: what a plan closes under it uses it up."""
        self._in_progress[action.key] = action
        if isinstance(action, DISRUPTIVE_ACTIONS):
            self._claims |= {name: self._claims[name].used() for name in required_budgets(action)}

    def end(self, action: Action) -> None:
        """The action was answered, whatever the answer."""
        self._in_progress.pop(action.key, None)
        if isinstance(action, ReleaseBudget):
            self._claims.pop(action.name, None)  # even if the release was refused: what is left of the claim expires

    def succeed(self, event: ActionCompleted) -> None:
        self._backoff.on_success(event.action, self._clock.monotonic(), self._clock.jitter())
        match event.action:
            case ClaimBudget(budget=budget):
                self._claims[budget.metadata.name] = event.result
            case RestoreFieldOwners():
                self.fields_returned |= {event.action.key}
            case _:
                pass

    def fail(self, action: Action, error: ApiError) -> int:
        """Returns how often in a row this was refused."""
        now = self._clock.monotonic()
        times = self._backoff.on_error(action, error, now, self._clock.jitter())
        if isinstance(action, DISRUPTIVE_ACTIONS) and may_be_done(action, error):
            self._unconfirmed_until[action.key] = now + UNCONFIRMED_SECONDS
        return times

    def busy(self, now: float) -> set[str]:
        """The keys for which nothing may be sent now."""
        return self._backoff.waiting_keys(now).union(self._in_progress)

    def closing(self, now: float, observed: Mapping[str, ObservedPod]) -> list[str]:
        """Uids of the pods that are being closed, or may have been. `observed`: the watched pods by uid."""
        self._unconfirmed_until = {
            uid: until
            for uid, until in self._unconfirmed_until.items()
            if until > now and (pod := observed.get(uid)) is not None and pod.record is None
        }
        being_closed = (key for key, action in self._in_progress.items() if isinstance(action, DISRUPTIVE_ACTIONS))
        return [*being_closed, *self._unconfirmed_until]

    def annotate(self, snapshot: Snapshot, now: float) -> Snapshot:
        """Adds what was refused, and how many pods may be closed under the claims that are held."""
        claims = {name: claim.room if claim.until > now else 0 for name, claim in self._claims.items()}
        return msgspec.structs.replace(snapshot, denials=self._backoff.denials, claims=claims)

    def retry_times(self, now: float) -> list[float]:
        """The instants at which an action may be sent again."""
        return self._backoff.retry_times(now)
