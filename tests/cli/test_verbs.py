"""pause and resume: the holder is asked, and its answer waited for; the dead are not waited for."""

import json
from collections.abc import Callable

import msgspec
import pytest

from inplace.model.constants import REQUEST_ANNOTATION, REQUESTED_BY_ANNOTATION, RUN_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions, encode_run, lease_name, parse_steps
from inplace.runtime.caller import client_name
from tests.builders import NEW, NS, OLD, deployment, pod, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.test_looking import lease, paused
from tests.documents import document

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
        stored["metadata"]["annotations"] = {RUN_ANNOTATION: encode_run(ended)}
        stored["spec"] = {}

    return obey


def request_of(server: FakeServer) -> str | None:
    found: str | None = server.objects["leases"][LEASE]["metadata"]["annotations"].get(REQUEST_ANNOTATION)
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
    said = document(command("resume", "deploy/web", "-o", "json").stdout, "said")
    assert (said["outcome"], said["message"]) == ("Resumed", "deploy/web resumed (run by host-1)")


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


class TestAbort:
    def test_asks_the_holder_and_waits_until_it_is_back(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        asked: list[str | None] = []

        def obey() -> None:
            asked.append(request_of(held))
            if len(asked) == 2:
                ends(held, "Aborted", "aborted by `inplace abort`")()

        clock.on_sleep = obey
        ran = command("abort", "deploy/web")
        assert asked == ["abort"] * 2
        assert (ran.code, ran.stdout) == (0, "deploy/web is back at its previous images: aborted by `inplace abort`\n")

    def test_says_it_as_json_where_a_holder_was_asked(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        clock.on_sleep = ends(held, "Aborted", "aborted by jane (root@vm)")
        ran = command("abort", "deploy/web", "-o", "json")
        assert document(ran.stdout, "said") == {
            "target": "deploy/web",
            "namespace": NS,
            "outcome": "Aborted",
            "message": "deploy/web is back at its previous images: aborted by jane (root@vm)",
            "v": 1,
        }

    def test_a_holder_that_could_not_go_back_is_a_failure(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        def obey() -> None:
            stored = held.objects["leases"][LEASE]
            ended = run(outcome="Failed", rollback_reason="Abort", message="pod/web-a failed")
            stored["metadata"]["annotations"] = {RUN_ANNOTATION: encode_run(ended)}
            stored["spec"] = {}

        clock.on_sleep = obey
        ran = command("abort", "deploy/web")
        assert (ran.code, ran.stderr.splitlines()[-1]) == (1, "error: deploy/web could not be rolled back: pod/web-a failed")

    def test_a_run_that_was_done_meanwhile_is_undone(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        """Here nobody may, and says so before any write but the request."""
        held.denied = {"patch pods"}
        clock.on_sleep = ends(held, "Succeeded")
        ran = command("abort", "deploy/web")
        assert ran.code == 5
        assert ran.stderr.splitlines()[1] == "deploy/web had already succeeded: undoing it"

    @pytest.mark.parametrize(
        ("images", "code", "says"),
        [
            ((OLD, OLD), 0, "pod/web-a pod/web-b is back at its previous images"),
            ((NEW, NEW), 1, "error: the run of pod/web-a pod/web-b had already succeeded: nothing to abort"),
            ((OLD, NEW), 1, "error: the Lease of pod/web-a pod/web-b is gone, so how its run ended is unknown;"),
        ],
        ids=["back", "succeeded", "deleted by hand"],
    )
    def test_bare_pods_tell_how_their_run_ended_since_its_lease_is_gone(
        self,
        command: Command,
        server: FakeServer,
        clock: FakeClock,
        images: tuple[dict[str, str], dict[str, str]],
        code: int,
        says: str,
    ) -> None:
        server.put("pods", *(pod(f"web-{x}", images=i, owner=None) for x, i in zip("ab", images, strict=True)))
        target = TargetRef("Pods", NS, pod_names=("web-a", "web-b"))
        name = lease_name(target)
        server.put("leases", lease(run(target=target), "controller/sys/inplace/me", "1", name))
        clock.on_sleep = server.objects["leases"].clear
        ran = command("abort", "pod/web-a", "pod/web-b")
        assert ran.code == code, ran.stderr
        assert (ran.stdout + ran.stderr).replace(f"asked controller/sys/inplace/me to abort {target}\n", "").startswith(says)

    def test_what_is_over_is_undone_by_another_verb(self, command: Command, server: FakeServer) -> None:
        web(server)
        server.put("leases", lease(run(outcome="Succeeded")))
        ran = command("abort", "deploy/web")
        assert (ran.code, ran.error) == (5, f"deploy/web in {NS} has no run to abort: to go back use `inplace undo`")


class Interrupted:
    """Ctrl-C at the second look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> None:
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("verb", ["pause", "resume", "abort"])
def test_ctrl_c_while_waiting_for_a_holder_says_that_it_stays_asked(
    command: Command, held: FakeServer, clock: FakeClock, verb: str
) -> None:
    clock.on_sleep = Interrupted()
    ran = command(verb, "deploy/web")
    assert ran.code == 130
    assert ran.stderr.splitlines()[-1] == f"interrupted; host-1 will still {verb} deploy/web"
    assert request_of(held) == verb


def test_ctrl_c_while_a_dead_lock_is_watched_has_changed_nothing(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = Interrupted()
    ran = command("repair", "deploy/web")
    assert (ran.code, ran.error) == (130, "interrupted; nothing was changed")
    assert held.writes == []


class TestUndo:
    def test_a_dry_run_says_what_it_would_do_and_asks_nobody(self, command: Command, server: FakeServer) -> None:
        web(server, images=NEW)
        server.put("leases", lease(run(outcome="Paused", steps_passed=1), "host-1", "2026-01-01T12:00:00.000000Z"))
        ran = command("undo", "deploy/web", "--dry-run", "client")
        assert ran.code == 0, ran.stderr
        assert ran.stdout.startswith("deploy/web in default: 3 of 3 pods would be restarted in place (dry run)\n")
        assert f"  app        {OLD['app']}\n" in ran.stdout
        assert "  is being upgraded by host-1: pauses that run, and takes over its pods\n" in ran.stdout
        assert server.writes == []

    def test_a_dry_run_on_the_server_sends_each_kind_of_write_once(self, command: Command, server: FakeServer) -> None:
        web(server, images=NEW)
        server.put("leases", lease(run(outcome="Failed")))
        ran = command("undo", "deploy/web", "--dry-run", "server")
        assert ran.code == 0, ran.stderr
        assert len(server.writes) == 7
        assert all(request.is_dry_run for request in server.writes)

    def test_a_dry_run_is_refused_where_the_undo_would_be(self, command: Command, server: FakeServer) -> None:
        web(server)
        ran = command("undo", "deploy/web", "--dry-run", "client")
        assert ran.code == 5
        assert ran.error.startswith("deploy/web cannot be undone: its history has one revision only")

    def test_of_a_deployment_with_one_revision_is_refused(self, command: Command, server: FakeServer) -> None:
        web(server)
        ran = command("undo", "deploy/web")
        assert ran.code == 5
        assert ran.error.startswith("deploy/web cannot be undone: its history has one revision only")
        assert server.writes == []

    def test_asks_a_living_holder_to_pause_first(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        held.denied = {"patch pods"}
        clock.on_sleep = ends(held, "Paused", "paused by `inplace pause`")
        ran = command("undo", "deploy/web")
        assert ran.code == 5
        assert ran.stderr.splitlines()[:2] == [
            "asked host-1 to pause deploy/web",
            "its run has stopped: paused by `inplace pause`",
        ]

    def test_leaves_another_undo_alone(self, command: Command, server: FakeServer, clock: FakeClock) -> None:
        web(server)
        server.put("leases", lease(run(operation="Undo"), "host-1", "2026-01-01T12:00:00.000000Z"))

        def renew() -> None:
            server.objects["leases"][LEASE]["spec"]["renewTime"] = str(clock.now)

        clock.on_sleep = renew
        ran = command("undo", "deploy/web")
        assert ran.code == 5
        assert "is being upgraded by host-1" in ran.stderr
        assert server.writes == []


class TestRepair:
    def test_with_nothing_to_do(self, command: Command, server: FakeServer) -> None:
        web(server)
        server.put("leases", lease(run(outcome="Succeeded")))
        ran = command("repair")
        assert (ran.code, ran.stdout, ran.stderr) == (0, "nothing to repair\n", "")
        assert server.writes == []

    def test_all_locks_are_watched_at_once(self, command: Command, server: FakeServer, clock: FakeClock) -> None:
        """One lives and shows it, one is dead and its run is over: 15 seconds tell them apart."""
        for name in ("a", "b"):
            web = deployment()
            server.put("deployments", msgspec.structs.replace(web, metadata=msgspec.structs.replace(web.metadata, name=name)))
            over = run(outcome="Succeeded", target=TargetRef("Deployment", NS, name))
            stored = lease(over, f"host-{name}", "t0", name=f"inplace-deployment-{name}")
            built = msgspec.to_builtins(stored)
            built["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "inplace"}
            server.objects.setdefault("leases", {})[f"inplace-deployment-{name}"] = built

        def renew() -> None:
            server.objects["leases"]["inplace-deployment-a"]["spec"]["renewTime"] = str(clock.now)

        clock.on_sleep = renew
        ran = command("repair")
        assert ran.stdout.splitlines() == [
            "deploy/a in default: host-a is at work: left alone",
            "deploy/b in default: free the lock that host-b has left",
        ]
        assert clock.now == 1015.0
        assert [w.path.rpartition("/")[2] for w in server.writes] == ["inplace-deployment-b"]

    def test_a_dry_run_says_it_and_changes_nothing(self, command: Command, server: FakeServer) -> None:
        built = msgspec.to_builtins(lease(run()))
        built["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "inplace"}
        server.objects["leases"] = {LEASE: built}
        ran = command("repair", "--dry-run")
        assert ran.stdout == f"deploy/web in default: would delete Lease {LEASE}: deploy/web is gone\n"
        assert server.writes == []

    def test_a_target_and_everything_exclude_each_other(self, command: Command) -> None:
        assert command("repair", "deploy/web", "-A").code == 2
