"""The help texts are part of the product: changes to them are seen in review."""

import importlib
import json
import re

import click
import pytest
from syrupy.assertion import SnapshotAssertion

from inplace import __version__
from inplace.cli.common.sections import SECTIONS
from inplace.cli.main import COMMANDS
from tests.cli.fakes import Command, FakeServer

HELPED = [*COMMANDS, "gate run"]


@pytest.mark.parametrize("words", ["", *HELPED])
def test_help(command: Command, snapshot: SnapshotAssertion, words: str) -> None:
    ran = command(*words.split(), "--help")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == snapshot


@pytest.mark.parametrize("words", [words for words in HELPED if words != "gate"])
def test_help_lists_each_option_once_under_a_known_heading(command: Command, words: str) -> None:
    shown = command(*words.split(), "--help").stdout
    headings = re.findall(r"^(\w.*):$", shown, re.M)
    assert set(headings) <= set(SECTIONS)
    assert len(headings) == len(set(headings))
    listed = shown.partition(f"\n{headings[0]}:")[2]
    options = [param for param in _command(words).params if isinstance(param, click.Option)]
    for option in options:
        assert len(re.findall(rf"^  {', '.join(option.opts)}(?: |$)", listed, re.M)) == 1, option.opts
        assert option.help, option.opts


@pytest.mark.parametrize("words", ["upgrade", "undo", "plan"])
def test_options_of_a_run_have_a_section_of_their_own(words: str) -> None:
    """What to upgrade, pace, safety, execution, output, connection: nothing is left for the general heading."""
    sections = {
        param.name: getattr(param, "section", "") for param in _command(words).params if isinstance(param, click.Option)
    }
    assert "Options" not in sections.values()
    assert (sections["steps"], sections["on_failure"], sections["selector"]) == ("Pace", "Safety", "Target")


def _command(words: str) -> click.Command:
    name, *rest = words.split()
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command.commands[rest[0]] if rest and isinstance(command, click.Group) else command


def test_help_of_the_plugin(command: Command) -> None:
    assert command("--help", prog="kubectl inplace").stdout.startswith("Usage: kubectl inplace [OPTIONS] COMMAND")


def test_version(command: Command, server: FakeServer) -> None:
    assert command("version").stdout == f"inplace {__version__}\n"
    assert command("--version").stdout == f"inplace {__version__}\n"
    assert server.requests == []
    assert command("version", "--server-version").stdout == f"inplace {__version__}\nserver v1.36.0\n"
    shown = json.loads(command("version", "--server-version", "-o", "json").stdout)
    assert shown == {"client": __version__, "server": "v1.36.0"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_command(command: Command, shell: str) -> None:
    assert "_INPLACE_COMPLETE" in command("completion", shell).stdout
