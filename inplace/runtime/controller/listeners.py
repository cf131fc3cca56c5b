"""What hears of a controller's work, so that it can be told to people and to machines; the controller knows neither of them.

Whoever listens is called in the middle of a pass: it must be quick and must not raise.
"""

from __future__ import annotations

from typing import Protocol

from inplace.kube.codec import Unreadable
from inplace.model.rollout import InPlaceRollout, RolloutStatus
from inplace.runtime.observability.frames import Frame


class ControllerListener(Protocol):
    """For events and metrics: see `telling.Teller`."""

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        """Its status was written."""
        ...

    def warned(self, rollout: InPlaceRollout, message: str) -> None: ...

    def reconciled(self, seconds: float, error: BaseException | None) -> None: ...

    def unreadable(self, lost: Unreadable) -> None:
        """An object that is watched cannot be read: once for each reason."""
        ...

    def drove(self, rollout: InPlaceRollout, frame: Frame) -> None:
        """After each pass of its run."""
        ...

    def gone(self, uid: str) -> None:
        """Nothing of that rollout goes on here."""
        ...


class NullListener:
    """Nobody hears of it."""

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        pass

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        pass

    def reconciled(self, seconds: float, error: BaseException | None) -> None:
        pass

    def unreadable(self, lost: Unreadable) -> None:
        pass

    def drove(self, rollout: InPlaceRollout, frame: Frame) -> None:
        pass

    def gone(self, uid: str) -> None:
        pass
