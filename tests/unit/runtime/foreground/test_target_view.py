"""A target as a command sees it: opened only where it can be read, and looked at once everything is listed."""

from __future__ import annotations

import pytest

from inplace.kube.errors import Forbidden
from inplace.kube.protocols import Request, Response
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.target_view import TargetView
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.kube.fakes import refusal

WEB = TargetRef("Deployment", "shop", "web")
RUN = Run(id="run-1", target=WEB, images={"app": "reg/app:2"}, options=RunOptions())


@pytest.fixture
def app(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=2)
    return world


def view(world: SimulatedCluster, target: TargetRef = WEB) -> TargetView:
    return TargetView(world.api, target, "upgrade", world.host)


def test_a_look_waits_until_everything_is_listed(app: SimulatedCluster) -> None:
    with view(app) as opened:
        synced = [opened.informers.is_synced]
        snapshot = opened.look(RUN)
        synced.append(opened.informers.is_synced)
    assert synced == [False, True]
    assert [facts.pod.name for facts in snapshot.pods] == [pod.name for pod in app.pods()]
    assert [service.metadata.name for service in snapshot.services] == ["web"]


def test_a_look_shows_what_has_happened_since(app: SimulatedCluster) -> None:
    with view(app) as opened:
        opened.look(RUN)
        gone = app.pods()[0].name
        app.request("DELETE", app.path("", "pods", gone))
        app.scheduler.run_for(60)
        assert gone not in [facts.pod.name for facts in opened.look(RUN).pods]


def test_lists_that_are_forbidden_are_not_waited_for(app: SimulatedCluster) -> None:
    def refuse(request: Request) -> Response | None:
        return refusal(403, "you may not", "Forbidden") if request.path.endswith("/endpointslices") else None

    app.transport.interfere = refuse
    began_at = app.scheduler.now
    with view(app) as opened, pytest.raises(Forbidden):
        opened.look(RUN)
    assert app.scheduler.now - began_at < 5


def test_an_absent_target_is_refused(app: SimulatedCluster) -> None:
    with pytest.raises(RefusedError, match="does not exist"):
        view(app, TargetRef("Deployment", "shop", "nothing"))


def test_a_missing_opener_of_gates_is_warned_of(app: SimulatedCluster) -> None:
    with view(app) as opened:
        (warning,) = opened.new_pod_warnings(RUN)
    assert "inplace gate run" in str(warning)
