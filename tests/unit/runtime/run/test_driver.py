"""A run is driven step by step: stored before it acts, stopped well or at once, and given up when it is refused for long."""

from __future__ import annotations

import pytest

from inplace.kube.protocols import Request, Response
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions, StopRequest, lease_name
from inplace.runtime.errors import ForcedExit
from inplace.runtime.foreground.session import Session
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.assembly import build_driver, new_lock
from inplace.runtime.run.connectivity import PATIENCE_SECONDS
from inplace.runtime.run.driver import TICK_SECONDS, DriverOptions, RunInputs
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.kube.fakes import refusal

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/shop/leases/{lease_name(TargetRef('Deployment', 'shop', 'web'))}"


@pytest.fixture
def app(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=3)
    return world


def requested(session: Session) -> Run:
    options = RunOptions(max_unavailable=1, settle_seconds=2.0)
    return Run(id="run-1", target=session.view.target, images={"app": "reg/app:2"}, options=options, created_by="test")


def drive(world: SimulatedCluster, *, stop_at: str = "", stops: int = 1) -> Summary:
    """Upgrades `web`; asks to stop, so many times, once a pod is in that stage."""
    asked: list[Frame] = []
    with world.session("web") as session:

        def on_frame(frame: Frame) -> None:
            if not asked and any(pod.stage == stop_at for pod in frame.plan.pods):
                asked.append(frame)
                for _ in range(stops):
                    session.request_stop(StopRequest("Interrupted", "interrupted"))

        run = requested(session)
        ended = session.upgrade(run, {"max_unavailable": 1, "settle_seconds": 2.0}, on_frame)
    assert isinstance(ended, Summary)
    return ended


def images(world: SimulatedCluster) -> list[str]:
    return sorted(pod.obj["spec"]["containers"][0]["image"] for pod in world.pods())


def test_the_run_is_stored_before_a_pod_is_touched(app: SimulatedCluster) -> None:
    stored: list[bool] = []

    def look(request: Request) -> Response | None:
        if request.method == "PATCH" and "/pods/" in request.path and not request.is_dry_run:
            lease = app.request("GET", LEASE)
            stored.append('"reg/app:2"' in lease["metadata"]["annotations"]["inplace.dev/run"])
        return None

    app.transport.interfere = look
    assert drive(app).outcome == "Succeeded"
    assert stored
    assert all(stored)


def test_a_stop_finishes_the_pod_that_was_patched(app: SimulatedCluster) -> None:
    ended = drive(app, stop_at="Restarting")
    assert (ended.outcome, ended.message) == ("Interrupted", "interrupted")
    assert images(app) == ["reg/app:1", "reg/app:1", "reg/app:2"]
    app.wait(lambda: app.ready("web") == 3)


def test_a_stop_reopens_the_pod_that_was_only_closed(app: SimulatedCluster) -> None:
    assert drive(app, stop_at="Settling").outcome == "Interrupted"
    assert images(app) == ["reg/app:1"] * 3
    app.wait(lambda: app.ready("web") == 3)


def test_a_second_stop_leaves_at_once(app: SimulatedCluster) -> None:
    with pytest.raises(ForcedExit):
        drive(app, stop_at="Restarting", stops=2)
    assert not app.request("GET", LEASE)["spec"].get("holderIdentity")


def test_writes_refused_for_long_end_the_run(app: SimulatedCluster) -> None:
    def refuse(request: Request) -> Response | None:
        is_pod = request.method == "PATCH" and "/pods/" in request.path and not request.is_dry_run
        return refusal(403, "no", "Forbidden") if is_pod else None

    app.transport.interfere = refuse
    began_at = app.scheduler.now
    ended = drive(app)
    assert ended.outcome == "Failed"
    assert app.scheduler.now - began_at < 3 * PATIENCE_SECONDS
    assert images(app) == ["reg/app:1"] * 3


def test_nothing_is_planned_before_everything_is_listed(app: SimulatedCluster) -> None:
    with TargetView(app.api, TargetRef("Deployment", "shop", "web"), "upgrade", app.host) as view:
        asked = Run(id="run-1", target=view.target, images={"app": "reg/app:2"}, options=RunOptions())
        run = view.resolver.fill_from_cluster(asked, None)
        view.informers.relist()
        lock = new_lock(app.api, view.target, view.resolved.owner, "me")
        lock.acquire(None, run)
        inputs = RunInputs(view.snapshot_builder, view.informers, view.inbox)
        driver, workers = build_driver(app.api, lock, inputs, app.host.workers, run, lambda _frame: None, DriverOptions())
        assert driver.step() == (None, TICK_SECONDS)
        frames = [driver.frame]
        view.look(run)
        assert driver.step()[0] is None
        frames.append(driver.frame)
        workers.stop()
    assert [frame and frame.plan.progress.desired for frame in frames] == [None, 3]
