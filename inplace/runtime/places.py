"""Where one rollout stands with the one who carries it out: nothing held, driven, held paused, or over."""

from __future__ import annotations

import msgspec

from inplace.engine.rollouts import RolloutState
from inplace.model.run import Run
from inplace.runtime.driver import Driver
from inplace.runtime.ground import Outlook
from inplace.runtime.host import StoppableWorkers
from inplace.runtime.lock import Lock


class Came(msgspec.Struct, frozen=True):
    """Where a pass came to. `state` None: nothing that is worth telling; `requeue_after` None: only an event changes it."""

    state: RolloutState | None
    requeue_after: float | None = None


class Opening(msgspec.Struct, frozen=True):
    """Nothing is held."""


class Moving(msgspec.Struct):
    """Driven. `is_first`: only to end another run's commit."""

    outlook: Outlook
    lock: Lock
    workers: StoppableWorkers
    driver: Driver
    is_first: bool


class Standing(msgspec.Struct, frozen=True):
    """Held where it stands paused."""

    outlook: Outlook
    lock: Lock
    run: Run


class Over(msgspec.Struct, frozen=True):
    state: RolloutState


Place = Opening | Moving | Standing | Over
