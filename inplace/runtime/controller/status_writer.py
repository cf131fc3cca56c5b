"""Writes to an InPlaceRollout: its status where it has changed, our finalizer, and the removal of a request.

Always holds: a write goes only to the very object that was read, and is never retried blindly. The API server's answer is in
the cache before anything else is decided.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog

from inplace.engine.runs.rollout_status import build_status, with_observed_generation, with_request_answer
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
from inplace.runtime.controller.context import ControllerListener
from inplace.runtime.finalizers import has_finalizer, with_finalizer, without_finalizer
from inplace.runtime.informers.informer_set import InformerSet, Key, key_of
from inplace.runtime.requests import NO_REQUEST, read_request, request_problem

STATUS_SECONDS = 1.0
"""At least this long between two status writes of a rollout within one phase."""


class RolloutWriter:
    """Raises `ApiError` unless a method says otherwise."""

    def __init__(self, api: ApiClient, informers: InformerSet, listener: ControllerListener) -> None:
        self._api = api
        self._informers = informers
        self._listener = listener
        self._log = structlog.get_logger()
        self._written: dict[Key, tuple[float, RolloutStatus]] = {}
        """When and what was written last."""

    def forget(self, key: Key) -> None:
        self._written.pop(key, None)

    def update_status(self, rollout: InPlaceRollout, state: RolloutState | None) -> float | None:
        """Write the status if `state` changes it. Return the seconds until that is allowed, if it is too early now."""
        if state is None:
            return None
        now = self._api.clock.monotonic()
        written_at, before = self._written.get(key_of(rollout), (float("-inf"), rollout.status))
        after = build_status(rollout, state, before, self._now())
        if after.phase == before.phase and after != before and now < written_at + STATUS_SECONDS:
            return written_at + STATUS_SECONDS - now
        self._write_status(rollout, before, after)
        return None

    def report_error(self, key: Key, error: Exception) -> None:
        """Show why a rollout cannot even begin; one that has begun shows it by itself. Never raises `ApiError`."""
        rollout = self._informers.rollout(key)
        if rollout is not None and rollout.status.phase in (None, "Pending", "Waiting"):
            with suppress(ApiError):
                self.update_status(rollout, WaitingState(type(error).__name__, str(error)))

    def observe_generation(self, rollout: InPlaceRollout) -> None:
        """Show that the spec of a finished rollout was read, though it changes nothing any more."""
        before = rollout.status
        self._write_status(rollout, before, with_observed_generation(before, rollout.metadata.generation))

    def take_request(self, rollout: InPlaceRollout) -> RunCommand | None:
        """Remove the request from the rollout's annotations and return it; refuse it in words if it is none.

        It is removed before it is obeyed: its author repeats one that is lost, while one obeyed twice might pass a second
        pause. Raises `Conflict` if the rollout has changed meanwhile.
        """
        command, problem = read_request(rollout), request_problem(rollout)
        if command is None and not problem:
            return None
        annotations = {"annotations": NO_REQUEST, "resourceVersion": rollout.metadata.resource_version}
        self._patch(rollout, {"metadata": annotations})
        if problem:
            self._listener.warned(rollout, problem)
        before = self._written.get(key_of(rollout), (0.0, rollout.status))[1]
        self._write_status(rollout, before, with_request_answer(before, problem, rollout.metadata.generation, self._now()))
        return command

    def add_finalizer(self, rollout: InPlaceRollout) -> bool:
        """Make sure that our finalizer is on the rollout. False: it could not be written, try again.

        A rollout that is being deleted takes no finalizer any more, one that is gone none at all: only frees are left then.
        """
        meta = rollout.metadata
        latest = self._informers.rollout(key_of(rollout))
        if latest is None or latest.metadata.uid != meta.uid or latest.metadata.deletion_timestamp is not None:
            return True
        if has_finalizer(latest):
            return True
        try:
            self._set_finalizers(latest, with_finalizer(latest))
        except ApiError as error:
            self._log.warning("cannot be kept, trying again", rollout=f"{meta.namespace}/{meta.name}", why=str(error))
            return False
        return True

    def remove_finalizer(self, rollout: InPlaceRollout) -> None:
        """Remove our finalizer, so that the rollout, or its namespace, can be deleted without a controller."""
        if has_finalizer(rollout):
            self._set_finalizers(rollout, without_finalizer(rollout))

    def _set_finalizers(self, rollout: InPlaceRollout, names: list[str]) -> None:
        self._patch(rollout, {"metadata": {"finalizers": names or None, "resourceVersion": rollout.metadata.resource_version}})

    def _write_status(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after == before:
            return
        self._patch(self._informers.latest(rollout), {"status": after.merge_patch()}, "status")
        self._written[key_of(rollout)] = (self._api.clock.monotonic(), after)
        self._listener.changed(rollout, before, after)

    def _patch(self, rollout: InPlaceRollout, body: dict[str, Any], subresource: str = "") -> None:
        """Patch this very object, by its uid, and put the answer into the cache."""
        meta = rollout.metadata
        body = {**body, "metadata": {**body.get("metadata", {}), "uid": meta.uid}}
        api = self._api.replace(policy=NO_RETRY, timeout_seconds=5.0)
        with suppress(MalformedResponse):  # the write was made, and its result comes by the watch
            answer = api.patch(INPLACE_ROLLOUTS, meta.namespace, meta.name, body, MERGE, subresource=subresource)
            self._informers.in_namespace(meta.namespace).rollouts.upsert(answer)

    def _now(self) -> str:
        return format_time(self._api.clock.utcnow())
