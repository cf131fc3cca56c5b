"""A request by annotation, on a Lease or on an InPlaceRollout: what it asks for and who asks, and, where it is none, why not.

Anybody with the right to annotate may write one, by hand too: a word that we do not know is answered, and never guessed.
"""

from __future__ import annotations

from typing import Any, get_args

from inplace.model.meta import Object
from inplace.model.names import REQUEST, REQUEST_BY
from inplace.model.run import Verb

VERBS: tuple[Verb, ...] = get_args(Verb)
NO_REQUEST: dict[str, Any] = {REQUEST: None, REQUEST_BY: None}
"""The annotations, patched away."""
LONGEST_SHOWN = 40


def request_of(found: Object | None) -> Verb | None:
    """What the holder is asked for; nothing that we do not know."""
    asked = found.metadata.annotation(REQUEST) if found is not None else None
    return next((verb for verb in VERBS if verb == asked), None)


def asked_by(found: Object | None) -> str:
    """Who asks, as far as that is said."""
    return (found.metadata.annotation(REQUEST_BY) if found is not None else None) or ""


def problem_of(found: Object | None) -> str:
    """Why what it is asked for is no request, in words; empty: it is one, or there is none."""
    asked = found.metadata.annotation(REQUEST) if found is not None else None
    if asked is None or request_of(found) is not None:
        return ""
    from difflib import get_close_matches

    shown = asked if len(asked) <= LONGEST_SHOWN else f"{asked[:LONGEST_SHOWN]}..."
    hint = "".join(f" Did you mean {verb}?" for verb in get_close_matches(asked.lower(), VERBS, n=1))
    return f"{REQUEST}={shown!r} is no request, and was removed: use {', '.join(VERBS[:-1])} or {VERBS[-1]}.{hint}"
