"""The Deployment's own objects after, and in the middle of, an upgrade: history, field ownership, pause, scale."""

import re

import pytest

from tests.recorder import Object
from tests.recorder.history import active_replicasets, end
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.facts import images_in, is_observed
from tests.scenarios.manifests import container, deployment, service
from tests.scenarios.scene import SETTLE, WEB, Ended, Scene

pytestmark = pytest.mark.at_rest


def test_no_history_is_kept(scene: Scene) -> None:
    """revisionHistoryLimit 0: the controller removes the tombstone at once, and the commit does not wait for it."""
    scene.web(2, revision_history_limit=0)
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check_quiet()
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_consistent("app:2", {2: "app:2"}, replicas=2)
    assert len(scene.all("rs")) == 1


def test_server_side_apply_goes_on(scene: Scene) -> None:
    """Whoever applied the image owns it again: their next apply, of the same or the next image, meets no conflict."""

    def applied(ref: str) -> None:
        scene.apply(deployment("web", scene.image(ref), replicas=2), "gitops")

    applied("app:1")
    scene.until(lambda: len(scene.pods()) == 2, "pods")
    scene.deploy(service("web"), count=2)
    assert image_managers(scene.get(WEB)) == {"gitops"}
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check_quiet()

    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    assert image_managers(scene.get(WEB)) == {"gitops"}
    applied("app:2")
    scene.check_quiet()
    scene.check_same_pods()
    applied("app:3")
    assert images_in(scene.get(WEB)["spec"]["template"]["spec"]) == {"app": scene.image("app:3")}


def image_managers(workload: Object) -> set[str]:
    """The field managers that own the image of container app."""
    owners = set()
    for entry in workload["metadata"].get("managedFields", []):
        spec = entry.get("fieldsV1", {}).get("f:spec", {}).get("f:template", {}).get("f:spec", {})
        if "f:image" in spec.get("f:containers", {}).get('k:{"name":"app"}', {}):
            owners.add(entry["manager"])
    return owners


THERE_AND_BACK = ("app:2", "app:1", "app:3", "app:2", "app:1")
KEPT = {
    0: ({2: "app:2"}, {3: "app:1"}, {4: "app:3"}, {5: "app:2"}, {6: "app:1"}),
    1: (
        {1: "app:1", 2: "app:2"},
        {2: "app:2", 3: "app:1"},
        {3: "app:1", 4: "app:3"},
        {4: "app:3", 5: "app:2"},
        {5: "app:2", 6: "app:1"},
    ),
    10: (
        {1: "app:1", 2: "app:2"},
        {2: "app:2", 3: "app:1"},
        {2: "app:2", 3: "app:1", 4: "app:3"},
        {3: "app:1", 4: "app:3", 5: "app:2"},
        {4: "app:3", 5: "app:2", 6: "app:1"},
    ),
}


@pytest.mark.parametrize("limit", [pytest.param(0, marks=pytest.mark.proof), pytest.param(1, marks=pytest.mark.proof), 10])
def test_there_and_back_and_on(scene: Scene, limit: int) -> None:
    """From the second on each meets ReplicaSets that hold old templates. The history is that of classic rollouts."""
    scene.web(2, revision_history_limit=limit)
    for restarts, (ref, history) in enumerate(zip(THERE_AND_BACK, KEPT[limit], strict=True), 1):
        scene.witness.mark()
        scene.upgrade("--max-unavailable", "2", app=ref)
        scene.until(lambda wanted=history: scene.history() == wanted, f"the history is {history}", 20)  # type: ignore[misc]
        scene.check_quiet()
        scene.check(upgraded=2, max_unavailable=2)
        scene.check_same_pods()
        scene.check_consistent(ref, history, replicas=2)
        scene.check_restarts(*[{"app": restarts}] * 2)
    assert len({names for _, names in active_replicasets(scene.witness.log()) if names}) == 1


def test_an_older_twin_made_by_an_undo(scene: Scene) -> None:
    """After a classic undo a 0-replica ReplicaSet already holds the template that the upgrade goes to."""
    scene.web(2)
    scene.run_gates()
    for step, ref in ((2, "app:2"), (1, None)):
        scene.set_images(WEB, app=scene.image(ref)) if ref else scene.undo(WEB, step)
        scene.until_rolled_out()
    assert scene.history() == {2: "app:2", 3: "app:1"}
    scene.remember()
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check_quiet()
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_consistent("app:2", {3: "app:1", 4: "app:2"}, replicas=2)


def test_a_pause_of_the_users_own_is_kept(scene: Scene) -> None:
    scene.web(2)
    scene.merge(WEB, {"spec": {"paused": True}})
    scene.until(lambda: is_observed(scene.get(WEB)), "the pause is seen")
    scene.remember()
    scene.upgrade("--max-unavailable", "2", app="app:2")

    assert scene.get(WEB)["spec"]["paused"] is True
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
    assert scene.history() == {1: "app:1", 2: "app:2"}
    scene.merge(WEB, {"spec": {"paused": None}})
    scene.until_rolled_out()
    scene.check_quiet()
    scene.check_same_pods()


def test_pods_deleted_and_evicted_in_the_middle(scene: Scene) -> None:
    """One that was upgraded, one that is worked on, one that waits: their replacements come up old, and are caught up."""
    scene.web(4)
    running, done, closing = begin(scene)
    waiting = next(name for name in sorted(scene.before) if name not in (done, closing))
    for name in (done, closing):
        scene.delete(f"pod/{name}")
    scene.evict(waiting)
    scene.end(running)

    scene.check_quiet()
    scene.check_runs(4, app="app:2")
    now = scene.uids()
    survivors = set(now) & set(scene.before)
    assert survivors == set(scene.before) - {done, closing, waiting}
    scene.check_each_restarted_once()
    scene.check(upgraded=None, writes=None)  # a replacement's gate gets its condition first
    assert [scene.witness.writes_by_us(now[name]) for name in survivors] == [3]
    assert scene.history() == {1: "app:1", 2: "app:2"}


def test_a_pod_that_takes_its_time_to_go_is_not_waited_for(scene: Scene) -> None:
    """Its place is taken already; when it is gone nothing has changed."""
    slow = container("side", scene.image("side:1"), port=8081, pre_stop="sleep 60")
    made = deployment("web", [container("app", scene.image("app:1")), slow], replicas=2, terminationGracePeriodSeconds=90)
    scene.deploy(made, service("web"), count=2)
    scene.run_gates()
    leaving = sorted(scene.before)[0]
    scene.delete(f"pod/{leaving}")
    scene.until(lambda: sum(condition(p, "Ready") == "True" for p in scene.pods()) == 2, "its place is taken")
    scene.remember()
    scene.upgrade("--max-unavailable", "2", app="app:2")
    assert scene.get(f"pod/{leaving}")["status"]["phase"] == "Running"
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


@pytest.mark.parametrize(("first", "last"), [(3, 5), (4, 2), (2, 0)])
def test_scaled_in_the_middle(scene: Scene, first: int, last: int) -> None:
    scene.web(first)
    running, _, _ = begin(scene)
    scene.scale(WEB, last)
    scene.end(running)

    scene.until(lambda: len(scene.all("pod")) == last, "scaled, and the others gone")
    scene.check_quiet()
    scene.check_runs(last, app="app:2")
    scene.check_each_restarted_once()
    assert scene.history() == {1: "app:1", 2: "app:2"}
    scene.check(upgraded=None, writes=None)
    if not last:
        scene.run_gates()
        scene.scale(WEB, 1)
        scene.until_rolled_out()
        scene.check_runs(1, app="app:2")


STAGES = {
    "paused": r"PATCH .*/deployments/web .*paused",
    "the ReplicaSet is new": r"PATCH .*/replicasets/",
    "the Deployment is new": r"PATCH .*/deployments/web .*template",
    "the old template is buried": r"POST .*/replicasets",
}


def scaling(scene: Scene, to: dict[str, int]) -> Ended:
    """An upgrade in which the Deployment is scaled to so many right after the writes named."""
    left = dict(to)

    def met(_command: Running, write: str, moment: Moment) -> None:
        for stage, replicas in list(left.items()):
            if moment == "after" and re.match(STAGES[stage], write):
                del left[stage]
                scene.scale(WEB, replicas)

    words = ("upgrade", WEB, f"app={scene.image('app:2')}", "-o", "json", *SETTLE, "--max-unavailable", "3")
    ended = scene.end(scene.stage.start(*words, on_write=met))
    assert not left
    return ended


def check_scaled(scene: Scene, replicas: int) -> None:
    """Nothing was rolled out: whoever was there from the first still is, as far as so many are wanted."""
    scene.until(lambda: len(scene.all("pod")) == replicas, "scaled, and the others are gone")
    scene.until_rolled_out()
    scene.check_runs(replicas, app="app:2")
    scene.check_quiet()
    assert "paused" not in scene.get(WEB)["spec"]
    assert scene.history() == {1: "app:1", 2: "app:2"}
    if replicas >= len(scene.before):
        assert set(scene.before.values()) <= set(scene.uids().values())
    scene.check(upgraded=None, max_unavailable=3, writes=None)


def test_scaled_at_each_stage_of_the_commit(scene: Scene) -> None:
    scene.web(3)
    scene.run_gates()
    scaling(scene, dict(zip(STAGES, (4, 6, 5, 7), strict=True)))
    check_scaled(scene, 7)


@pytest.mark.proof
@pytest.mark.parametrize("replicas", [5, 1, 0])
@pytest.mark.parametrize("moment", STAGES)
def test_scaled_at_one_stage_of_the_commit(scene: Scene, moment: str, replicas: int) -> None:
    scene.web(3)
    scene.run_gates()
    scaling(scene, {moment: replicas})
    check_scaled(scene, replicas)
    if not replicas:
        scene.scale(WEB, 2)
        check_scaled(scene, 2)


@pytest.mark.proof
@pytest.mark.parametrize("moment", STAGES)
def test_scaled_to_nothing_and_back_in_an_abandoned_commit(scene: Scene, moment: str) -> None:
    """Then the controller gives pods to the newest ReplicaSet: never to the one that only keeps the old template."""
    scene.web(2)
    scene.run_gates()
    command = scene.command("--max-unavailable", "2", app="app:2")
    scene.killed_at(STAGES[moment], 1, "after", *command)
    for replicas in (0, 2):
        scene.scale(WEB, replicas)
        scene.until(lambda wanted=replicas: len(scene.all("pod")) == wanted, f"{replicas} pods")  # type: ignore[misc]
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "the new ones serve")
    scene.remember()
    done = scene.inplace(*command)
    assert done.code == 0, done
    scene.check_quiet()
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


def begin(scene: Scene) -> tuple[Running, str, str]:
    """An upgrade, one pod at a time; the name of the first, which is back, and of the second, which is closed."""
    running = scene.start("--max-unavailable", "1", app="app:2")

    def reached() -> tuple[str, str] | None:
        pods = {p["metadata"]["name"]: p for p in end(scene.witness.so_far()).all("Pod").values()}
        new = {name for name, p in pods.items() if images_in(p["spec"])["app"] == scene.image("app:2")}
        ours = {name for name, p in pods.items() if annotation(p, RECORD)}
        return (min(new - ours), min(ours - new)) if new - ours and ours - new else None

    done, closing = scene.until(reached, "the first is back and the second is closed", every=0.05)  # type: ignore[misc]
    return running, done, closing
