"""`inplace controller` up to where it begins: flags, the file, and what is refused before anything is written."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from inplace.cli.common.context import CliContext
from inplace.cli.main import run
from inplace.engine.gate_rules import GateRule
from inplace.kube.connection.config import Connection, ConnectOptions
from inplace.runtime.controller.manager import Manager
from inplace.runtime.settings import DEFAULT_RULE
from tests.cli.fakes import Command, FakeClock, FakeServer


@pytest.fixture(autouse=True)
def outside_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)


def made(server: FakeServer, *args: str) -> Manager:
    """As the command would run it."""
    managers: list[Manager] = []

    def connect(options: ConnectOptions) -> Connection:
        return Connection(transport=server, namespace=options.namespace or "here", host="https://fake")

    context = CliContext("inplace", ("controller", "--listen", "", *args), connect, FakeClock, run_manager=managers.append)
    assert run(context) == 0
    return managers[0]


def file(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return "--config", str(path)


def test_without_flags_it_works_where_the_connection_says(server: FakeServer) -> None:
    manager = made(server)
    assert manager.controller.namespaces == ("here",)
    assert manager.controller.leader.namespace == "here"
    assert manager.controller.leader.name == "inplace-controller"
    assert manager.gates.rules == (DEFAULT_RULE,)


def test_namespaces(server: FakeServer, tmp_path: Path) -> None:
    some = file(tmp_path, "namespaces: [shop, web]")
    every = file(tmp_path, "allNamespaces: true")
    assert made(server, "-A").controller.namespaces == ()
    assert made(server, *every).controller.namespaces == ()
    assert made(server, *every, "-n", "a").controller.namespaces == ("a",)
    assert made(server, "-n", "a", "--also", "b", "--also", "a").controller.namespaces == ("a", "b")
    assert made(server, "--also", "b").controller.namespaces == ("here", "b")
    some = file(tmp_path, "namespaces: [shop, web]")
    assert made(server, *some).controller.namespaces == ("shop", "web")
    assert made(server, *some, "--also", "b").controller.namespaces == ("shop", "web", "b")
    assert made(server, *some, "-n", "a").controller.namespaces == ("a",)
    assert made(server, *some, "-A").controller.namespaces == ()


def test_the_leader_s_lease(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = file(tmp_path, "leaderElection: {namespace: system, name: mine}")
    leader = made(server, *config).controller.leader
    assert (leader.namespace, leader.name) == ("system", "mine")
    leader = made(server, *config, "--lease-namespace", "other").controller.leader
    assert (leader.namespace, leader.name) == ("other", "mine")
    monkeypatch.setenv("POD_NAMESPACE", "where-i-run")
    assert made(server, "-n", "a").controller.leader.namespace == "where-i-run"


def test_rules(server: FakeServer, tmp_path: Path) -> None:
    config = file(tmp_path, "gateRules: [{condition: a, label: b}]")
    assert made(server, *config).gates.rules == (GateRule("a", "b"),)
    assert made(server, *config, "--gate-rule", "c=d:closed").gates.rules == (GateRule("c", "d", "closed"),)
    assert made(server, *config, "--no-gate-rules").gates.rules == ()


def test_a_wrong_file_is_a_usage_error_that_names_it(command: Command, server: FakeServer, tmp_path: Path) -> None:
    flag, path = file(tmp_path, "worker: 3")
    ran = command("controller", flag, path)
    assert ran.code == 2
    assert ran.error.startswith(f"{path}: object contains unknown field worker")
    assert server.requests == []


def test_an_old_cluster_is_refused(command: Command, server: FakeServer) -> None:
    server.minor = "33"
    ran = command("controller", "--listen", "")
    assert ran.code == 5
    assert "needs 1.34 or newer" in ran.error


def test_a_port_that_is_taken_is_refused(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = command("controller", "--listen", address)
    assert ran.code == 5
    assert ran.error.startswith(f"cannot listen on {address}: ")


def test_without_rights_or_without_the_definition_it_does_not_begin(command: Command, server: FakeServer) -> None:
    server.denied = {"patch pods/status", "watch inplacerollouts"}
    ran = command("controller", "-n", "shop", "--listen", "")
    assert (ran.code, ran.stdout) == (5, "")
    assert "you may not patch pods/status; watch inplacerollouts in namespace shop" in ran.error
    server.denied = {"create leases"}
    assert "you may not create leases in all namespaces" in command("controller", "-A", "--listen", "").error
    server.denied = set()
    server.missing = {"inplacerollouts"}
    ran = command("controller", "-n", "shop", "--listen", "")
    assert (ran.code, "inplace install --crds-only" in ran.error) == (5, True), ran
    assert server.writes == []
