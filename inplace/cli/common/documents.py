"""Documents of `-o json` and `-o yaml` that no other module returns. `docs/json.md` is generated from all documents."""

from __future__ import annotations

import msgspec

from inplace.runtime.foreground.audit import AuditRecord
from inplace.runtime.lease.run_states import RunState
from inplace.runtime.repair.context import RepairEvent


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """Printed instead of a summary if this command drove no run. `outcome`: that of a run, `NothingToDo`, or `Resumed` if the
    run's holder goes on. Schema version 1."""

    target: str
    namespace: str
    outcome: str
    message: str
    v: int = 1


class Runs(msgspec.Struct, frozen=True, rename="camel"):
    """The last run of each target, unfinished runs included. Schema version 1."""

    items: tuple[RunState, ...]
    v: int = 1


class Trails(msgspec.Struct, frozen=True, rename="camel"):
    """The InPlaceRollouts of a target, the oldest first. Schema version 1."""

    target: str
    namespace: str
    runs: tuple[AuditRecord, ...]
    v: int = 1


class Repaired(msgspec.Struct, frozen=True, rename="camel"):
    """What `repair` found, did and left as it was. Schema version 1."""

    items: tuple[RepairEvent, ...]
    is_clean: bool
    """True if no pod is left closed without an owner."""
    is_dry_run: bool
    v: int = 1
