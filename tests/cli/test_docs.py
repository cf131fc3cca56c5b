"""The documents' links lead somewhere, and every `inplace` command in them is one that the command line understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inplace.cli.main import COMMANDS, LazyGroup

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.M | re.S)
INLINE = re.compile(r"`(?:kubectl )?inplace ([a-z]+)\b")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text()))
    return {heading.replace(" ", "-") for heading in plain}


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `inplace`, of each command in a shell block."""
    for language, block in FENCED.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines() if language in ("sh", "bash") else ():
            for part in re.split(r"&&|\|\||[;|]|\$\(|<\(|\)", line):
                words = _words(part)
                if "inplace" in words[:2]:
                    yield words[words.index("inplace") + 1 :]


def _words(part: str) -> list[str]:
    try:
        return shlex.split(re.sub(r" [<>].*", "", part.removesuffix("&")), comments=True)
    except ValueError:
        return []  # a part of a quoted text that has been cut


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = page if not path else page.parent / path
        assert there.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in anchors(there), f"{name_of(page)}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    group = LazyGroup("inplace")
    for words in commands(page):
        try:
            understood(group, words)
        except click.UsageError as error:
            pytest.fail(f"{name_of(page)}: inplace {' '.join(words)}: {error.format_message()}")


def understood(group: click.Group, words: list[str]) -> None:
    """Parses, and runs nothing."""
    parent = click.Context(group, help_option_names=["-h", "--help"])
    command = group.get_command(parent, words[0])
    if command is None:
        raise click.UsageError("no such command")
    if isinstance(command, click.Group):
        understood(command, words[1:])
    else:
        command.make_context(words[0], [*words[1:]], parent=parent)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    unknown = set(INLINE.findall(page.read_text())) - set(COMMANDS)
    assert not unknown, f"{name_of(page)}: {unknown}"


def test_commands_are_found() -> None:
    """So that none of the above looks at nothing."""
    found = [words[0] for words in commands(ROOT / "README.md")]
    assert {"plan", "upgrade", "promote", "abort", "undo", "list", "status", "history", "repair"} <= set(found)
