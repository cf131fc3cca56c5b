"""Proposes what the user may have meant by an unknown word: a word spelled alike, or what other tools call the same thing.

Pure. The proposals only end an error message; nothing acts on them.
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
"""Commands by name, with what kubectl, Helm and others call them. If two share a word, the first is proposed first."""


def commands_like(word: str, commands: Iterable[str]) -> list[str]:
    """Returns the commands that `word` may stand for, the likeliest first."""
    names = list(commands)
    other = (name for name, words in ALSO_CALLED.items() if word.lower() in words)
    by_prefix = [name for name in names if len(word) > 1 and name.startswith(word.lower())]
    return list(dict.fromkeys((*(name for name in other if name in names), *by_prefix, *like(word, names))))[:3]


def like(word: str, names: Iterable[str]) -> list[str]:
    """Returns the names that are spelled like `word`."""
    from difflib import get_close_matches  # slow to import, and only an error needs it

    return get_close_matches(word.lower(), list(names), n=3, cutoff=0.6)


def did_you_mean(words: Iterable[str]) -> str:
    """Returns ` Did you mean a or b?`, to follow a sentence; empty for no words."""
    proposals = list(words)
    return f" Did you mean {' or '.join(filter(None, (', '.join(proposals[:-1]), proposals[-1])))}?" if proposals else ""
