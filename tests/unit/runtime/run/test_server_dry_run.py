"""The writes of a run are sent as dry runs: what would be refused is known before the first real one."""

from __future__ import annotations

import json

import pytest

from inplace.kube.errors import ApiError
from inplace.kube.protocols import Request, Response
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from inplace.runtime.foreground.session import Session
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.server_dry_run import rehearse
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.kube.fakes import ok, refusal

RUN = Run(id="run-1", target=TargetRef("Deployment", "shop", "web"), images={"app": "reg/app:2"}, options=RunOptions())


@pytest.fixture
def app(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=2)
    return world


def rehearsed(world: SimulatedCluster, session: Session) -> object:
    executor = Executor(world.api, "shop", session.view.informers, dry_run=True)
    return rehearse(executor, world.clock, session.view.look, RUN)


def test_a_rehearsal_persists_nothing(app: SimulatedCluster) -> None:
    before = [pod.obj for pod in app.pods()]
    with app.session("web") as session:
        found = session.view.resolver.rehearse(RUN)
    assert (found.problem, found.run.images) == ("", {"app": "reg/app:2"})
    assert [pod.obj for pod in app.pods()] == before
    assert any(key.startswith("PATCH pods") for key in app.transport.requests)


def test_a_refused_write_is_a_problem_in_the_servers_words(app: SimulatedCluster) -> None:
    def refuse(request: Request) -> Response | None:
        is_image = request.method == "PATCH" and request.path.count("/pods/") and not request.path.endswith("/status")
        return refusal(422, "denied by policy no-2", "Invalid") if is_image else None

    app.transport.interfere = refuse
    with app.session("web") as session:
        found = session.view.resolver.rehearse(RUN)
    assert "denied by policy no-2" in found.problem


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_does_not_judge_is_an_error(app: SimulatedCluster, status: int) -> None:
    def fail(request: Request) -> Response | None:
        return refusal(status, "overloaded") if request.method == "PATCH" else None

    with app.session("web") as session:
        session.view.look(RUN)
        app.transport.interfere = fail
        with pytest.raises(ApiError, match="overloaded"):
            rehearsed(app, session)


def test_an_image_that_admission_rewrites_is_learnt(app: SimulatedCluster) -> None:
    mirrored = "mirror/app:2"

    def rewrite(request: Request) -> Response | None:
        if request.method != "PATCH" or request.body is None or not request.is_dry_run:
            return None
        body = request.body.replace(b"reg/app:2", mirrored.encode())
        path, query = request.path, dict(request.query)
        return ok(app.request("PATCH", path, json.loads(body), request.content_type, **query))

    app.transport.interfere = rewrite
    with app.session("web") as session:
        found = session.view.resolver.rehearse(RUN)
    assert found.run.images == {"app": mirrored}
    assert found.problem == ""
