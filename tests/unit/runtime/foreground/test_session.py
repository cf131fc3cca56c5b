"""One target and its commands, on the embedded cluster: what each comes to, and what it leaves behind."""

from __future__ import annotations

import pytest

from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions, lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.preview import preview_upgrade
from inplace.runtime.foreground.session import Session
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.resolver import AlreadyDone
from tests.simulation.simulated_cluster import SimulatedCluster

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/shop/leases/{lease_name(TargetRef('Deployment', 'shop', 'web'))}"


@pytest.fixture
def app(world: SimulatedCluster) -> SimulatedCluster:
    world.app("web", "reg/app:1", replicas=2)
    return world


def requested(session: Session, image: str = "reg/app:2") -> Run:
    return Run(id="run-2", target=session.view.target, images={"app": image}, options=RunOptions(), created_by="test")


def images(world: SimulatedCluster) -> list[str]:
    return [pod.obj["spec"]["containers"][0]["image"] for pod in world.pods()]


def test_an_upgrade_keeps_the_pods_and_lets_the_lock_go(app: SimulatedCluster) -> None:
    uids = [pod.uid for pod in app.pods()]
    ended = app.upgrade("web", {"app": "reg/app:2"})
    assert isinstance(ended, Summary)
    assert (ended.outcome, ended.updated, images(app)) == ("Succeeded", 2, ["reg/app:2"] * 2)
    assert [pod.uid for pod in app.pods()] == uids
    assert not app.request("GET", LEASE)["spec"].get("holderIdentity")


def test_the_same_upgrade_again_has_nothing_to_do(app: SimulatedCluster) -> None:
    app.upgrade("web", {"app": "reg/app:2"})
    ended = app.upgrade("web", {"app": "reg/app:2"}, run_id="run-2")
    assert isinstance(ended, AlreadyDone)
    assert "runs app=reg/app:2 already" in ended.message


def test_undo_goes_back_to_the_images_before(app: SimulatedCluster) -> None:
    app.upgrade("web", {"app": "reg/app:2"})
    with app.session("web") as session:
        ended = session.undo(requested(session), None, {}, lambda _frame: None)
    assert isinstance(ended, Summary)
    assert (ended.outcome, images(app)) == ("Succeeded", ["reg/app:1"] * 2)


def test_a_preview_writes_nothing(app: SimulatedCluster) -> None:
    before = dict(app.transport.requests)
    with app.session("web") as session:
        preview = preview_upgrade(session.view, requested(session), {})
    assert (preview.run.images, preview.is_resumed, preview.holder) == ({"app": "reg/app:2"}, False, "")
    written = {key: n for key, n in app.transport.requests.items() if not key.startswith("GET") and n != before.get(key, 0)}
    assert set(written) <= {"POST selfsubjectaccessreviews"}


@pytest.mark.parametrize("verb", ["resume", "pause", "abort"])
def test_a_target_without_a_run_has_nothing_to(app: SimulatedCluster, verb: str) -> None:
    with app.session("web") as session:
        ended = session.abort(requested(session), lambda _: None) if verb == "abort" else getattr(session, verb)(lambda _: None)
    assert ended == AlreadyDone(f"{session.view.target} has no run to {verb}")


def test_a_target_that_does_not_exist_is_refused(app: SimulatedCluster) -> None:
    with pytest.raises(RefusedError, match="does not exist"):
        app.session("nothing")
