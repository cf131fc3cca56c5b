"""The help texts are part of the product: changes to them are seen in review."""

import json

import pytest
from syrupy.assertion import SnapshotAssertion

from inplace import __version__
from inplace.cli.main import COMMANDS
from tests.cli.fakes import Command, FakeServer

OURS = [name for name in COMMANDS if name != "gate"]


@pytest.mark.parametrize("words", ["", *OURS])
def test_help(command: Command, snapshot: SnapshotAssertion, words: str) -> None:
    ran = command(*words.split(), "--help")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == snapshot


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
