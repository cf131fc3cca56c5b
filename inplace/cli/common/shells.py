"""Corrects click's completion scripts for bash, zsh and fish, and answers kubectl, which completes its plugins itself.

The corrected scripts add no space after a completion that ends in `=`, and fish shows descriptions that contain a comma whole.
kubectl runs `kubectl_complete-inplace` with the words typed so far, and reads completions in Cobra's format: lines of
`VALUE<tab>HELP`, then a directive.
"""

from __future__ import annotations

from typing import ClassVar

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete, add_completion_class

NO_SPACE, NO_FILES = 2, 4
"""Bits of Cobra's ShellCompDirective."""

_BASH_ADDS, _ZSH_ADDS, _FISH_SPLITS = "COMPREPLY+=($value)\n", "compadd -U -V unsorted -a completions", 'string split ","'


class Bash(BashComplete):
    source_template: ClassVar[str] = BashComplete.source_template.replace(
        _BASH_ADDS, f"{_BASH_ADDS}            if [[ $value == *= ]]; then compopt -o nospace; fi\n"
    )


class Zsh(ZshComplete):
    source_template: ClassVar[str] = ZshComplete.source_template.replace(
        _ZSH_ADDS,
        "local -a unfinished=(${(M)completions:#*=})\n"
        "        completions=(${completions:#*=})\n"
        "        compadd -S '' -U -V unsorted -a unfinished\n"
        f"        {_ZSH_ADDS}",
    )


class Fish(FishComplete):
    source_template: ClassVar[str] = FishComplete.source_template.replace(_FISH_SPLITS, 'string split -m 1 ","')


def register_shells() -> None:
    """Makes click use the corrected scripts."""
    for shell in (Bash, Zsh, Fish):
        add_completion_class(shell)


def format_for_cobra(completer: ShellComplete, before: list[str], incomplete: str) -> str:
    """Returns the completions in Cobra's format."""
    items = completer.get_completions(before, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items]
    is_open = bool(items) and all(str(item.value).endswith("=") for item in items)
    return "\n".join([*lines, f":{NO_FILES | (NO_SPACE if is_open else 0)}"])
