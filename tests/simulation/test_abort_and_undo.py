"""`abort` and `undo` on the unmodified product: back to the images before, with the same pods, and nothing of ours left."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from inplace.kube.protocols import Request
from inplace.model.constants import REQUEST_ANNOTATION
from inplace.model.run import PauseStep, PodsStep, Run, RunOptions, StopRequest
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.session import Result
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.resolver import AlreadyDone
from inplace.sim.objects import kinds
from tests.simulation.simulated_cluster import SimulatedCluster

LEASE = "inplace-deployment-web"
MERGE = "application/merge-patch+json"
ONE, TWO, THREE = {"app": "reg/app:1"}, {"app": "reg/app:2"}, {"app": "reg/app:3"}


@pytest.fixture
def world() -> SimulatedCluster:
    made = SimulatedCluster(seed=21)
    made.app("web", ONE["app"], replicas=4, boot=1)
    return made


def upgrade(world: SimulatedCluster, images: dict[str, str], **options: Any) -> Result:
    return world.upgrade("web", images, run_id=uuid.uuid4().hex, settle_seconds=0, max_unavailable=1, **options)


def asked(world: SimulatedCluster) -> Run:
    target = world.session("web").view.target
    return Run(id=uuid.uuid4().hex, target=target, images={}, adopts_template=True, created_by="test")


def undo(world: SimulatedCluster, to_revision: int | None = None, **given: Any) -> Result:
    with world.session("web") as session:
        return session.undo(asked(world), to_revision, given, lambda _frame: None)


def abort(world: SimulatedCluster) -> Result:
    with world.session("web") as session:
        return session.abort(asked(world), lambda _frame: None)


def uids(world: SimulatedCluster) -> set[str]:
    return {pod.uid for pod in world.pods(app="web")}


def images(world: SimulatedCluster) -> set[str]:
    return {pod.obj["spec"]["containers"][0]["image"] for pod in world.pods(app="web")}


def revisions(world: SimulatedCluster) -> dict[int, str]:
    sets = world.cluster.store.all(kinds.REPLICA_SETS)
    numbers = {int(rs.meta["annotations"]["deployment.kubernetes.io/revision"]): rs.obj["spec"]["template"] for rs in sets}
    return {number: template["spec"]["containers"][0]["image"] for number, template in sorted(numbers.items())}


def check_back(world: SimulatedCluster, before: set[str], image: str = ONE["app"]) -> None:
    """The same pods run the image in service; no record, no pause, no holder, no request."""
    assert (uids(world), images(world)) == (before, {image})
    assert not any("inplace.dev/upgrade" in (pod.meta.get("annotations") or {}) for pod in world.pods(app="web"))
    assert not world.request("GET", world.path("apps", "deployments", "web"))["spec"].get("paused")
    lease = world.request("GET", world.path("coordination.k8s.io", "leases", LEASE))
    assert not lease["spec"].get("holderIdentity")
    assert REQUEST_ANNOTATION not in lease["metadata"]["annotations"]
    world.scheduler.run_for(60)
    assert (uids(world), images(world), world.ready("web")) == (before, {image}, len(before))


def outcome(result: Result) -> str:
    assert isinstance(result, Summary), result
    return result.outcome


def ask(world: SimulatedCluster, verb: str) -> None:
    body = {"metadata": {"annotations": {REQUEST_ANNOTATION: verb}}}
    world.request("PATCH", world.path("coordination.k8s.io", "leases", LEASE), body, MERGE)


class Once:
    """Asks the holder for something at the first frame of which it is true."""

    def __init__(self, world: SimulatedCluster, verb: str, stage: str, updated: int = 0) -> None:
        self.world, self.verb, self.stage, self.updated = world, verb, stage, updated
        self.is_done = False

    def __call__(self, frame: Frame) -> None:
        there = any(pod.stage == self.stage for pod in frame.plan.pods) and frame.plan.progress.updated >= self.updated
        if there and not self.is_done:
            self.is_done = True
            self.world.scheduler.after(0.0, lambda: ask(self.world, self.verb))


@pytest.mark.parametrize("updated", [0, 2])
@pytest.mark.parametrize("stage", ["Closing", "Restarting", "Returning"])
def test_a_living_holder_goes_back_when_it_is_asked_to(world: SimulatedCluster, stage: str, updated: int) -> None:
    before, once = uids(world), Once(world, "abort", stage, updated)
    assert outcome(upgrade(world, TWO, on_frame=once)) == "Aborted"
    assert once.is_done
    check_back(world, before)
    assert revisions(world) == {1: ONE["app"]}


def test_an_abort_drops_a_pause_that_was_asked_for_before(world: SimulatedCluster) -> None:
    before, pause, then = uids(world), Once(world, "pause", "Restarting", 1), Once(world, "abort", "Returning", 1)

    def both(frame: Frame) -> None:
        pause(frame)
        if pause.is_done:
            then(frame)

    assert outcome(upgrade(world, TWO, on_frame=both)) == "Aborted"
    check_back(world, before)


def test_an_abort_after_the_commit_has_begun_is_only_cleared(world: SimulatedCluster) -> None:
    before = uids(world)

    def watch(request: Request) -> None:
        if request.method == "PATCH" and not request.is_dry_run and request.path.endswith("/deployments/web"):
            world.transport.interfere = lambda _request: None
            ask(world, "abort")

    world.transport.interfere = watch
    assert outcome(upgrade(world, TWO)) == "Succeeded"
    lease = world.request("GET", world.path("coordination.k8s.io", "leases", LEASE))
    assert REQUEST_ANNOTATION not in lease["metadata"]["annotations"]
    check_back(world, before, TWO["app"])
    assert revisions(world) == {1: ONE["app"], 2: TWO["app"]}


def test_a_paused_run_is_aborted_without_a_holder(world: SimulatedCluster) -> None:
    before = uids(world)
    steps = (PodsStep(amount=1), PauseStep(), PodsStep(amount="100%"))
    assert outcome(upgrade(world, TWO, steps=steps)) == "Paused"
    assert images(world) == {ONE["app"], TWO["app"]}
    assert outcome(abort(world)) == "Aborted"
    check_back(world, before)
    assert abort(world) == AlreadyDone("deploy/web is back at its previous images already")


def test_a_half_done_commit_is_finished_and_then_undone_by_abort(world: SimulatedCluster) -> None:
    before = uids(world)
    stop_at(world, "/deployments/web")
    with pytest.raises(Killed):
        upgrade(world, TWO)
    world.transport.interfere = lambda _request: None
    assert outcome(abort(world)) == "Succeeded"
    check_back(world, before)
    assert revisions(world) == {2: TWO["app"], 3: ONE["app"]}


class Killed(BaseException):
    """The process is gone."""


def stop_at(world: SimulatedCluster, path_end: str) -> None:
    """Dies after the next write to it."""

    def interfere(request: Request) -> None:
        if request.method == "PATCH" and not request.is_dry_run and request.path.endswith(path_end):
            world.transport.interfere = lambda _request: None
            world.transport.ask(request)
            raise Killed

    world.transport.interfere = interfere


def test_undo_right_after_and_undo_of_that(world: SimulatedCluster) -> None:
    before = uids(world)
    assert outcome(upgrade(world, TWO)) == "Succeeded"
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before)
    assert revisions(world) == {2: TWO["app"], 3: ONE["app"]}
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before, TWO["app"])
    assert revisions(world) == {3: ONE["app"], 4: TWO["app"]}


def test_undo_to_a_revision_and_to_one_that_is_not_there(world: SimulatedCluster) -> None:
    before = uids(world)
    upgrade(world, TWO)
    upgrade(world, THREE)
    with pytest.raises(RefusedError, match=r"deploy/web has no revision 7; it has: 1, 2, 3"):
        undo(world, 7)
    assert undo(world, 3) == AlreadyDone("deploy/web runs the images of revision 3 already")
    assert outcome(undo(world, 1)) == "Succeeded"
    check_back(world, before)
    assert revisions(world) == {2: TWO["app"], 3: THREE["app"], 4: ONE["app"]}


def test_undo_in_the_middle_of_a_paused_run(world: SimulatedCluster) -> None:
    before = uids(world)
    upgrade(world, TWO, steps=(PodsStep(amount="50%"), PauseStep(), PodsStep(amount="100%")))
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before)
    assert revisions(world) == {1: ONE["app"]}


def test_undo_after_a_failed_run(world: SimulatedCluster) -> None:
    before = uids(world)
    assert outcome(upgrade(world, {"app": "reg/app:crash"}, restart_timeout_seconds=60)) == "Failed"
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before)


def test_undo_after_a_classic_rollout(world: SimulatedCluster) -> None:
    template = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": TWO["app"]}]}}}}
    path = world.path("apps", "deployments", "web")
    world.request("PATCH", path, template, "application/strategic-merge-patch+json")
    world.scheduler.run_for(120)
    before = uids(world)
    assert images(world) == {TWO["app"]}
    assert outcome(undo(world, settle_seconds=0.0)) == "Succeeded"
    check_back(world, before)
    assert revisions(world) == {2: TWO["app"], 3: ONE["app"]}


def test_undo_where_no_history_is_kept_goes_by_the_last_run() -> None:
    world = SimulatedCluster(seed=22)
    world.app("web", ONE["app"], replicas=2, revisionHistoryLimit=0)
    before = uids(world)
    upgrade(world, TWO)
    assert list(revisions(world)) == [2]
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before)


def test_an_undo_that_was_stopped_goes_on_and_is_not_undone(world: SimulatedCluster) -> None:
    before = uids(world)
    upgrade(world, TWO)
    with world.session("web") as session:
        stop = lambda frame: session.request_stop(StopRequest("Interrupted", "test")) if frame.plan.progress.updated else None  # noqa: E731
        half = session.undo(asked(world), None, {}, stop_once(stop))
    assert outcome(half) == "Interrupted"
    assert images(world) == {ONE["app"], TWO["app"]}
    assert outcome(undo(world)) == "Succeeded"
    check_back(world, before)


def stop_once(stop: Any) -> Any:
    called: list[bool] = []

    def once(frame: Frame) -> None:
        if frame.plan.progress.updated and not called:
            called.append(True)
            stop(frame)

    return once


def test_an_undo_goes_about_it_as_the_run_before_did(world: SimulatedCluster) -> None:
    upgrade(world, TWO, steps=(PodsStep(amount=1), PauseStep(seconds=1.0), PodsStep(amount="100%")), on_failure="continue")
    assert outcome(undo(world, drain_timeout_seconds=7.0)) == "Succeeded"
    lease = world.request("GET", world.path("coordination.k8s.io", "leases", LEASE))
    stored = json.loads(lease["metadata"]["annotations"]["inplace.dev/run"])
    options = RunOptions(settle_seconds=0.0, max_unavailable=1, drain_timeout_seconds=7.0)
    assert (stored["doing"], stored["options"]["drainTimeoutSeconds"]) == ("Undo", 7.0)
    assert Run(id="", target=world.session("web").view.target, images={}, options=options).options == options
    assert (stored["options"]["settleSeconds"], stored["options"]["maxUnavailable"]) == (0.0, 1)
    assert stored["options"]["onFailure"] == "pause"
    assert len(stored["options"]["steps"]) == 1


def test_a_revision_that_differs_in_more_than_images_is_refused(world: SimulatedCluster) -> None:
    template = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": TWO["app"], "tty": True}]}}}}
    world.request("PATCH", world.path("apps", "deployments", "web"), template, "application/strategic-merge-patch+json")
    world.scheduler.run_for(120)
    with pytest.raises(RefusedError, match=r"revision 1 of deploy/web differs .*tty.*kubectl rollout undo"):
        undo(world)
