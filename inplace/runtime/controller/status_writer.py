"""Every write to an InPlaceRollout: its status when it has changed, our finalizer, and the request that is taken from it.

Only to the very object that was looked at, and never tried again blindly. What the API server answers is in the cache before
anything else is decided.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from inplace.engine.runs.rollout_status import build_status, with_request_answer
from inplace.engine.runs.rollouts import RolloutState, WaitingState
from inplace.kube.api import ApiClient
from inplace.kube.clock import format_time
from inplace.kube.codec import MalformedResponse
from inplace.kube.errors import ApiError
from inplace.kube.protocols import MERGE
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.kube.retry import NO_RETRY
from inplace.model.rollout import InPlaceRollout, RolloutStatus
from inplace.model.run import RunCommand
from inplace.runtime.controller.listeners import ControllerListener
from inplace.runtime.finalizers import has_finalizer, with_finalizer, without_finalizer
from inplace.runtime.informers.shared_informers import SharedInformers
from inplace.runtime.requests import NO_REQUEST, read_request, request_problem

STATUS_SECONDS = 1.0

Key = tuple[str, str]
"""Namespace and name."""


class RolloutWriter:
    """`shared`: the caches of a namespace. Raises `ApiError` where it does not say otherwise."""

    def __init__(self, api: ApiClient, shared: Callable[[str], SharedInformers], watched: ControllerListener) -> None:
        self._api = api
        self._shared = shared
        self._watched = watched
        self._log = structlog.get_logger()
        self._statuses: dict[Key, tuple[float, RolloutStatus]] = {}
        """When and what we have written last."""

    def forget(self, key: Key) -> None:
        self._statuses.pop(key, None)

    def let_go(self, rollout: InPlaceRollout) -> None:
        """Nothing of ours keeps it any more: whoever deletes it, or its namespace, needs no controller."""
        if has_finalizer(rollout):
            self._set_finalizers(rollout, without_finalizer(rollout))

    def keep(self, rollout: InPlaceRollout) -> bool:
        """What is being deleted takes no finalizer any more, and what is gone none at all: only frees are left then."""
        meta = rollout.metadata
        now = self._shared(meta.namespace).rollouts.get_by_name(meta.namespace, meta.name)
        if now is None or now.metadata.uid != meta.uid or now.metadata.deletion_timestamp is not None or has_finalizer(now):
            return True
        try:
            self._set_finalizers(now, with_finalizer(now))
        except ApiError as error:
            self._log.warning("cannot be kept, trying again", rollout=f"{meta.namespace}/{meta.name}", why=str(error))
            return False
        return True

    def _set_finalizers(self, rollout: InPlaceRollout, names: list[str]) -> None:
        self._patch(rollout, {"metadata": {"finalizers": names or None, "resourceVersion": rollout.metadata.resource_version}})

    def take_request(self, key: Key, rollout: InPlaceRollout) -> RunCommand | None:
        """It is removed before it is obeyed: a request lost is asked again by its person, one obeyed twice might pass a second
        pause. Also one that is none: that is refused in words. Raises `Conflict` where it has changed meanwhile."""
        asked, problem = read_request(rollout), request_problem(rollout)
        if asked is not None or problem:
            annotations = {"annotations": NO_REQUEST, "resourceVersion": rollout.metadata.resource_version}
            self._patch(rollout, {"metadata": annotations})
        if problem:
            self._watched.warned(rollout, problem)
        last = self._statuses.get(key, (0.0, rollout.status))[1]
        after = with_request_answer(last, problem, rollout.metadata.generation, format_time(self._api.clock.utcnow()))
        if after != last and (asked or problem):
            self.write_status(key, rollout, after)
        return asked

    def _patch(self, rollout: InPlaceRollout, body: dict[str, Any], subresource: str = "") -> None:
        """Only to this very object. Raises `ApiError`."""
        meta = rollout.metadata
        whole = {**body, "metadata": {**body.get("metadata", {}), "uid": meta.uid}}
        api = self._api.replace(policy=NO_RETRY, timeout_seconds=5.0)
        with suppress(MalformedResponse):  # done, and what came of it comes by the watch
            answer = api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, whole, MERGE, subresource=subresource)
            self._shared(meta.namespace).rollouts.upsert(answer)

    def tell(self, key: Key, rollout: InPlaceRollout, state: RolloutState | None) -> float | None:
        """Writes the status if it has changed. Seconds until that is allowed again, if it is not now."""
        if state is None:
            return None
        now = self._api.clock.monotonic()
        written_at, before = self._statuses.get(key, (float("-inf"), rollout.status))
        text = format_time(self._api.clock.utcnow())
        after = build_status(rollout, state, before, text)
        if after == before:
            return None
        if after.phase == before.phase and now < written_at + STATUS_SECONDS:
            return written_at + STATUS_SECONDS - now
        self.write_status(key, rollout, after)
        self._watched.changed(rollout, before, after)
        return None

    def tell_trouble(self, key: Key, error: Exception) -> None:
        """A rollout that cannot even begin says why; one that goes on says it itself."""
        rollout = self._shared(key[0]).rollouts.get_by_name(*key)
        if rollout is not None and rollout.status.phase in (None, "Pending", "Waiting"):
            with suppress(ApiError):
                self.tell(key, rollout, WaitingState(type(error).__name__, str(error)))

    def write_status(self, key: Key, rollout: InPlaceRollout, after: RolloutStatus) -> None:
        known = self._shared(key[0]).rollouts.get_by_name(*key) or rollout
        self._patch(known, {"status": after.merge_patch()}, "status")
        self._statuses[key] = (self._api.clock.monotonic(), after)
