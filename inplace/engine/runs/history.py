"""Merges the revisions that the stock controllers keep of a workload, as kubectl numbers them, with the runs that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import Snapshot, Target
from inplace.engine.workloads.revisions import Revision
from inplace.model.history import MAX_RUNS, PastRun


def revisions(target: Target) -> tuple[Revision, ...]:
    """Returns the revisions of a workload, the oldest first. ReplicaSets and bare pods have none."""
    kept = strategy_for(Snapshot(target, ())).revisions()
    numbered = sorted((r for r in kept if r.number > 0), key=lambda r: r.number)
    newest = list(accumulate((r.created_at for r in numbered), max))
    return tuple(
        r if r.created_at == at else msgspec.structs.replace(r, created_at="") for r, at in zip(numbered, newest, strict=True)
    )


def latest_revision(target: Target) -> int:
    """Returns the number of the newest revision; 0 if there is none."""
    return max((r.number for r in revisions(target)), default=0)


class HistoryEntry(msgspec.Struct, frozen=True, rename="camel"):
    """A revision, or a run that created none (`revision` 0). `how` is empty if unknown."""

    revision: int
    how: Literal["in place", "classic", ""]
    images: dict[str, str]
    by: str = ""
    """The user who began the run, as the API server calls that user."""
    at: str = ""
    outcome: str = ""
    cause: str = ""
    run: str = ""
    doing: str = ""
    message: str = ""
    client: str = ""
    """USER@HOST of the machine that began the run."""
    superseded: str = ""
    """How a later rollout changed the result of the last run; empty if none did, or if it is not the last."""


def merge_history(all_revisions: Sequence[Revision], runs: Sequence[PastRun]) -> tuple[HistoryEntry, ...]:
    """Returns the revisions in their order and, placed by time, the runs that created none. `runs`: the oldest first."""
    makers = {number: past for past in runs for number in past.revisions_created}
    entries = [_entry_from_revision(r, makers, is_complete=len(runs) < MAX_RUNS) for r in all_revisions]
    for past in runs:
        if any(r.number in past.revisions_created for r in all_revisions):
            continue
        later = (i for i, entry in enumerate(entries) if entry.run and entry.at > past.ended_at)
        entries.insert(next(later, len(entries)), _entry_from_run(past))
    return tuple(entries)


def _entry_from_revision(revision: Revision, makers: Mapping[int, PastRun], *, is_complete: bool) -> HistoryEntry:
    number, maker = revision.number, makers.get(revision.number)
    if maker is not None:
        return msgspec.structs.replace(_entry_from_run(maker), revision=number, images=revision.images, cause=revision.cause)
    # If the next revision was created in place, this one's ReplicaSet was created then, too, so its age means nothing.
    at = "" if number + 1 in makers else revision.created_at
    return HistoryEntry(number, "classic" if is_complete else "", revision.images, at=at, cause=revision.cause)


def _entry_from_run(past: PastRun) -> HistoryEntry:
    return HistoryEntry(
        revision=0,
        how="in place",
        images=past.images,
        by=past.created_by,
        at=past.ended_at,
        outcome=past.outcome or "",
        run=past.id,
        doing=past.operation,
        message=past.message,
        client=past.client,
    )
