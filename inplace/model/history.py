"""Keeps the last few runs of a target, for users, in annotation `inplace.dev/history` of the target's Lease.

The history of the stock controllers says which images a revision had; this one says who rolled them out, when, and how it
ended.
"""

from __future__ import annotations

import msgspec

from inplace.model.objects.meta import CANNOT_BE_READ, ApiStruct
from inplace.model.run import Operation, Outcome, Run, truncate

MAX_RUNS = 10
MAX_TEXT_LENGTH = 200
MAX_ANNOTATION_BYTES = 64 * 1024
"""Leaves room for the run in the same Lease; the oldest runs are dropped first."""


class PastRun(ApiStruct, frozen=True, kw_only=True):
    """A run as it ended or was abandoned."""

    id: str
    operation: Operation = msgspec.field(default="Upgrade", name="doing")
    images: dict[str, str] = {}
    from_images: dict[str, str] = {}
    created_by: str = msgspec.field(default="", name="by")
    client: str = ""
    expiring_rollout: str = msgspec.field(default="", name="expiring")
    started_at: str = ""
    ended_at: str = ""
    outcome: Outcome | None = None
    message: str = ""
    revisions_created: tuple[int, ...] = msgspec.field(default=(), name="made")


def to_past_run(run: Run, made: tuple[int, ...]) -> PastRun:
    return PastRun(
        id=run.id,
        operation=run.operation,
        images=run.requested_images,
        from_images=run.from_images,
        created_by=truncate(run.created_by, MAX_TEXT_LENGTH),
        client=truncate(run.client, MAX_TEXT_LENGTH),
        expiring_rollout=run.expiring_rollout,
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        message=truncate(run.message, MAX_TEXT_LENGTH),
        revisions_created=made,
    )


def decode_history(text: str | None) -> tuple[PastRun, ...]:
    """Returns the stored runs, the newest last; none if the annotation cannot be read."""
    try:
        return msgspec.json.decode(text or "[]", type=tuple[PastRun, ...])
    except CANNOT_BE_READ:
        return ()


def append_history(text: str | None, past: PastRun) -> str:
    """Returns the annotation with this run as its newest entry, in place of an earlier entry of the same run."""
    others = [other for other in decode_history(text) if other.id != past.id]
    kept = [*others, past][-MAX_RUNS:]
    while len(kept) > 1 and len(msgspec.json.encode(kept)) > MAX_ANNOTATION_BYTES:
        kept = kept[1:]
    return msgspec.json.encode(kept).decode()
