"""The last few runs of a target, kept beside the run in annotation `inplace.dev/history` of its Lease, for people.

The stock controllers' own history says which images a revision had; this says who brought them, when, and how it ended.
"""

from __future__ import annotations

import msgspec

from inplace.model.meta import CANNOT_BE_READ, Wire
from inplace.model.run import Doing, Outcome, Run, shortened

MOST = 10
LONGEST = 200
LARGEST_BYTES = 64 * 1024
"""Of the annotation, beside which the run must have room; the oldest go first."""


class Past(Wire, frozen=True, kw_only=True):
    """A run as it ended, or was left. `made`: the revisions that it has brought about."""

    id: str
    doing: Doing = "Upgrade"
    images: dict[str, str] = {}
    from_images: dict[str, str] = {}
    by: str = ""
    client: str = ""
    expiring: str = ""
    started_at: str = ""
    ended_at: str = ""
    outcome: Outcome | None = None
    message: str = ""
    made: tuple[int, ...] = ()


def past_of(run: Run, made: tuple[int, ...]) -> Past:
    return Past(
        id=run.id,
        doing=run.doing,
        images=run.asked_images,
        from_images=run.from_images,
        by=shortened(run.by, LONGEST),
        client=shortened(run.client, LONGEST),
        expiring=run.expiring,
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        message=shortened(run.message, LONGEST),
        made=made,
    )


def decode_history(text: str | None) -> tuple[Past, ...]:
    """The newest last. What cannot be read is no history."""
    try:
        return msgspec.json.decode(text or "[]", type=tuple[Past, ...])
    except CANNOT_BE_READ:
        return ()


def remembered(text: str | None, past: Past) -> str:
    """The annotation with one entry for each run, the newest last."""
    others = [known for known in decode_history(text) if known.id != past.id]
    kept = [*others, past][-MOST:]
    while len(kept) > 1 and len(msgspec.json.encode(kept)) > LARGEST_BYTES:
        kept = kept[1:]
    return msgspec.json.encode(kept).decode()
