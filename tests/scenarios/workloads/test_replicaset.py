"""A ReplicaSet without a Deployment: pods in place, its template last."""

from tests.recorder.history import replay
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Running, kill
from tests.scenarios.facts import any_closed, any_patched, back, images_in, is_observed
from tests.scenarios.manifests import replicaset, service
from tests.scenarios.scene import Scene

GAME, SET = "rs/game", "ReplicaSet/game"


def game(scene: Scene, replicas: int = 3) -> None:
    scene.deploy(replicaset("game", scene.image("app:1"), replicas=replicas), service("game"), count=replicas)


def begin(scene: Scene) -> Running:
    return scene.start("--max-unavailable", "1", target=GAME, app="app:2")


def template_image(scene: Scene) -> str:
    return images_in(scene.get(GAME)["spec"]["template"]["spec"])["app"]


def check_done(scene: Scene, replicas: int) -> None:
    found = scene.get(GAME)
    assert is_observed(found)
    assert [found["status"][k] for k in ("replicas", "readyReplicas")] == [replicas, replicas]
    assert template_image(scene) == scene.image("app:2")
    assert len(scene.on_image("app:2")) == len(scene.pods()) == replicas
    scene.check_no_orphans()


def test_the_template_last(scene: Scene) -> None:
    """The next pod that it creates has the new image."""
    game(scene)
    new = scene.image("app:2")
    scene.end(begin(scene))
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    check_done(scene, 3)
    scene.witness.check(scene.rules(workload=SET, upgraded=3, writes_per_pod=3))
    log = [s for s in replay(scene.witness.log()) if s.event.rv > scene.witness.since]
    patched = [s.event.rv for s in log if s.event.name == "game" and new in str(s.event.object["spec"].get("template"))]
    opened = [s.event.rv for s in log if s.before and annotation(s.before, RECORD) and not annotation(s.event.object, RECORD)]
    assert len(opened) == 3
    assert min(patched) > max(opened)

    scene.witness.mark()
    scene.scale(GAME, 4)
    scene.until(lambda: len(scene.on_image("app:2")) == 4, "a pod from the new template")
    scene.open_gates()
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "all are Ready")
    same = scene.inplace("upgrade", GAME, f"app={new}")
    assert (same.code, same.stdout) == (0, f"rs/game runs app={new} already\n")


def test_scaled_up_in_the_middle(scene: Scene) -> None:
    """The newcomers are old, and are caught up, with a node or before; so are their gates, which nobody else opens here."""
    game(scene, replicas=2)
    run = begin(scene)
    scene.until_seen(any_closed, "the first is closed")
    scene.scale(GAME, 4)
    scene.end(run)
    assert set(scene.before.values()) < set(scene.uids().values())
    check_done(scene, 4)
    scene.witness.check(scene.rules(None, workload=SET))


def test_scaled_down_in_the_middle(scene: Scene) -> None:
    """The controller may take exactly the pods that are upgraded already, or in flight."""
    game(scene, replicas=4)
    run = begin(scene)
    scene.until_seen(back(scene.image("app:2"), 1), "the first is back")
    scene.until_seen(any_closed, "the second is closed")
    scene.scale(GAME, 2)
    scene.end(run)
    scene.until(lambda: len(scene.pods()) == 2, "the others are gone")
    assert set(scene.uids().values()) < set(scene.before.values())
    check_done(scene, 2)
    scene.witness.check(scene.rules(workload=SET))


def test_scaled_to_nothing(scene: Scene) -> None:
    """No pods: only the template is left to change."""
    game(scene, replicas=1)
    scene.scale(GAME, 0)
    scene.until(lambda: not scene.pods(), "no pods")
    scene.witness.mark()
    scene.end(begin(scene))
    assert template_image(scene) == scene.image("app:2")
    scene.witness.check(scene.rules(None, workload=None, upgraded=0))


def test_killed_and_resumed(scene: Scene) -> None:
    game(scene)
    run = begin(scene)
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    kill(run)
    scene.end(begin(scene))
    scene.check_same_pods()
    check_done(scene, 3)
    scene.witness.check(scene.rules(workload=SET, upgraded=3, writes_per_pod=3))


def test_history_and_the_way_back(scene: Scene) -> None:
    """It has no revisions: `undo` goes to what its last run began from, or, in the middle, to what that one's pods ran."""
    game(scene)
    scene.end(begin(scene))
    told = scene.inplace("history", GAME)
    assert told.code == 0, told
    (_, row) = told.stdout.splitlines()
    assert f"app={scene.image('app:2')}" in row
    assert "in place" in row
    assert "Succeeded" in row
    undone = scene.inplace("undo", GAME, "--settle", "0s")
    assert undone.code == 0, undone
    scene.check_same_pods()
    assert template_image(scene) == scene.image("app:1")
    assert scene.on_image("app:1") == set(scene.before)

    halfway = scene.inplace("upgrade", GAME, f"app={scene.image('app:3')}", "--settle", "0s", "--steps", "1,pause,100%")
    assert halfway.code == 4, halfway
    undone = scene.inplace("undo", GAME)
    assert undone.code == 0, undone
    scene.check_same_pods()
    assert template_image(scene) == scene.image("app:1")
    assert scene.on_image("app:1") == set(scene.before)
    scene.check_no_orphans()
    scene.check_quiet()
    scene.check_same_pods()
