"""pause, resume and promote: they ask the holder and wait for its answer, but not for a dead holder."""

import json

import pytest

from inplace.model.constants import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION
from inplace.model.run import Run, RunOptions, parse_steps
from inplace.runtime.caller import client_name
from tests.builders import NS, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.leases import LEASE, Interrupted, ends, lease, paused, request_of
from tests.documents import document


def test_pause_asks_the_holder_and_waits_until_it_is_so(command: Command, held: FakeServer, clock: FakeClock) -> None:
    requests: list[str | None] = []

    def obey() -> None:
        requests.append(request_of(held))
        if len(requests) == 3:
            ends(held, "Paused", "paused by `inplace pause`")()

    clock.on_sleep = obey
    ran = command("pause", "deploy/web")
    assert requests == ["pause"] * 3
    assert (ran.code, ran.stdout) == (0, "deploy/web is paused\n")
    assert ran.stderr == "asked host-1 to pause deploy/web\n"
    asked_for = {REQUEST_ANNOTATION: "pause", REQUESTED_BY_ANNOTATION: f"jane ({client_name()})"}
    assert [json.loads(w.body or b"") for w in held.writes] == [{"metadata": {"annotations": asked_for}}]
    assert [w.content_type for w in held.writes] == ["application/merge-patch+json"]


def test_a_run_that_ends_meanwhile_need_not_be_paused(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = ends(held, "Succeeded")
    ran = command("pause", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web is done: its run succeeded\n")


def test_a_run_that_fails_meanwhile_was_not_paused(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = ends(held, "Failed", "pod/web-a failed")
    ran = command("pause", "deploy/web")
    assert ran.code == 1
    assert ran.stderr.splitlines()[-1] == "error: deploy/web was not paused, its run has ended: pod/web-a failed"


def test_resume_asks_the_holder_to_go_on(command: Command, held: FakeServer, clock: FakeClock) -> None:
    def obey() -> None:
        assert request_of(held) == "resume"
        del held.objects["leases"][LEASE]["metadata"]["annotations"][REQUEST_ANNOTATION]

    clock.on_sleep = obey
    ran = command("resume", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web resumed (run by host-1)\n")


def test_a_holder_that_changes_nothing_for_15_seconds_is_dead(command: Command, held: FakeServer, clock: FakeClock) -> None:
    """Then the session takes over: here it finds that it may not, and says so before any write but the request."""
    held.denied = {"patch pods"}
    ran = command("pause", "deploy/web")
    assert clock.now == 1015.0
    assert ran.code == 5
    assert ran.stderr.splitlines() == [
        "asked host-1 to pause deploy/web",
        "host-1 does not answer and seems dead",
        (
            "error: you may not patch pods in namespace default: ask for a Role that allows it"
            " (see: kubectl auth can-i --list -n default)"
        ),
    ]


def test_a_holder_that_renews_is_waited_for(command: Command, held: FakeServer, clock: FakeClock) -> None:
    def renew() -> None:
        held.objects["leases"][LEASE]["spec"]["renewTime"] = str(clock.now)
        if clock.now > 1060:
            ends(held, "Paused")()

    clock.on_sleep = renew
    assert command("pause", "deploy/web").code == 0


def test_a_holder_that_goes_on_is_told_as_json(command: Command, held: FakeServer, clock: FakeClock) -> None:
    def obey() -> None:
        held.objects["leases"][LEASE]["metadata"]["annotations"].pop(REQUEST_ANNOTATION, None)

    clock.on_sleep = obey
    result = document(command("resume", "deploy/web", "-o", "json").stdout, "said")
    assert (result["outcome"], result["message"]) == ("Resumed", "deploy/web resumed (run by host-1)")


def test_pausing_a_paused_run_is_done(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(paused()))
    ran = command("pause", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "deploy/web is waiting at step 2 of 3 for `inplace promote`\n")
    assert ran.stderr == "promote with: inplace promote deploy/web -n default\n"
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


class TestPromote:
    def test_asks_the_holder_to_pass_its_pause(self, command: Command, server: FakeServer, clock: FakeClock) -> None:
        web(server)
        stepped = run(RunOptions(steps=parse_steps("1,pause:10m,100%")), steps_passed=1)
        server.put("leases", lease(stepped, "host-1", "2026-01-01T12:00:00.000000Z"))

        def obey() -> None:
            assert request_of(server) == "promote"
            del server.objects["leases"][LEASE]["metadata"]["annotations"][REQUEST_ANNOTATION]

        clock.on_sleep = obey
        ran = command("promote", "deploy/web")
        assert (ran.code, ran.stdout) == (0, "deploy/web resumed (run by host-1)\n")

    @pytest.mark.parametrize("outcome", [None, "Paused"])
    def test_is_refused_where_the_run_stands_at_no_pause(
        self, command: Command, server: FakeServer, outcome: str | None
    ) -> None:
        web(server)
        server.put("leases", lease(run(outcome=outcome), "" if outcome else "host-1"))
        ran = command("promote", "deploy/web")
        how = "; to resume it: inplace resume deploy/web -n default" if outcome else ""
        assert (ran.code, ran.error) == (5, f"deploy/web in {NS} is not waiting at a pause{how}")
        assert server.writes == []


@pytest.mark.parametrize("verb", ["pause", "resume", "abort"])
def test_ctrl_c_while_waiting_for_a_holder_says_that_it_stays_asked(
    command: Command, held: FakeServer, clock: FakeClock, verb: str
) -> None:
    clock.on_sleep = Interrupted()
    ran = command(verb, "deploy/web")
    assert ran.code == 130
    assert ran.stderr.splitlines()[-1] == f"interrupted; host-1 will still {verb} deploy/web"
    assert request_of(held) == verb
