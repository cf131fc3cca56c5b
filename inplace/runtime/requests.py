"""A request by annotation, on a Lease or on an InPlaceRollout: the command, who gave it, and why it is none.

Anybody with permission to annotate may write one, also by hand: an unknown word is answered, and never guessed.
"""

from __future__ import annotations

from typing import Any, get_args

from inplace.model.constants import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION
from inplace.model.objects.meta import HasMetadata
from inplace.model.run import RunCommand

COMMANDS: tuple[RunCommand, ...] = get_args(RunCommand)
NO_REQUEST: dict[str, Any] = {REQUEST_ANNOTATION: None, REQUESTED_BY_ANNOTATION: None}
"""The annotations, patched away."""
MAX_SHOWN_LENGTH = 40


def read_request(obj: HasMetadata | None) -> RunCommand | None:
    """The command that the holder is to apply; None: there is none, or none that we know."""
    text = obj.metadata.annotation(REQUEST_ANNOTATION) if obj is not None else None
    return next((command for command in COMMANDS if command == text), None)


def requested_by(obj: HasMetadata | None) -> str:
    """Who gave the command, as far as it is written down."""
    return (obj.metadata.annotation(REQUESTED_BY_ANNOTATION) if obj is not None else None) or ""


def request_problem(obj: HasMetadata | None) -> str:
    """Why the annotation is no request, in words; empty: it is one, or there is none."""
    text = obj.metadata.annotation(REQUEST_ANNOTATION) if obj is not None else None
    if text is None or read_request(obj) is not None:
        return ""
    from difflib import get_close_matches

    shown = text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}..."
    hint = "".join(f" Did you mean {command}?" for command in get_close_matches(text.lower(), COMMANDS, n=1))
    usable = f"{', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}"
    return f"{REQUEST_ANNOTATION}={shown!r} is no request, and was removed: use {usable}.{hint}"
