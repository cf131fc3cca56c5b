"""A Deployment upgraded in place: the same pods, all promises kept, the workload as a classic rollout would have left it."""

import pytest

from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.facts import turned
from tests.scenarios.manifests import GATE, container, deployment, service
from tests.scenarios.scene import WEB, Scene

pytestmark = pytest.mark.at_rest


def test_ten_pods(scene: Scene) -> None:
    """The main job, and that scaling and going back the classic way work on afterwards."""
    scene.web(10)
    ended = scene.upgrade("--max-unavailable", "3", app="app:2")
    scene.check_quiet()

    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 10)
    scene.check(upgraded=10, max_unavailable=3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=10)
    assert [ended.report[key] for key in ("touched", "sameUids", "sameIps", "restarts", "updated")] == [10] * 5

    scene.run_gates()
    scene.scale(WEB, 12)
    scene.until_rolled_out()
    scene.check_runs(12, app="app:2")
    assert scene.uids().items() >= scene.before.items()

    scene.scale(WEB, 3)
    scene.until_rolled_out()
    scene.undo(WEB, 1)
    scene.until_rolled_out()
    scene.check_runs(3, app="app:1")
    assert scene.history() == {2: "app:2", 3: "app:1"}


def test_the_same_digest_under_another_tag(scene: Scene) -> None:
    """It restarts the container, though its imageID stays: neither waits for ever, nor restarts twice."""
    scene.web(2, ref="app:2")
    digests = scene.of_each(lambda p: p["status"]["containerStatuses"][0]["imageID"])
    scene.upgrade("--max-unavailable", "2", app="app:2b")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2b")
    scene.check_restarts(*[{"app": 1}] * 2)
    assert digests == scene.of_each(lambda p: p["status"]["containerStatuses"][0]["imageID"])


def test_two_of_three_containers(scene: Scene) -> None:
    """Changed in one patch; the third is never restarted."""
    three = [
        container("app", scene.image("app:1")),
        container("second", scene.image("side:1"), port=8081),
        container("third", scene.image("app:1"), port=8082),
    ]
    scene.deploy(deployment("web", three, replicas=2), service("web"), count=2)
    scene.upgrade("--max-unavailable", "2", app="app:2", second="side:2")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2", second="side:2", third="app:1")
    scene.check_restarts(*[{"app": 1, "second": 1, "third": 0}] * 2)
    assert scene.history() == {1: "app:1", 2: "app:2"}
    scene.check_quiet()


def test_a_sidecar(scene: Scene) -> None:
    """A restartable init container moves without its neighbour."""
    both = [
        container("app", scene.image("app:1")),
        container("proxy", scene.image("side:1"), port=8081, sidecar=True),
    ]
    scene.deploy(deployment("web", both, replicas=2), service("web"), count=2)
    scene.upgrade("--max-unavailable", "2", proxy="side:2")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:1", proxy="side:2")
    scene.check_restarts(*[{"app": 0, "proxy": 1}] * 2)
    scene.check_quiet()


def test_gates_that_have_no_condition_yet(scene: Scene) -> None:
    """Nobody has opened them: the upgrade does so at once, so that the pods serve until it is their turn."""
    scene.web(3)
    for name in scene.before:
        scene.delete(f"pod/{name}", grace=1)
    scene.until(lambda: all_start_closed(scene, 3), "the replacements run")
    scene.remember()
    scene.upgrade("--max-unavailable", "1", app="app:2")
    scene.check(upgraded=3, writes=None)
    scene.check_same_pods()
    scene.check_runs(3, app="app:2")
    for uid in scene.before.values():
        assert scene.witness.writes_by_us(uid) == 4  # the condition, and the usual three
        assert len(turned(scene.versions(uid), GATE)) == 2
    scene.check_quiet()


def all_start_closed(scene: Scene, count: int) -> bool:
    found = scene.all("pod")
    facts = {(condition(p, "ContainersReady"), condition(p, GATE), condition(p, "Ready")) for p in found}
    return len(found) == count and facts == {("True", None, "False")}


def test_a_gate_closed_by_hand_stays_closed(scene: Scene) -> None:
    scene.web(3)
    closed = sorted(scene.before)[0]
    scene.set_gate(closed, "False")
    scene.until(lambda: condition(scene.get(f"pod/{closed}"), "Ready") == "False", "closed")
    scene.witness.mark()
    scene.upgrade("--max-unavailable", "2", app="app:2")

    scene.check(upgraded=2, max_unavailable=2)  # its gate never opened: not among those two
    scene.check_same_pods()
    assert scene.on_image("app:2") == set(scene.before)
    scene.check_restarts(*[{"app": 1}] * 3)
    versions = scene.versions(scene.before[closed])
    assert {condition(e.object, GATE) for e in versions} == {"False"}
    assert scene.witness.writes_by_us(scene.before[closed]) == 3
    assert not annotation(versions[-1].object, RECORD)
    scene.check_quiet()
