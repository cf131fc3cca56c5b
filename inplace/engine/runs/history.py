"""The revisions that the stock controllers keep of a workload's template, as kubectl numbers them, and who made each."""

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
    """The oldest first. ReplicaSets and bare pods have none."""
    kept = strategy_for(Snapshot(target, ())).revisions()
    found = sorted((r for r in kept if r.number > 0), key=lambda r: r.number)
    newest = list(accumulate((r.created_at for r in found), max))
    return tuple(
        r if r.created_at == at else msgspec.structs.replace(r, created_at="") for r, at in zip(found, newest, strict=True)
    )


def latest_revision(target: Target) -> int:
    """The newest one's; 0 for none."""
    return max((r.number for r in revisions(target)), default=0)


class HistoryEntry(msgspec.Struct, frozen=True, rename="camel"):
    """A revision, or a run that made none (`revision` 0). `how` is empty where nobody remembers."""

    revision: int
    how: Literal["in place", "classic", ""]
    images: dict[str, str]
    by: str = ""
    """Who began the run, as the API server calls the caller."""
    at: str = ""
    outcome: str = ""
    cause: str = ""
    run: str = ""
    doing: str = ""
    message: str = ""
    client: str = ""
    """USER@HOST of the machine that the run was begun from."""
    superseded: str = ""
    """What a later rollout has made of what the last run has left; empty: nothing, or it is not the last."""


def merge_history(known: Sequence[Revision], runs: Sequence[PastRun]) -> tuple[HistoryEntry, ...]:
    """Revisions in their order, and among them, by time, the runs that made none. `runs`: the oldest first."""
    makers = {number: past for past in runs for number in past.revisions_created}
    entries = [_of_revision(r, makers, is_complete=len(runs) < MAX_RUNS) for r in known]
    for past in runs:
        if any(r.number in past.revisions_created for r in known):
            continue
        later = (i for i, entry in enumerate(entries) if entry.run and entry.at > past.ended_at)
        entries.insert(next(later, len(entries)), _of_run(past))
    return tuple(entries)


def _of_revision(revision: Revision, makers: Mapping[int, PastRun], *, is_complete: bool) -> HistoryEntry:
    number, maker = revision.number, makers.get(revision.number)
    if maker is not None:
        return msgspec.structs.replace(_of_run(maker), revision=number, images=revision.images, cause=revision.cause)
    # Where the next one was made in place, this one's ReplicaSet was made then, too: its age tells nothing.
    at = "" if number + 1 in makers else revision.created_at
    return HistoryEntry(number, "classic" if is_complete else "", revision.images, at=at, cause=revision.cause)


def _of_run(past: PastRun) -> HistoryEntry:
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
