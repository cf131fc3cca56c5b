"""Assembles what drives a run, from the lock to the driver, the same way for a command and for the controller.

The timeouts are fixed here: a lock's requests must be answered, or given up, well before its renewal is overdue; a write that
is planned again in the next pass need not be retried for long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inplace.kube.api import ApiClient
from inplace.kube.protocols import Clock
from inplace.kube.retry import QUICK
from inplace.model.refs import TargetRef
from inplace.model.run import Run, StopRequest
from inplace.runtime.lease.disruption_claims import DisruptionClaims
from inplace.runtime.lease.lock import Fence, TargetLock
from inplace.runtime.observability.frames import Frame
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.driver import Driver, DriverOptions, RunInputs
from inplace.runtime.run.executor import Executor

LOCK_TIMEOUT_SECONDS = 4.0
QUICK_TIMEOUT_SECONDS = 5.0


def quick_client(api: ApiClient) -> ApiClient:
    """The same API server, for requests that are made again soon anyway."""
    return api.replace(policy=QUICK, timeout_seconds=QUICK_TIMEOUT_SECONDS)


def new_lock(
    api: ApiClient, target: TargetRef, owner: dict[str, Any] | None, identity: str, fence: Fence | None = None
) -> TargetLock:
    """A lock with its own flow of requests: not rate-limited, and quick to notice that the API server does not answer."""
    flow = api.replace(limiter=None, policy=QUICK, timeout_seconds=LOCK_TIMEOUT_SECONDS)
    return TargetLock(flow, target, owner, identity, fence)


def build_driver(
    api: ApiClient,
    lock: TargetLock,
    inputs: RunInputs,
    start_workers: Callable[[Executor, TargetLock, Clock], WorkerPool],
    run: Run,
    on_frame: Callable[[Frame], None],
    options: DriverOptions,
    stop: StopRequest | None = None,
) -> tuple[Driver, WorkerPool]:
    """A driver for the run that the lock holds, and its workers, which the caller must stop."""
    claims = DisruptionClaims(api, lock)
    executor = Executor(quick_client(api), run.target.namespace, inputs.caches, claims)
    workers = start_workers(executor, lock, api.clock)
    return Driver(inputs, workers, lock, api.clock, run, on_frame, options, stop), workers
