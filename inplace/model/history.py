"""The last few runs of a target, kept beside the run in annotation `inplace.dev/history` of its Lease, for people.

The stock controllers' own history says which images a revision had; this says who brought them, when, and how it ended.
"""

from __future__ import annotations

import msgspec

from inplace.model.meta import Wire
from inplace.model.run import Doing, Outcome, Run

MOST = 10
MESSAGE_LENGTH = 200


class Past(Wire, frozen=True, kw_only=True):
    """A run as it ended, or was left. `made`: the revisions that it has brought about."""

    id: str
    doing: Doing = "Upgrade"
    images: dict[str, str] = {}
    from_images: dict[str, str] = {}
    by: str = ""
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
        by=run.by,
        started_at=run.started_at,
        ended_at=run.ended_at,
        outcome=run.outcome,
        message=run.message[:MESSAGE_LENGTH],
        made=made,
    )


def decode_history(text: str | None) -> tuple[Past, ...]:
    """The newest last. What cannot be read is no history."""
    try:
        return msgspec.json.decode(text or "[]", type=tuple[Past, ...])
    except msgspec.MsgspecError:
        return ()


def remembered(text: str | None, past: Past) -> str:
    """The annotation with one entry for each run, the newest last."""
    others = [known for known in decode_history(text) if known.id != past.id]
    return msgspec.json.encode([*others, past][-MOST:]).decode()
