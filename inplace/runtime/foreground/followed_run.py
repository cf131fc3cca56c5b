"""What is followed, and when that is over: a run by its Lease, whoever drives it, or an InPlaceRollout and the run that it has.

Only reads. An API server that does not answer ends nothing: the watches say so, and go on by themselves.
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
from inplace.kube.retry import QUICK
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.model.run import Outcome, Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, run_from_lease
from inplace.runtime.lease.run_states import read_run_state

UNSEEN_SECONDS = 10.0
"""How long a controller may take to see a rollout before it is asked for."""
NOT_SEEN = "no controller has picked this up yet: is one running for this namespace? Ctrl-C detaches; the rollout stays queued"
OUTCOMES: dict[str, Outcome] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "RolledBack": "RolledBack",
    "Aborted": "Aborted",
    "Paused": "Paused",
}


class FinishedUnseen(msgspec.Struct, frozen=True):
    """It had ended before it was looked at."""

    outcome: Outcome
    message: str


class FollowedRun(Protocol):
    @property
    def cli_args(self) -> tuple[str, ...]:
        """What a person writes to follow it."""
        ...

    @property
    def error(self) -> str:
        """Why nothing goes on, as far as that is not its own end."""
        ...

    def read_run(self, lease: Lease | None) -> Run | None:
        """The run that is followed, where the Lease holds it. Raises `Refused` where it cannot be read."""
        ...

    def poll(self, lease: Lease | None, *, is_synced: bool) -> RunResult | None:
        """Once a second: the end, if it has come. Raises `Refused` and `ApiError`."""
        ...


class LeaseRun:
    """Whatever run the target's Lease holds: across pauses, whoever drives it, and on to one that takes over."""

    def __init__(self, api: ApiClient, target: TargetRef, said: Callable[[str], None]) -> None:
        self._api = quick_client(api)
        self._target = target
        self.cli_args = target.cli_args
        self._said = said
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
            return self._gone(before)
        if before is not None and before.id != run.id:
            self._said(f"another run has taken over{f', by {run.created_by}' if run.created_by else ''}: watching that")
        self._run = run
        if run.outcome not in (None, "Paused") and not lease.spec.holder_identity:
            return RunResult(run.outcome, run.message)
        self._see_whether_anybody_drives(lease, run)
        return None

    def _gone(self, last: Run) -> RunResult:
        """The Lease is deleted with its target; that of bare pods at the end of its run."""
        if self._target.kind != "Pods":
            return RunResult("Failed", f"{self._target} was deleted")
        if not last.rolling_back:
            return RunResult("Succeeded")
        return RunResult("Aborted" if last.rollback_reason == "Abort" else "RolledBack", last.message)

    def _see_whether_anybody_drives(self, lease: Lease, run: Run) -> None:
        """A holder that renews is alive. Where that is not seen, it is asked for: a controller renews elsewhere."""
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
    """An InPlaceRollout. `said` gets what it waits for, whenever that changes. `through_pauses`: a pause is not the end."""

    def __init__(
        self, api: ApiClient, rollout: InPlaceRollout, said: Callable[[str], None], *, through_pauses: bool = False
    ) -> None:
        self._api = quick_client(api)
        self._rollout = rollout
        self.cli_args = (f"ipr/{rollout.metadata.name}",)
        self._said = said
        self._through_pauses = through_pauses
        self._message = ""
        self._asks_at = api.clock.monotonic() + UNSEEN_SECONDS
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
        if status.phase is None and self._api.clock.monotonic() >= self._asks_at:
            self._asks_at = float("inf")
            self._said(NOT_SEEN)
        if status.phase == "Refused":
            raise RefusedError(status.message)
        if status.phase == "Waiting" and status.message != self._message:
            self._message = status.message
            self._said(f"waiting: {status.message}")
        if status.phase in TERMINAL_PHASES or (status.phase == "Paused" and not self._through_pauses):
            return RunResult(OUTCOMES[status.phase], status.message)
        return None


def quick_client(api: ApiClient) -> ApiClient:
    """Whoever looks every second need not try again for long."""
    return api.replace(policy=QUICK, timeout_seconds=5.0)
