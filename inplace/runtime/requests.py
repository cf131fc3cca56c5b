"""What an InPlaceRollout's annotation asks for: taken in once, and, where it is none of our words, refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inplace.model.names import REQUEST
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Verb
from inplace.runtime.lock import NO_REQUEST, VERBS, request_of

Patch = Callable[[InPlaceRollout, dict[str, Any]], None]
LONGEST_SHOWN = 40


def take(rollout: InPlaceRollout, patch: Patch) -> tuple[Verb | None, str]:
    """With why it is none. It is removed before it is obeyed: a request lost is asked again by its person, one obeyed twice
    might pass a second pause. Raises `ApiError`: `Conflict` where it has changed meanwhile."""
    asked, problem = request_of(rollout), problem_of(rollout)
    if asked is not None or problem:
        patch(rollout, {"metadata": {"annotations": NO_REQUEST, "resourceVersion": rollout.metadata.resource_version}})
    return asked, problem


def problem_of(rollout: InPlaceRollout) -> str:
    """Why its request is none, in words; empty: it is one, or there is none."""
    asked = rollout.metadata.annotation(REQUEST)
    if asked is None or request_of(rollout) is not None:
        return ""
    from difflib import get_close_matches

    shown = asked if len(asked) <= LONGEST_SHOWN else f"{asked[:LONGEST_SHOWN]}..."
    hint = "".join(f" Did you mean {verb}?" for verb in get_close_matches(asked.lower(), VERBS, n=1))
    return f"{REQUEST}={shown!r} is no request, and was removed: use {', '.join(VERBS[:-1])} or {VERBS[-1]}.{hint}"
