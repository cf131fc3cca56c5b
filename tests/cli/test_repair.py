"""repair: what it finds, what it leaves alone, and how it ends."""

import msgspec

from inplace.model.refs import TargetRef
from tests.builders import NS, deployment, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.cli.leases import LEASE, Interrupted, lease


def test_ctrl_c_while_a_dead_lock_is_watched_has_changed_nothing(command: Command, held: FakeServer, clock: FakeClock) -> None:
    clock.on_sleep = Interrupted()
    ran = command("repair", "deploy/web")
    assert (ran.code, ran.error) == (130, "interrupted; nothing was changed")
    assert held.writes == []


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
