"""A run from the acquisition of the lock to its release: what is stored in the Lease, and who may hold it."""

from __future__ import annotations

import pytest

from inplace.engine.planning.plan import RunResult
from inplace.kube.resources import LEASES
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions, lease_name
from inplace.runtime.foreground.locked_run import LockedRun
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.lease.lock import LockHeldError, run_from_lease
from inplace.runtime.run.assembly import new_lock
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")
RUN = Run(id="run-1", target=WEB, images={"app": "reg/app:2"}, options=RunOptions())


@pytest.fixture
def view(world: SimulatedCluster) -> TargetView:
    world.app("web", "reg/app:1", replicas=2)
    opened = TargetView(world.api, WEB, "upgrade", world.host)
    opened.look(RUN)
    return opened


def locked(view: TargetView, lines: list[str], identity: str = "me") -> LockedRun:
    return LockedRun(view, new_lock(view.api, WEB, view.resolved.owner, identity), lines.append)


def read_lease(view: TargetView) -> Lease:
    return view.api.get(LEASES, "shop", lease_name(WEB))


def test_the_run_is_stored_with_the_lock(view: TargetView) -> None:
    lines: list[str] = []
    locked(view, lines).acquire(None, RUN, "jane (jane@laptop)")
    lease = read_lease(view)
    assert (lease.spec.holder_identity, run_from_lease(lease), lines) == ("me", RUN, [])
    assert view.informers.leases.get_by_name("shop", lease_name(WEB)) == lease


def test_a_second_holder_is_refused(view: TargetView) -> None:
    locked(view, []).acquire(None, RUN, "jane")
    with pytest.raises(LockHeldError):
        locked(view, [], "other").acquire(None, RUN, "joe")
    assert read_lease(view).spec.holder_identity == "me"


def test_release_stores_the_end_and_nobody_holds_it(view: TargetView) -> None:
    made = locked(view, [])
    made.acquire(None, RUN, "jane")
    ended = made.release(RUN, RunResult("Failed", "a bad image"))
    lease = read_lease(view)
    assert (ended.outcome, ended.message, bool(ended.ended_at)) == ("Failed", "a bad image", True)
    assert (lease.spec.holder_identity or "", run_from_lease(lease)) == ("", ended)


def test_a_bad_request_that_waits_in_the_lease_is_reported(world: SimulatedCluster, view: TargetView) -> None:
    made = locked(view, [])
    made.acquire(None, RUN, "jane")
    made.release(RUN, RunResult("Paused", "by hand"))
    path = world.path("coordination.k8s.io", "leases", lease_name(WEB))
    annotations = {"metadata": {"annotations": {"inplace.dev/request": "resmue"}}}
    world.request("PATCH", path, annotations, "application/merge-patch+json")
    lines: list[str] = []
    locked(view, lines).acquire(read_lease(view), RUN, "jane")
    (line,) = lines
    assert line.startswith("warning: ")
    assert "resmue" in line
