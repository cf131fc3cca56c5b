"""A Deployment upgraded in place: the same pods, all promises kept, the workload as a classic rollout would have left it."""

from tests.e2e import support
from tests.e2e.scenarios import WEB, Scene, turned
from tests.e2e.support import GATE, condition, container, deployment, eventually, service


def test_ten_pods(scene: Scene) -> None:
    """The main job, and that everything which people do to a Deployment works on afterwards."""
    scene.deploy(deployment("web", scene.image("app:1"), replicas=10), service("web"), count=10)
    ended = scene.upgrade("--max-unavailable", "3", app="app:2")
    scene.check_quiet()

    scene.check_same_pods()
    assert [r["app"] for r in support.restarts(scene.cluster, scene.ns).values()] == [1] * 10
    scene.check(upgraded=10, max_unavailable=3)
    scene.check_runs(10, app="app:2")
    assert [ended.report[key] for key in ("touched", "sameUids", "sameIps", "restarts", "updated")] == [10] * 5
    assert scene.history() == {1: "app:1", 2: "app:2"}
    assert "successfully rolled out" in scene.kubectl("rollout", "status", WEB, "--timeout=5s")

    scene.run_gates()
    scene.kubectl("scale", WEB, "--replicas=12")
    scene.kubectl("rollout", "status", WEB, "--timeout=120s")
    scene.check_runs(12, app="app:2")
    assert support.uids(scene.cluster, scene.ns).items() >= scene.before.items()

    scene.kubectl("scale", WEB, "--replicas=3")
    eventually(lambda: len(support.pods(scene.cluster, scene.ns)) == 3, "scaled down")
    scene.kubectl("rollout", "undo", WEB)
    scene.kubectl("rollout", "status", WEB, "--timeout=120s")
    eventually(lambda: len(support.pods(scene.cluster, scene.ns)) == 3, "the old pods are gone")
    scene.check_runs(3, app="app:1")
    assert scene.history() == {2: "app:2", 3: "app:1"}


def test_the_same_digest_under_another_tag(scene: Scene) -> None:
    """It restarts the container, though its imageID stays: neither waits for ever, nor restarts twice."""
    scene.deploy(deployment("web", scene.image("app:2"), replicas=2), service("web"), count=2)
    digests = support.of_each(scene.cluster, scene.ns, "", lambda p: p["status"]["containerStatuses"][0]["imageID"])
    scene.upgrade("--max-unavailable", "2", app="app:2b")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2b")
    assert [r["app"] for r in support.restarts(scene.cluster, scene.ns).values()] == [1, 1]
    assert digests == support.of_each(scene.cluster, scene.ns, "", lambda p: p["status"]["containerStatuses"][0]["imageID"])


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
    assert list(support.restarts(scene.cluster, scene.ns).values()) == [{"app": 1, "second": 1, "third": 0}] * 2
    assert scene.history() == {1: "app:1", 2: "app:2"}
    scene.check_quiet(5)


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
    assert list(support.restarts(scene.cluster, scene.ns).values()) == [{"app": 0, "proxy": 1}] * 2
    scene.check_quiet(5)


def test_gates_that_have_no_condition_yet(scene: Scene) -> None:
    """Nobody has opened them: the upgrade does so at once, so that the pods serve until it is their turn."""
    scene.deploy(deployment("web", scene.image("app:1"), replicas=3), service("web"), count=3)
    scene.kubectl("delete", "pods", "--all", "--wait=true")
    eventually(lambda: all_start_closed(scene, 3), "the replacements run")
    scene.remember()
    scene.upgrade("--max-unavailable", "1", app="app:2")
    scene.check(upgraded=3, writes=None)
    scene.check_same_pods()
    scene.check_runs(3, app="app:2")
    for uid in scene.before.values():
        assert scene.recorder.writes_by_us(uid) == 4  # the condition, and the usual three
        assert len(turned(scene.versions(uid), GATE)) == 2
    scene.check_quiet(5)


def all_start_closed(scene: Scene, count: int) -> bool:
    found = support.pods(scene.cluster, scene.ns)
    facts = {(condition(p, "ContainersReady"), condition(p, GATE), condition(p, "Ready")) for p in found}
    return len(found) == count and facts == {("True", None, "False")}


def test_a_gate_closed_by_hand_stays_closed(scene: Scene) -> None:
    scene.deploy(deployment("web", scene.image("app:1"), replicas=3), service("web"), count=3)
    closed = sorted(scene.before)[0]
    patch = f'{{"status": {{"conditions": [{{"type": "{GATE}", "status": "False"}}]}}}}'
    scene.kubectl("patch", "pod", closed, "--subresource=status", "--type=strategic", "-p", patch)
    eventually(lambda: condition(support.get(scene.cluster, scene.ns, f"pod/{closed}"), "Ready") == "False", "closed")
    scene.recorder.mark()
    scene.upgrade("--max-unavailable", "2", app="app:2")

    scene.check(upgraded=2, max_unavailable=2)  # its gate never opened: not among those two
    scene.check_same_pods()
    assert scene.on_image("app:2") == sorted(scene.before)
    assert [r["app"] for r in support.restarts(scene.cluster, scene.ns).values()] == [1] * 3
    versions = scene.versions(scene.before[closed])
    assert {condition(e.object, GATE) for e in versions} == {"False"}
    assert scene.recorder.writes_by_us(scene.before[closed]) == 3
    assert "inplace.dev/upgrade" not in versions[-1].object["metadata"].get("annotations", {})
    scene.check_quiet(5)
