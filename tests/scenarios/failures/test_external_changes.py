"""Somebody else changes the workload in the middle: the run stops safely, says what, and undoes nothing of theirs.

Afterwards the same command is judged afresh on what is there then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Moment, Result, Running
from tests.scenarios.facts import any_closed, any_patched, back, images_in
from tests.scenarios.manifests import GATE, replicaset, service
from tests.scenarios.scene import LEASE, WEB, Scene

pytestmark = pytest.mark.at_rest


@dataclass(frozen=True)
class Act:
    """What somebody does with kubectl, and how it is told."""

    do: Callable[[Scene], object]
    said: str


def edit(scene: Scene) -> object:
    return scene.merge(WEB, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}})


SET = "somebody set container app of deploy/web to {}/"
IMAGE = Act(lambda scene: scene.set_images(WEB, app=scene.image("app:3")), f"{SET}app:3")
EDIT = Act(edit, "the template of deploy/web was edited")
UNDO = Act(lambda scene: scene.undo(WEB, 1), f"{SET}app:1")
PAUSE = Act(lambda scene: scene.merge(WEB, {"spec": {"paused": True}}), "deploy/web was paused")
ROLLOUTS = {"set image": IMAGE, "edit": EDIT, "undo": UNDO}
HISTORIES = {
    "set image": {1: "app:1", 2: "app:3", 3: "app:2"},
    "edit": {1: "app:1", 2: "app:1", 3: "app:2"},
    "undo": {2: "app:4", 3: "app:1", 4: "app:2"},
}


def upgrade(scene: Scene, ref: str = "app:2") -> tuple[str, ...]:
    return scene.command("--max-unavailable", "1", app=ref)


def interrupted(scene: Scene, act: Act, moment: str) -> None:
    """An upgrade to app:2; at this moment somebody acts. It fails and says so, no pod stays closed, nobody holds the lock."""
    new = scene.image("app:2")
    happened = {"closed": any_closed, "restarting": any_patched(new), "one is back": back(new, 1)}[moment]
    run = scene.stage.start(*upgrade(scene))
    scene.until_seen(happened, moment)
    act.do(scene)
    check_stopped(scene, run.wait(), act)


def check_stopped(scene: Scene, ended: Result, act: Act) -> None:
    assert ended.code == 1, ended
    (line,) = [text for text in ended.stdout.splitlines() if text.startswith("deploy/web in")]
    assert f"{act.said.format(scene.stage.registry)} in the middle" in line, ended
    assert "(field manager kubectl" in line, ended
    assert f"start over:  inplace upgrade {WEB} app={scene.image('app:2')}" in ended.stderr, ended
    assert f"go back:     inplace undo {WEB}" in ended.stderr, ended
    for pod in scene.pods():
        assert not annotation(pod, RECORD)
    assert not scene.holder()
    assert scene.stored_run()["outcome"] == "Failed"


def check_the_same_command_upgrades(scene: Scene, history: dict[int, str]) -> None:
    """What the other's rollout has made, once that has ended: in place."""
    scene.until_rolled_out()
    scene.remember()
    again = scene.inplace(*upgrade(scene))
    assert again.code == 0, again
    scene.check_same_pods()
    scene.check_consistent("app:2", history)


# "undo" at the third moment is worth its time on a real cluster, too: it revives a ReplicaSet, and takes upgraded pods.
QUICK = ("undo", "one is back")


@pytest.mark.parametrize(
    ("act", "moment"),
    [
        pytest.param(act, moment, marks=() if (act, moment) == QUICK else pytest.mark.proof)
        for act in ROLLOUTS
        for moment in ("closed", "restarting", "one is back")
    ],
)
def test_somebody_starts_a_rollout(scene: Scene, act: str, moment: str) -> None:
    scene.web(3)
    scene.run_gates()
    if act == "undo":
        scene.set_images(WEB, app=scene.image("app:4"))
        scene.until_rolled_out()
        scene.remember()
    interrupted(scene, ROLLOUTS[act], moment)
    status = scene.inplace("status", WEB)
    assert act == "edit" or "somebody else has changed it since" in status.stdout
    assert act == "edit" or f"start over:  inplace upgrade {WEB} app={scene.image('app:2')}" in status.stderr
    check_the_same_command_upgrades(scene, HISTORIES[act])


@pytest.mark.parametrize("moment", [pytest.param("closed", marks=pytest.mark.proof), "restarting"])
def test_somebody_pauses_it(scene: Scene, moment: str) -> None:
    """The same command goes on, and keeps the pause: by now that is the user's own."""
    scene.web(3)
    interrupted(scene, PAUSE, moment)
    scene.check_same_pods()
    assert all(condition(p, GATE) == "True" for p in scene.pods())
    again = scene.inplace(*upgrade(scene))
    assert again.code == 0, again
    assert scene.get(WEB)["spec"]["paused"] is True
    scene.check(upgraded=3, writes=None)
    scene.check_same_pods()
    scene.check_runs(3, app="app:2")
    assert scene.history() == {1: "app:1", 2: "app:2"}


COMMIT: dict[str, tuple[str, int]] = {
    "the Deployment is paused": (r"PATCH .*/deployments/web .*paused", 1),
    "the ReplicaSet has the new template": (r"PATCH .*/replicasets/", 1),
    "both templates are new": (r"PATCH .*/deployments/web .*template", 1),
    "the old template is buried": (r"POST .*/replicasets", 1),
}


@pytest.mark.parametrize("moment", [pytest.param(m, marks=() if "ReplicaSet" in m else pytest.mark.proof) for m in COMMIT])
@pytest.mark.parametrize("act", ["set image", pytest.param("edit", marks=pytest.mark.proof)])
def test_somebody_changes_it_during_the_commit(scene: Scene, act: str, moment: str) -> None:
    """The Deployment is ours to pause only for the commit: it gets `paused` back and rolls out what they wanted."""
    pattern, nth = COMMIT[moment]
    times = 0

    def met(_command: Running, write: str, when: Moment) -> None:
        nonlocal times
        if when == "after" and re.match(pattern, write):
            times += 1
            if times == nth:
                ROLLOUTS[act].do(scene)

    scene.web(3)
    scene.run_gates()
    check_stopped(scene, scene.stage.start(*upgrade(scene), on_write=met).wait(), ROLLOUTS[act])
    assert times >= nth
    assert "paused" not in scene.get(WEB)["spec"]
    scene.until_rolled_out()
    scene.remember()
    again = scene.inplace(*scene.command("--max-unavailable", "1", app="app:4"))
    assert again.code == 0, again
    scene.check_same_pods()
    scene.check_runs(3, app="app:4")
    scene.check_quiet()


@pytest.mark.proof
def test_a_template_of_a_replica_set_is_changed(scene: Scene) -> None:
    scene.deploy(replicaset("web", scene.image("app:1")), service("web"), count=3)
    command = scene.command("--max-unavailable", "1", target="rs/web", app="app:2")
    run = scene.stage.start(*command)
    scene.until_seen(back(scene.image("app:2"), 1), "one is back")
    scene.set_images("rs/web", app=scene.image("app:3"))
    ended = run.wait()
    assert ended.code == 1, ended
    assert (
        f"somebody set container app of rs/web to {scene.image('app:3')} in the middle (field manager kubectl" in ended.stdout
    )
    assert not any(annotation(p, RECORD) for p in scene.pods())
    again = scene.inplace(*command)
    assert again.code == 0, again
    scene.check_same_pods()
    assert scene.on_image("app:2") == set(scene.before)
    assert images_in(scene.get("rs/web")["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}


@pytest.mark.parametrize("cascade", ["Background", pytest.param("Orphan", marks=pytest.mark.proof)])
def test_the_target_is_deleted(scene: Scene, cascade: str) -> None:
    """With its pods; or without, and then `repair` frees the one that was worked on."""
    scene.web(3)
    run = scene.stage.start(*upgrade(scene))
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    scene.send(
        "DELETE", scene.path("deploy", "web"), {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": cascade}
    )
    ended = run.wait()
    assert ended.code == 1, ended
    assert "deploy/web was deleted" in ended.stdout, ended
    if cascade == "Background":
        scene.until(lambda: not scene.pods() and not scene.find(f"lease/{LEASE}"), "all is gone")
        return
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "every pod serves")
    assert not any(annotation(p, RECORD) for p in scene.pods())
    scene.check_same_pods()
