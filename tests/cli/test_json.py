"""docs/json.md and docs/schemas: made from the program, of every command that has `-o json`, and true of what they print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from inplace.cli.main import cli
from inplace.cli.schemas import DOCUMENTS, schema_of
from tests.builders import NEW
from tests.cli.fakes import Command, FakeServer, web
from tests.cli.leases import lease, paused
from tests.documents import document

ROOT = Path(__file__).parents[2]
UPGRADE = ("deploy/web", "app=repo/app:2")


def test_what_is_written_is_what_the_program_says(tmp_path: Path) -> None:
    """`make reference` writes it."""
    subprocess.run([sys.executable, str(ROOT / "docs/json_reference.py"), str(tmp_path)], check=True)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.*")}
    kept = {path.relative_to(ROOT / "docs"): path.read_text() for path in (ROOT / "docs/schemas").iterdir()}
    assert made == {Path("json.md"): (ROOT / "docs/json.md").read_text(), **kept}
    assert {path.stem for path in kept} == {*DOCUMENTS}


def test_every_command_with_json_is_described() -> None:
    described = {command.partition(" ")[0] for _, commands in DOCUMENTS.values() for command in commands}
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    with_json = {
        name
        for name, command in commands.items()
        for option in (command.params if command is not None else ())
        if option.name == "output" and isinstance(option.type, click.Choice) and "json" in option.type.choices
    }
    assert with_json == described


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_refers_to_nothing_that_is_not_there(name: str) -> None:
    schema = schema_of(name)
    refs = [part.split('"')[0] for part in json.dumps(schema).split('"$ref": "#/$defs/')[1:]]
    assert refs
    assert {*refs} <= schema["$defs"].keys()


PRINTED = [
    ("plan", "plan", UPGRADE),
    ("plan", "upgrade", (*UPGRADE, "--dry-run=client")),
    ("plan", "plan", ("deploy/web", "app=repo/app:1")),
    ("said", "upgrade", ("deploy/web", "app=repo/app:1")),
    ("status", "status", ("deploy/web",)),
    ("list", "list", ("-A",)),
    ("history", "history", ("deploy/web",)),
    ("runs", "history", ("deploy/web", "--runs")),
    ("repair", "repair", ("--dry-run",)),
    ("version", "version", ()),
    ("version", "version", ("--server-version",)),
]


@pytest.mark.parametrize(("name", "verb", "words"), PRINTED)
def test_what_is_printed_is_what_is_described(
    command: Command, server: FakeServer, name: str, verb: str, words: tuple[str, ...]
) -> None:
    web(server)
    if verb not in ("plan", "upgrade"):
        server.put("leases", lease(paused()))
    server.put("inplacerollouts", ROLLOUT)
    ran = command(verb, *words, "-o", "json")
    assert ran.code == 0, ran.stderr
    document(ran.stdout, name)


ROLLOUT: dict[str, Any] = {
    "metadata": {
        "name": "web-2",
        "namespace": "default",
        "uid": "r1",
        "managedFields": [{"manager": "kubectl-create"}, {"manager": "inplace", "subresource": "status"}],
    },
    "spec": {
        "target": {"kind": "Deployment", "name": "web"},
        "images": [{"container": name, "image": image} for name, image in NEW.items()],
    },
    "status": {"phase": "Succeeded", "startedAt": "2026-01-01T11:00:00Z"},
}


def test_of_a_rollout_that_kubectl_made_the_field_manager_is_told(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("inplacerollouts", ROLLOUT)
    (trail,) = document(command("history", "deploy/web", "--runs", "-o", "json").stdout, "runs")["runs"]
    assert (trail["by"], trail["client"]) == ("field manager kubectl-create", "")
    annotations = {"inplace.dev/by": "jane", "inplace.dev/client": "root@laptop"}
    server.put("inplacerollouts", {**ROLLOUT, "metadata": {**ROLLOUT["metadata"], "annotations": annotations}})
    assert "  by       jane (root@laptop)\n" in command("history", "deploy/web", "--runs").stdout


def test_what_is_not_described_is_noticed() -> None:
    with pytest.raises(AssertionError):
        document('{"client": "1", "more": 1}', "version")
    with pytest.raises(msgspec.ValidationError):
        document('{"server": "1"}', "version")
