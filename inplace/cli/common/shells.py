"""How completions reach a shell: click's scripts for bash, zsh and fish, mended, and what kubectl asks its plugins.

Mended: no blank follows a completion that ends in `=`, and fish shows descriptions with commas whole. kubectl runs
`kubectl_complete-inplace` with the words typed so far and reads completions in Cobra's form: `VALUE<tab>HELP` lines, then a
directive.
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


def use_ours() -> None:
    """From here on click answers the shells, and prints their scripts, by these."""
    for made in (Bash, Zsh, Fish):
        add_completion_class(made)


def answer(completing: ShellComplete, before: list[str], incomplete: str) -> str:
    """Cobra's form of the completions."""
    items = completing.get_completions(before, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in items]
    is_open = bool(items) and all(str(item.value).endswith("=") for item in items)
    return "\n".join([*lines, f":{NO_FILES | (NO_SPACE if is_open else 0)}"])
