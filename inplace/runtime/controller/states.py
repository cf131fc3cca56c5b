"""Where one rollout stands with the one who carries it out: nothing held, driven, held paused, or over."""

from __future__ import annotations

import msgspec

from inplace.engine.runs.rollouts import RolloutState
from inplace.model.run import Run
from inplace.runtime.controller.context import RolloutView
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.driver import Driver


class ReconcileResult(msgspec.Struct, frozen=True):
    """Where a pass came to. `state` None: nothing that is worth telling; `requeue_after` None: only an event changes it."""

    state: RolloutState | None
    requeue_after: float | None = None


class Opening(msgspec.Struct, frozen=True):
    """Nothing is held."""


class Moving(msgspec.Struct):
    """Driven. `is_first`: only to end another run's commit."""

    outlook: RolloutView
    lock: TargetLock
    workers: WorkerPool
    driver: Driver
    is_first: bool


class Standing(msgspec.Struct, frozen=True):
    """Held where it stands paused."""

    outlook: RolloutView
    lock: TargetLock
    run: Run


class Over(msgspec.Struct, frozen=True):
    state: RolloutState


Place = Opening | Moving | Standing | Over
