"""The states of a rollout's reconciler: not started, running, paused, or finished; and the result of one reconcile."""

from __future__ import annotations

import msgspec

from inplace.engine.runs.rollouts import RolloutState
from inplace.model.run import Run
from inplace.runtime.controller.context import RolloutView
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.driver import Driver


class ReconcileResult(msgspec.Struct, frozen=True):
    """`state` None: nothing new for the status. `requeue_after`, in seconds, None: only an event gives more to do."""

    state: RolloutState | None
    requeue_after: float | None = None


class Unstarted(msgspec.Struct, frozen=True):
    """It holds nothing."""


class Running(msgspec.Struct):
    """It holds the target's Lease and drives a run. `is_first`: another run's commit, which must end before its own begins."""

    view: RolloutView
    lock: TargetLock
    workers: WorkerPool
    driver: Driver
    is_first: bool


class Paused(msgspec.Struct, frozen=True):
    """It holds the target's Lease, and the run is paused."""

    view: RolloutView
    lock: TargetLock
    run: Run


class Finished(msgspec.Struct, frozen=True):
    """It holds nothing any more, and `state` is what the status shows."""

    state: RolloutState


ReconcilerState = Unstarted | Running | Paused | Finished
