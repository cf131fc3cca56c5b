"""Decides when the next action on an object may be sent: after a refusal, and after an action that is planned once more.

Both wait for a time that doubles: after a refusal, because the cache may be behind whatever refused; after an action that is
planned again, because somebody undoes it, or because it has no effect, like the deletion of an object that a finalizer holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.engine.actions import Action, CloseGate, ListPods, ListSlices, PatchImages
from inplace.engine.snapshot import Denial
from inplace.kube.errors import ApiError, Conflict, ConnectionFailed, Forbidden, Invalid, ServerError, TooManyRequests

MAX_REFUSALS = 5
"""How many refusals in a row of one object's action, other than conflicts, count as the final answer."""
FINAL_SECONDS = 10.0
"""How long refusals must go on before they are final: a quota takes seconds to be counted again."""


class _Backoff(msgspec.Struct):
    """`times`: in a row. `since`: when the first refusal other than a conflict came. `denial` None: the action was done."""

    intent: str
    until: float
    times: int
    since: float
    denial: Denial | None


class ActionBackoff:
    """Keeps one back-off per key of an action, since an object has one action at a time."""

    def __init__(self) -> None:
        self._backoffs: dict[str, _Backoff] = {}

    def waiting_keys(self, now: float) -> set[str]:
        """The keys for which nothing may be sent yet."""
        return {key for key, backoff in self._backoffs.items() if backoff.until > now}

    def retry_times(self, now: float) -> list[float]:
        """The instants at which those waits end."""
        return [backoff.until for backoff in self._backoffs.values() if backoff.until > now]

    @property
    def denials(self) -> Mapping[str, Denial]:
        """By the intent of the action."""
        return {backoff.intent: backoff.denial for backoff in self._backoffs.values() if backoff.denial is not None}

    def on_success(self, action: Action, now: float, jitter: float) -> None:
        if isinstance(action, (ListPods, ListSlices)):
            self._backoffs.pop(action.key, None)
            return
        before = self._backoffs.get(action.key)
        times = before.times + 1 if before is not None and before.denial is None and before.intent == action.intent else 0
        until = now + backoff_seconds(times - 1) * (1.0 + jitter) if times else now
        self._backoffs[action.key] = _Backoff(action.intent, until, times, now, None)

    def on_error(self, action: Action, error: ApiError, now: float, jitter: float) -> int:
        """Returns how often in a row this was refused."""
        before = self._backoffs.get(action.key)
        if before is None or before.denial is None:
            before = None
        times = before.times if before is not None else 0
        is_same = before is not None and before.intent == action.intent and not is_stale(error)
        since = before.since if before is not None and is_same else now
        is_final = isinstance(error, (Forbidden, Invalid)) and times + 1 >= MAX_REFUSALS and now - since >= FINAL_SECONDS
        until = now + backoff_seconds(times) * (1.0 + jitter)
        denial = Denial(str(error), is_final and not is_stale(error))
        self._backoffs[action.key] = _Backoff(action.intent, until, times + 1, since, denial)
        return times + 1


def backoff_seconds(times: int) -> float:
    """The wait, without jitter, after `times` earlier refusals: 0.1 s, doubling up to 5 s."""
    return float(min(5.0, 0.1 * 2.0 ** min(times, 10)))


def is_stale(error: ApiError) -> bool:
    """Whether the action was planned on an old object: 409; or 422 on the uid, which the API server answers when another pod
    has the name now (design, section 4)."""
    return error.status == 409 or (isinstance(error, Invalid) and "metadata.uid" in str(error))


def may_be_done(action: CloseGate | PatchImages, error: ApiError) -> bool:
    """Whether the write may have happened in spite of the error: there was no answer, or the refusal may be that of a retry
    whose first try was done and its answer lost. A close without a resourceVersion is retried, and cannot conflict with
    itself."""
    if isinstance(error, Conflict):
        return isinstance(action, CloseGate) and not action.require_resource_version
    return isinstance(error, (ConnectionFailed, ServerError, TooManyRequests))
