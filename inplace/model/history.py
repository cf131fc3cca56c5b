"""The last few runs of a target, kept beside the run in annotation `inplace.dev/history` of its Lease, for people.

The stock controllers' own history says which images a revision had; this says who brought them, when, and how it ended.
"""

from __future__ import annotations

import msgspec

from inplace.model.objects.meta import CANNOT_BE_READ, ApiStruct
from inplace.model.run import Operation, Outcome, Run, truncate

MAX_RUNS = 10
LONGEST = 200
LARGEST_BYTES = 64 * 1024
"""Of the annotation, beside which the run must have room; the oldest go first."""


class PastRun(ApiStruct, frozen=True, kw_only=True):
    """A run as it ended, or was left. `made`: the revisions that it has brought about."""

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
        created_by=truncate(run.created_by, LONGEST),
        client=truncate(run.client, LONGEST),
        expiring_rollout=run.expiring_rollout,
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        message=truncate(run.message, LONGEST),
        revisions_created=made,
    )


def decode_history(text: str | None) -> tuple[PastRun, ...]:
    """The newest last. What cannot be read is no history."""
    try:
        return msgspec.json.decode(text or "[]", type=tuple[PastRun, ...])
    except CANNOT_BE_READ:
        return ()


def append_history(text: str | None, past: PastRun) -> str:
    """The annotation with one entry for each run, the newest last."""
    others = [known for known in decode_history(text) if known.id != past.id]
    kept = [*others, past][-MAX_RUNS:]
    while len(kept) > 1 and len(msgspec.json.encode(kept)) > LARGEST_BYTES:
        kept = kept[1:]
    return msgspec.json.encode(kept).decode()
