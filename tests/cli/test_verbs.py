"""pause and resume: the holder is asked, and its answer waited for; the dead are not waited for."""

import json
from collections.abc import Callable

import pytest

from inplace.model.names import REQUEST, RUN
from inplace.model.run import Run, encode_run
from tests.builders import NS, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.test_looking import lease, paused

LEASE = "inplace-deployment-web"


@pytest.fixture
def held(server: FakeServer) -> FakeServer:
    web(server)
    server.put("leases", lease(run(), "host-1", "2026-01-01T12:00:00.000000Z"))
    return server


def ends(server: FakeServer, outcome: str, message: str = "") -> Callable[[], None]:
    """The holder obeys: it stores how the run ended, removes the request, and lets go."""

    def obey() -> None:
        stored = server.objects["leases"][LEASE]
        ended = run(outcome=outcome, message=message)
        stored["metadata"]["annotations"] = {RUN: encode_run(ended)}
        stored["spec"] = {}

    return obey


def request_of(server: FakeServer) -> str | None:
    found: str | None = server.objects["leases"][LEASE]["metadata"]["annotations"].get(REQUEST)
    return found


def test_pause_asks_the_holder_and_waits_until_it_is_so(command: Command, held: FakeServer, clock: FakeClock) -> None:
    asked: list[str | None] = []

    def obey() -> None:
        asked.append(request_of(held))
        if len(asked) == 3:
            ends(held, "Paused", "paused by `inplace pause`")()

    clock.on_sleep = obey
    ran = command("pause", "deploy/web")
    assert asked == ["pause"] * 3
    assert (ran.code, ran.stdout) == (0, "deploy/web is paused\n")
    assert ran.stderr == "asked host-1 to pause deploy/web\n"
    assert [json.loads(w.body or b"") for w in held.writes] == [{"metadata": {"annotations": {REQUEST: "pause"}}}]
    assert [w.content_type for w in held.writes] == ["application/merge-patch+json"]


def test_a_run_that_ends_meanwhile_need_not_be_paused(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = ends(held, "Succeeded")
    ran = command("pause", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web is done: its run has succeeded\n")


def test_a_run_that_fails_meanwhile_was_not_paused(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = ends(held, "Failed", "pod/web-a failed")
    ran = command("pause", "deploy/web")
    assert ran.code == 1
    assert ran.stderr.splitlines()[-1] == "error: deploy/web was not paused, its run has ended: pod/web-a failed"


def test_resume_asks_the_holder_to_go_on(command: Command, held: FakeServer, clock: FakeClock) -> None:
    def obey() -> None:
        assert request_of(held) == "resume"
        del held.objects["leases"][LEASE]["metadata"]["annotations"][REQUEST]

    clock.on_sleep = obey
    ran = command("resume", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web goes on, driven by host-1\n")


def test_a_holder_that_changes_nothing_for_15_seconds_is_dead(command: Command, held: FakeServer, clock: FakeClock) -> None:
    """Then the session takes over: here it finds that it may not, and says so before any write but the request."""
    held.denied = {"patch pods"}
    ran = command("pause", "deploy/web")
    assert clock.now == 1015.0
    assert ran.code == 5
    assert ran.stderr.splitlines() == [
        "asked host-1 to pause deploy/web",
        "host-1 does not answer: it seems dead",
        "error: you may not patch pods in namespace default: ask for a Role that allows it",
    ]


def test_a_holder_that_renews_is_waited_for(command: Command, held: FakeServer, clock: FakeClock) -> None:
    def renew() -> None:
        held.objects["leases"][LEASE]["spec"]["renewTime"] = str(clock.now)
        if clock.now > 1060:
            ends(held, "Paused")()

    clock.on_sleep = renew
    assert command("pause", "deploy/web").code == 0


def test_pausing_a_paused_run_is_done(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(paused()))
    ran = command("pause", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web is paused by its steps\n")
    assert ran.stderr == "go on with: inplace resume deploy/web -n default\n"
    assert server.writes == []


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize("stored", [None, run(outcome="Succeeded")], ids=["no run", "a run that is over"])
def test_without_a_run_there_is_nothing_to_do(command: Command, server: FakeServer, verb: str, stored: Run | None) -> None:
    web(server)
    if stored is not None:
        server.put("leases", lease(stored))
    ran = command(verb, "deploy/web")
    assert (ran.code, ran.error) == (5, f"deploy/web in {NS} has no run to {verb}")
    assert server.writes == []


def test_a_run_that_cannot_be_read_is_refused(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease("{"))
    ran = command("resume", "deploy/web")
    assert ran.code == 5
    assert ran.error.startswith("the stored run cannot be read: ")
