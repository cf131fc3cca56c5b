"""A request by annotation, on a Lease or on an InPlaceRollout: what it asks for and who asks, and, where it is none, why not.

Anybody with the right to annotate may write one, by hand too: a word that we do not know is answered, and never guessed.
"""

from __future__ import annotations

from typing import Any, get_args

from inplace.model.constants import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION
from inplace.model.objects.meta import HasMetadata
from inplace.model.run import RunCommand

VERBS: tuple[RunCommand, ...] = get_args(RunCommand)
NO_REQUEST: dict[str, Any] = {REQUEST_ANNOTATION: None, REQUESTED_BY_ANNOTATION: None}
"""The annotations, patched away."""
LONGEST_SHOWN = 40


def read_request(found: HasMetadata | None) -> RunCommand | None:
    """What the holder is asked for; nothing that we do not know."""
    asked = found.metadata.annotation(REQUEST_ANNOTATION) if found is not None else None
    return next((verb for verb in VERBS if verb == asked), None)


def requested_by(found: HasMetadata | None) -> str:
    """Who asks, as far as that is said."""
    return (found.metadata.annotation(REQUESTED_BY_ANNOTATION) if found is not None else None) or ""


def request_problem(found: HasMetadata | None) -> str:
    """Why what it is asked for is no request, in words; empty: it is one, or there is none."""
    asked = found.metadata.annotation(REQUEST_ANNOTATION) if found is not None else None
    if asked is None or read_request(found) is not None:
        return ""
    from difflib import get_close_matches

    shown = asked if len(asked) <= LONGEST_SHOWN else f"{asked[:LONGEST_SHOWN]}..."
    hint = "".join(f" Did you mean {verb}?" for verb in get_close_matches(asked.lower(), VERBS, n=1))
    return f"{REQUEST_ANNOTATION}={shown!r} is no request, and was removed: use {', '.join(VERBS[:-1])} or {VERBS[-1]}.{hint}"
