"""What a person may have meant by a word that is not known: by how it is written, or by what other tools call the same thing.

Pure, and only for the end of an error: nothing is ever done because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ALSO_CALLED: Mapping[str, tuple[str, ...]] = {
    "upgrade": ("apply", "deploy", "restart", "rollout", "run", "set", "start", "update"),
    "plan": ("check", "diff", "preview"),
    "list": ("get", "ls", "ps", "runs"),
    "status": ("describe", "get", "rollout", "show"),
    "history": ("log",),
    "pause": ("cancel", "stop"),
    "undo": ("revert", "rollback"),
    "abort": ("cancel", "delete", "revert", "rollback", "stop"),
    "resume": ("continue", "retry", "start", "unpause"),
    "repair": ("clean", "cleanup", "fix"),
    "uninstall": ("delete",),
}
"""Our commands, to what kubectl, Helm and others call them; of two with one word the one to be proposed first is first."""


def commands_like(word: str, known: Iterable[str]) -> list[str]:
    """Commands that may have been meant by `word`, the likeliest first."""
    names = list(known)
    other = (name for name, words in ALSO_CALLED.items() if word.lower() in words)
    begun = [name for name in names if len(word) > 1 and name.startswith(word.lower())]
    return list(dict.fromkeys((*(name for name in other if name in names), *begun, *like(word, names))))[:3]


def like(word: str, known: Iterable[str]) -> list[str]:
    """The names that are written alike."""
    from difflib import get_close_matches  # costs time that only an error has

    return get_close_matches(word.lower(), list(known), n=3, cutoff=0.6)


def did_you_mean(words: Iterable[str]) -> str:
    """` Did you mean a or b?`, to follow a sentence; empty for none."""
    found = list(words)
    return f" Did you mean {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}?" if found else ""
