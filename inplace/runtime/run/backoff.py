"""When the next action on an object may be sent: after a refusal, and after an act that was done and is asked for once more.

Both rest for a moment that doubles. After a refusal because the cache may be behind what refused us; after an act that is asked
for again because somebody undoes it, or because to do it has no effect, such as to delete what a finalizer holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.engine.actions import Action, CloseGate, ListPods, ListSlices, PatchImages
from inplace.engine.snapshot import Denial
from inplace.kube.errors import ApiError, Conflict, ConnectionFailed, Forbidden, Invalid, ServerError, TooManyRequests

MAX_REFUSALS = 5
"""So many in a row of one object's action, other than conflicts, are an answer."""
FINAL_SECONDS = 10.0
"""Who has judged an act for so long, and no less often, will say nothing else: a quota takes seconds to be counted anew."""


class _Rest(msgspec.Struct):
    """`times`: in a row. `since`: of the first refusal other than a conflict. `denial` None: it was done."""

    intent: str
    until: float
    times: int
    since: float
    denial: Denial | None


class ActionBackoff:
    """By the key of the action: one object has one at a time."""

    def __init__(self) -> None:
        self._rests: dict[str, _Rest] = {}

    def waiting_keys(self, now: float) -> set[str]:
        """Of the objects that rest."""
        return {key for key, rest in self._rests.items() if rest.until > now}

    def retry_times(self, now: float) -> list[float]:
        """The instants at which they have rested."""
        return [rest.until for rest in self._rests.values() if rest.until > now]

    @property
    def denials(self) -> Mapping[str, Denial]:
        return {rest.intent: rest.denial for rest in self._rests.values() if rest.denial is not None}

    def on_success(self, action: Action, now: float, jitter: float) -> None:
        if isinstance(action, (ListPods, ListSlices)):
            self._rests.pop(action.key, None)
            return
        before = self._rests.get(action.key)
        times = before.times + 1 if before is not None and before.denial is None and before.intent == action.intent else 0
        until = now + backoff_seconds(times - 1) * (1.0 + jitter) if times else now
        self._rests[action.key] = _Rest(action.intent, until, times, now, None)

    def on_error(self, action: Action, error: ApiError, now: float, jitter: float) -> int:
        """How often in a row."""
        before = self._rests.get(action.key)
        if before is None or before.denial is None:
            before = None
        times = before.times if before is not None else 0
        is_same = before is not None and before.intent == action.intent and not is_stale(error)
        since = before.since if before is not None and is_same else now
        is_final = isinstance(error, (Forbidden, Invalid)) and times + 1 >= MAX_REFUSALS and now - since >= FINAL_SECONDS
        until = now + backoff_seconds(times) * (1.0 + jitter)
        denial = Denial(str(error), is_final and not is_stale(error))
        self._rests[action.key] = _Rest(action.intent, until, times + 1, since, denial)
        return times + 1


def backoff_seconds(times: int) -> float:
    """Before an action is tried again that was refused so often before, without jitter: it doubles, up to 5 s."""
    return float(min(5.0, 0.1 * 2.0 ** min(times, 10)))


def is_stale(error: ApiError) -> bool:
    """409; or 422 on the uid, which is what another pod under the same name gives (design, section 4)."""
    return error.status == 409 or (isinstance(error, Invalid) and "metadata.uid" in str(error))


def may_be_done(action: CloseGate | PatchImages, error: ApiError) -> bool:
    """No answer, or a refusal behind which a first try may have been done whose answer was lost: a close that has no version
    is tried again by itself, and conflicts with nothing."""
    if isinstance(error, Conflict):
        return isinstance(action, CloseGate) and not action.require_resource_version
    return isinstance(error, (ConnectionFailed, ServerError, TooManyRequests))
