"""What the shells complete: names from the server, silently and in time; the scripts are tried in the shells by hand."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from inplace.cli.common import completions, shells
from inplace.cli.common.context import CliContext
from inplace.cli.main import cli
from inplace.kube.connection.config import Connection, ConnectOptions
from inplace.kube.protocols import Request, Response
from tests.cli.fakes import Command, FakeClock, FakeServer, web

Answer = list[str]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to complete nothing here."""
    monkeypatch.setattr(completions, "BUDGET_SECONDS", 60.0)


@pytest.fixture
def completing(server: FakeServer, clock: FakeClock) -> ShellComplete:
    def connect(options: ConnectOptions) -> Connection:
        return Connection(transport=server, namespace=options.namespace or "shop", host="https://test:6443")

    context = CliContext("inplace", (), connect, lambda: clock)
    return ShellComplete(cli, {"obj": context}, "inplace", "")


def completed(completing: ShellComplete, *words: str) -> Answer:
    *before, incomplete = words
    return [str(item.value) for item in completing.get_completions(before, incomplete)]


def test_targets_with_their_kind(completing: ShellComplete, server: FakeServer) -> None:
    web(server)
    assert completed(completing, "status", "") == ["deploy/web"]
    assert completed(completing, "upgrade", "deploy/w") == ["deploy/web"]
    assert completed(completing, "upgrade", "deployment/w") == ["deployment/web"]
    assert completed(completing, "upgrade", "deploy/x") == []
    assert completed(completing, "plan", "po/web-") == ["po/web-a", "po/web-b", "po/web-c"]


def test_rollouts_where_they_can_be_named(completing: ShellComplete, server: FakeServer) -> None:
    server.put("inplacerollouts", {"metadata": {"name": "up-1"}})
    assert completed(completing, "watch", "ipr/") == ["ipr/up-1"]
    assert completed(completing, "watch", "ipr", "") == ["up-1"]
    assert completed(completing, "status", "ipr/") == []


def test_names_after_a_kind(completing: ShellComplete, server: FakeServer) -> None:
    web(server)
    assert completed(completing, "status", "deploy", "") == ["web"]


def test_containers_that_have_no_image_yet(completing: ShellComplete, server: FakeServer) -> None:
    web(server, images={"app": "app:1", "side": "side:1"})
    assert completed(completing, "upgrade", "deploy/web", "") == ["app=", "side="]
    assert completed(completing, "upgrade", "deploy/web", "s") == ["side="]
    assert completed(completing, "upgrade", "pod/web-a", "app=app:2", "") == ["side="]
    assert completed(completing, "status", "deploy/web", "") == []


def test_revisions_of_the_target_newest_first(completing: ShellComplete, server: FakeServer) -> None:
    web(server)
    assert completed(completing, "undo", "deploy/web", "--to-revision", "") == ["1"]
    assert completed(completing, "undo", "deploy/other", "--to-revision", "") == []


def test_namespaces(completing: ShellComplete, server: FakeServer) -> None:
    for name in ("shop", "stage"):
        server.put("namespaces", {"metadata": {"name": name, "resourceVersion": "1"}})
    assert completed(completing, "status", "-n", "st") == ["stage"]


def test_contexts_of_the_kubeconfig(completing: ShellComplete, tmp_path: Any) -> None:
    path = tmp_path / "config"
    path.write_text("contexts: [{name: one, context: {}}, {name: two, context: {}}]")
    assert completed(completing, "status", "--kubeconfig", str(path), "--context", "") == ["one", "two"]
    path.write_text("contexts: 7")
    assert completed(completing, "status", "--kubeconfig", str(path), "--context", "") == []


def test_whatever_goes_wrong_completes_to_nothing(
    completing: ShellComplete, server: FakeServer, capfd: pytest.CaptureFixture[str]
) -> None:
    server.hidden = {"deployments", "statefulsets", "daemonsets", "namespaces"}
    assert completed(completing, "status", "") == []
    assert completed(completing, "status", "deplyo/") == []
    assert completed(completing, "upgrade", "deploy/web", "") == []
    assert completed(completing, "status", "-n", "") == []
    assert completed(completing, "status", "-s", "no address", "") == []
    assert capfd.readouterr() == ("", "")


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    reached, ended = threading.Event(), threading.Event()

    class Silent(FakeServer):
        def call(self, request: Request, timeout_seconds: float) -> Response:
            reached.set()
            ended.wait(60)
            return super().call(request, timeout_seconds)

    silent = Silent()
    connection = Connection(transport=silent, namespace="shop", host="https://test:6443")
    monkeypatch.setattr(completions, "BUDGET_SECONDS", 0.05)
    completing = ShellComplete(cli, {"obj": CliContext("inplace", (), lambda _: connection, lambda: clock)}, "inplace", "")
    assert completed(completing, "status", "deploy/") == []
    assert reached.is_set()
    ended.set()


def test_kubectl_is_answered_in_its_own_form(completing: ShellComplete, server: FakeServer) -> None:
    web(server)
    assert shells.format_for_cobra(completing, ["upgrade", "deploy/web"], "") == "app=\n:6"
    assert shells.format_for_cobra(completing, ["status"], "") == "deploy/web\n:4"
    assert shells.format_for_cobra(completing, [], "promo").startswith("promote\t")
    assert shells.format_for_cobra(completing, ["status"], "nothing") == ":4"


@pytest.mark.parametrize(("made", "mended"), [(shells.Bash, "nospace"), (shells.Zsh, "-S ''"), (shells.Fish, "split -m 1")])
def test_the_scripts_of_click_are_mended(made: type[ShellComplete], mended: str) -> None:
    assert mended in made.source_template
    assert made.source_template != made.__mro__[1].source_template  # type: ignore[attr-defined]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(command: Command, shell: str) -> None:
    assert "_INPLACE_COMPLETE" in command("completion", shell).stdout
