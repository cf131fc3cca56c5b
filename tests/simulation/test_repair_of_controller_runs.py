"""Whose run `repair` frees: a controller's that is dead, not one's that may be alive. What its own Lease says is played."""

from __future__ import annotations

from inplace.kube.protocols import Request, Response
from inplace.runtime.lease.lock import LeaderRef
from tests.scenarios.embedded_cluster import Command, EmbeddedCluster
from tests.scenarios.scene import Scene

LEADER = LeaderRef("inplace-system", "inplace-controller", "pod-1")
LEADER_PATH = "/apis/coordination.k8s.io/v1/namespaces/inplace-system/leases"
FORBIDDEN = Response(
    status=403, body=b'{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"leases is forbidden"}'
)


def held_by_a_controller(stage: EmbeddedCluster) -> Scene:
    """A run whose first pod is closed, and whose holder will not be heard of again, except by its leader's Lease."""
    scene = Scene(stage)
    scene.web(2)
    scene.killed_at(r"PATCH .*/pods/[^/ ]+/status .*Upgrading", 1, "after", *scene.command(app="app:2"))
    scene.merge("lease/inplace-deployment-web", {"spec": {"holderIdentity": LEADER.holder}})
    stage.request("POST", "/api/v1/namespaces", {"metadata": {"name": LEADER.namespace}})
    stage.request("POST", LEADER_PATH, {"metadata": {"name": LEADER.name}, "spec": {"holderIdentity": LEADER.identity}})
    return scene


def test_a_controller_that_renews_is_left_alone(stage: EmbeddedCluster) -> None:
    scene = held_by_a_controller(stage)

    def renew() -> None:
        at = stage.scheduler.utcnow().isoformat(timespec="microseconds").replace("+00:00", "Z")
        stage.request("PATCH", f"{LEADER_PATH}/{LEADER.name}", {"spec": {"renewTime": at}}, "application/merge-patch+json")
        stage.scheduler.after(10, renew)

    stage.scheduler.after(10, renew)
    repaired = scene.inplace("repair")
    assert (repaired.code, repaired.stdout) == (0, f"deploy/web in shop: {LEADER.holder} is at work: left alone\n")
    assert scene.holder() == LEADER.holder


def test_a_controller_that_stopped_renewing_is_dead(stage: EmbeddedCluster) -> None:
    scene = held_by_a_controller(stage)
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    assert "left alone" not in repaired.stdout
    assert scene.holder() == ""
    scene.check_no_orphans()


def test_a_controller_with_an_unreadable_lease_counts_as_alive(stage: EmbeddedCluster) -> None:
    scene = held_by_a_controller(stage)
    command = stage.start("repair")
    assert isinstance(command, Command)

    def interfere(request: Request) -> Response | None:
        return FORBIDDEN if request.path.startswith(f"{LEADER_PATH}/") else None

    command.transport.interfere = interfere
    repaired = command.wait()
    why = "the run is a controller's, and you may not get Lease inplace-controller in namespace inplace-system"
    assert (repaired.code, repaired.stdout) == (0, f"deploy/web in shop: {why} to see whether it lives: left alone\n")
    assert scene.holder() == LEADER.holder
