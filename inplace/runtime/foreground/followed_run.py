"""Which run is followed, and when it is over: the run in a Lease, or the run of an InPlaceRollout.

Only reads. An API server that does not answer ends nothing: the watches report it, and recover by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from inplace.engine.planning.plan import RunResult
from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, Forbidden, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.model.run import Outcome, Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, run_from_lease
from inplace.runtime.lease.run_states import read_run_state
from inplace.runtime.run.assembly import quick_client

UNSEEN_SECONDS = 10.0
"""How long a controller may take to pick up a rollout before the person is asked whether one is running."""
NOT_SEEN = "no controller has picked this up yet: is one running for this namespace? Ctrl-C detaches; the rollout stays queued"
OUTCOMES: dict[str, Outcome] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "RolledBack": "RolledBack",
    "Aborted": "Aborted",
    "Paused": "Paused",
}


class FinishedUnseen(msgspec.Struct, frozen=True):
    """The run had ended before any frame of it was seen."""

    outcome: Outcome
    message: str


class FollowedRun(Protocol):
    @property
    def cli_args(self) -> tuple[str, ...]:
        """What names it on the command line."""
        ...

    @property
    def error(self) -> str:
        """Why the run makes no progress, other than by its end."""
        ...

    def read_run(self, lease: Lease | None) -> Run | None:
        """The run that is followed, if the Lease holds it. Raises `RefusedError` where it cannot be read."""
        ...

    def poll(self, lease: Lease | None, *, is_synced: bool) -> RunResult | None:
        """Called once a second; returns the end, if it has come. Raises `RefusedError` and `ApiError`."""
        ...


class LeaseRun:
    """The run that the target's Lease holds: across pauses and changes of its holder, and on to a run that takes over."""

    def __init__(self, api: ApiClient, target: TargetRef, notify: Callable[[str], None]) -> None:
        self._api = quick_client(api)
        self._target = target
        self.cli_args = target.cli_args
        self._notify = notify
        self._run: Run | None = None
        self._version = ""
        self._changed_at = api.clock.monotonic()
        self.error = ""

    def read_run(self, lease: Lease | None) -> Run | None:
        try:
            return run_from_lease(lease)
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def poll(self, lease: Lease | None, *, is_synced: bool) -> RunResult | None:
        if not is_synced:
            return None
        run, before = self.read_run(lease), self._run
        if run is None or lease is None:
            if before is None:
                raise RefusedError(f"{self._target} in {self._target.namespace} has no run to watch")
            return self._end_of_deleted(before)
        if before is not None and before.id != run.id:
            self._notify(f"another run has taken over{f', by {run.created_by}' if run.created_by else ''}: watching that")
        self._run = run
        if run.outcome not in (None, "Paused") and not lease.spec.holder_identity:
            return RunResult(run.outcome, run.message)
        self._check_holder(lease, run)
        return None

    def _end_of_deleted(self, last: Run) -> RunResult:
        """A Lease is deleted with its target; that of bare pods at the end of its run."""
        if self._target.kind != "Pods":
            return RunResult("Failed", f"{self._target} was deleted")
        if not last.rolling_back:
            return RunResult("Succeeded")
        return RunResult("Aborted" if last.rollback_reason == "Abort" else "RolledBack", last.message)

    def _check_holder(self, lease: Lease, run: Run) -> None:
        """A holder that renews the Lease is alive. If it does not, ask: a controller renews its own Lease instead."""
        now, version = self._api.clock.monotonic(), lease.metadata.resource_version
        if version != self._version or run.outcome is not None:
            self._version, self._changed_at, self.error = version, now, ""
        holder = lease.spec.holder_identity
        if run.outcome is not None or (holder and now - self._changed_at < LEASE_DURATION_SECONDS):
            return
        self._changed_at = now
        with suppress(ApiError):
            state = read_run_state(self._api, self._target)
            if state is not None and state.run is not None and state.run.outcome is None:
                who = f"{state.holder} seems dead" if state.holder else "nobody drives it"
                self.error = "" if state.seems_alive else f"{who}: only `inplace resume` goes on"


class RolloutRun:
    """The run of an InPlaceRollout. `notify` gets what it waits for, whenever that changes. `through_pauses`: a pause is not
    the end."""

    def __init__(
        self, api: ApiClient, rollout: InPlaceRollout, notify: Callable[[str], None], *, through_pauses: bool = False
    ) -> None:
        self._api = quick_client(api)
        self._rollout = rollout
        self.cli_args = (f"ipr/{rollout.metadata.name}",)
        self._notify = notify
        self._through_pauses = through_pauses
        self._message = ""
        self._remind_at = api.clock.monotonic() + UNSEEN_SECONDS
        self.error = ""

    def read_run(self, lease: Lease | None) -> Run | None:
        with suppress(ValueError):
            run = run_from_lease(lease)
            return run if run is not None and run.id == self._rollout.status.run_id else None
        return None

    def poll(self, lease: Lease | None, *, is_synced: bool) -> RunResult | None:  # noqa: ARG002
        meta = self._rollout.metadata
        try:
            self._rollout = self._api.get(INPLACE_ROLLOUTS, meta.namespace, meta.name)
        except NotFound:
            raise ApiError(f"InPlaceRollout {meta.name} was deleted") from None
        except Forbidden:
            raise
        except ApiError:
            return None
        status = self._rollout.status
        if status.phase is None and self._api.clock.monotonic() >= self._remind_at:
            self._remind_at = float("inf")
            self._notify(NOT_SEEN)
        if status.phase == "Refused":
            raise RefusedError(status.message)
        if status.phase == "Waiting" and status.message != self._message:
            self._message = status.message
            self._notify(f"waiting: {status.message}")
        if status.phase in TERMINAL_PHASES or (status.phase == "Paused" and not self._through_pauses):
            return RunResult(OUTCOMES[status.phase], status.message)
        return None
