"""abort and undo: they ask a living holder, and otherwise roll back themselves."""

import pytest

from inplace.model.constants import RUN_ANNOTATION
from inplace.model.refs import TargetRef
from inplace.model.run import encode_run, lease_name
from tests.builders import NEW, NS, OLD, pod, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.leases import LEASE, ends, lease, request_of
from tests.documents import document


class TestAbort:
    def test_asks_the_holder_and_waits_until_it_is_back(self, command: Command, held: FakeServer, clock: FakeClock) -> None:
        requests: list[str | None] = []

        def obey() -> None:
            requests.append(request_of(held))
            if len(requests) == 2:
                ends(held, "Aborted", "aborted by `inplace abort`")()

        clock.on_sleep = obey
        ran = command("abort", "deploy/web")
        assert requests == ["abort"] * 2
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
