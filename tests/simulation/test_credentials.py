"""Credentials that end in the middle of a run: said as such within seconds, waited for as long as a person needs to log in
again, and then the command ends, whoever waits for it, with everything in its place for the same command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inplace.kube.protocols import Request, Response
from inplace.runtime.run.connectivity import PATIENCE_SECONDS
from tests.scenarios.embedded_cluster import Command
from tests.scenarios.facts import any_closed
from tests.scenarios.scene import Scene

HINT = "the token expired at 2026-11-28T02:39:30Z"
REFUSED = Response(status=401, body=b'{"kind":"Status","message":"Unauthorized","code":401}', hint=HINT)
SAID = f"the API server does not accept our credentials (401 Unauthorized): {HINT}"


def refused(_request: Request) -> Response:
    return REFUSED


def start(scene: Scene, *more: str) -> Command:
    words = ("upgrade", "deploy/web", f"app={scene.image('app:2')}", "--settle", "3s", "--max-unavailable", "1", *more)
    command = scene.stage.start(*words)
    assert isinstance(command, Command)
    return command


def until_said(scene: Scene, command: Command, text: str, seconds: float) -> None:
    scene.stage.until(lambda: text in command.stdout, f"it says {text!r}", seconds)


@pytest.fixture(params=["in flight", "at a pause"])
def running(request: pytest.FixtureRequest, scene: Scene) -> Command:
    scene.web(3)
    if request.param == "in flight":
        command = start(scene)
        scene.until_seen(any_closed, "the first pod is closed")
        return command
    command = start(scene, "--steps", "1,pause:2h,100%")
    until_said(scene, command, "pause", 120)
    return command


def test_refused_credentials_end_a_command_and_the_next_goes_on(scene: Scene, running: Command) -> None:
    running.transport.interfere = refused
    until_said(scene, running, SAID, 20)
    assert "cannot be reached" not in running.stdout
    done = running.wait(PATIENCE_SECONDS + 60)
    assert done.code == 1, done
    assert SAID in done.stdout + done.stderr
    assert "try again with:" in done.stderr
    scene.stage.let_pass(60)
    again = start(scene, "--steps", "100%").wait(600)
    assert again.code == 0, again
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    scene.check(upgraded=3)


def test_a_login_in_time_lets_the_run_go_on(scene: Scene) -> None:
    scene.web(3)
    command = start(scene)
    scene.until_seen(any_closed, "the first pod is closed")
    healthy: Callable[[Request], None] = lambda _request: None  # noqa: E731
    command.transport.interfere = refused
    until_said(scene, command, SAID, 20)
    scene.stage.let_pass(PATIENCE_SECONDS / 2)
    command.transport.interfere = healthy
    done = command.wait(600)
    assert done.code == 0, done
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    scene.check(upgraded=3)


def test_watch_ends_with_refused_credentials_as_well(scene: Scene) -> None:
    scene.web(3)
    driving = start(scene, "--steps", "1,pause,100%")
    assert driving.wait(300).code == 4
    watching = scene.stage.start("watch", "deploy/web")
    assert isinstance(watching, Command)
    scene.stage.let_pass(5)
    watching.transport.interfere = refused
    for pump in watching.host.pumps:
        pump.cut()
    done = watching.wait(PATIENCE_SECONDS + 600)
    assert (done.code, SAID in done.stderr) == (1, True), done


@pytest.mark.parametrize("status", [401, 403])
def test_status_says_at_once_that_credentials_are_refused(scene: Scene, status: int) -> None:
    scene.web(3)
    said = b'{"kind":"Status","message":"no","code":%d}' % status
    command = scene.stage.start("upgrade", "deploy/web", f"app={scene.image('app:2')}")
    assert isinstance(command, Command)
    command.transport.interfere = lambda request: (
        Response(status=status, body=said) if "/poddisruptionbudgets" in request.path else None
    )
    done = command.wait(20)
    assert (done.code, done.stderr.count("error: ")) == (5, 1), done
