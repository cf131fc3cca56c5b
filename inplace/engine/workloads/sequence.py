"""What comes next in the sequence that makes a workload consistent: an act, a wait, a fresh look, or the end."""

from __future__ import annotations

import msgspec

from inplace.engine.actions import Action
from inplace.model.run import Forgoable


class Perform(msgspec.Struct, frozen=True):
    """Do this next."""

    action: Action
    reason: str
    forgoing: Forgoable | None = None
    """Where it cannot be done the sequence goes on without it."""


class WaitFor(msgspec.Struct, frozen=True):
    """The cluster's controllers are to move."""

    reason: str
    forgoing: Forgoable | None = None


class RelistPods(msgspec.Struct, frozen=True):
    """Go on when a list of the pods, made after this moment, shows every one updated; `moment` names the timer of it."""

    moment: str


class Blocked(msgspec.Struct, frozen=True):
    """It cannot go on as things are, such as when somebody else changed the workload: stop and report."""

    reason: str


class Done(msgspec.Struct, frozen=True):
    """The workload is as a classic rollout would have left it."""


class Prepared(msgspec.Struct, frozen=True):
    """The template is ahead and held back; pods of this revision count as updated."""

    revision: str


NextStep = Perform | WaitFor | RelistPods | Blocked | Done | Prepared
