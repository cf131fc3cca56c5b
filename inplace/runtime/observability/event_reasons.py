"""The reasons of Events and the notes that both a command and a controller write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from inplace.model.run import Outcome
from inplace.runtime.observability.event_recorder import EventType

PodReason = Literal["PodClosed", "PodUpgraded", "PodFailed"]
Reason = Literal[
    "RunWaiting",
    "RunStarted",
    "RunResumed",
    "RunPaused",
    "RunSucceeded",
    "RunFailed",
    "RunRolledBack",
    "RunAborted",
    "RunRefused",
    "RunWarning",
    "StepFinished",
    PodReason,
    "GateOpened",
    "GateClosed",
]
"""Every reason of an Event about a run, its target or its pods."""

OF_OUTCOME: Mapping[Outcome, tuple[EventType, Reason]] = {
    "Succeeded": ("Normal", "RunSucceeded"),
    "Failed": ("Warning", "RunFailed"),
    "RolledBack": ("Warning", "RunRolledBack"),
    "Aborted": ("Normal", "RunAborted"),
    "Paused": ("Normal", "RunPaused"),
    "TimedOut": ("Normal", "RunPaused"),
    "Interrupted": ("Normal", "RunPaused"),
}
"""How the end of a run is reported that a command drives."""


def describe_counts(updated: int, desired: int) -> str:
    return f"{updated} of {desired} pods updated"


def describe_begin(pods: int, before: Mapping[str, str], after: Mapping[str, str], *, is_undo: bool, by: str) -> str:
    """Returns, for example, `upgrading 6 pods: app=repo/app:1 -> app=repo/app:2 (by jane (root@laptop))`."""
    had, gets = (" ".join(f"{name}={image}" for name, image in images.items()) for images in (before, after))
    count = f"{pods} pods"
    if is_undo:
        return f"rolling back {count} from {had}{by}" if had else f"rolling back {count}{by}"
    if not gets:
        return f"upgrading {count} to the template{by}"
    return f"upgrading {count}: {had} -> {gets}{by}" if had else f"upgrading {count} to {gets}{by}"
