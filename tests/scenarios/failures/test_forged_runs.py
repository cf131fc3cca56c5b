"""Runs written by somebody who may write Leases and nothing else: they bring no image to any pod, and do nothing elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import GATE, daemonset
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import LEASE, WEB, Scene

pytestmark = pytest.mark.sampled

ALL_AT_ONCE = {"withoutGate": True, "maxUnavailable": "100%", "settleSeconds": 0}


def forged(scene: Scene, **more: Any) -> Object:
    """A run to app:3, whose commit has begun, as it says."""
    deployment = scene.get(WEB)
    live = next(rs for rs in scene.all("rs") if rs["spec"]["replicas"])
    return {
        "v": 1,
        "id": "evil",
        "target": {"kind": "Deployment", "namespace": scene.ns, "name": "web"},
        "targetUid": deployment["metadata"]["uid"],
        "images": {"app": scene.image("app:3")},
        "fromImages": {"app": scene.image("app:1")},
        "options": ALL_AT_ONCE,
        "commit": {"liveUid": live["metadata"]["uid"], "revision": 1},
        **more,
    }


def known(scene: Scene) -> Object:
    """That the pods run what they run is no surprise to it."""
    return {"displaced": [{"app": scene.image("app:1")}]}


def put(scene: Scene, run: Object, name: str = LEASE) -> None:
    meta = {"labels": {"app.kubernetes.io/managed-by": "inplace"}, "annotations": {"inplace.dev/run": json.dumps(run)}}
    scene.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, **meta}, "spec": {}})


def seen_in_pods(scene: Scene) -> set[str]:
    return {image for event in scene.witness.log() if event.kind == "Pod" for image in images_in(event.object["spec"]).values()}


def check_untouched(scene: Scene) -> None:
    scene.check_same_pods()
    assert seen_in_pods(scene) == {scene.image("app:1")}
    assert images_in(scene.get(WEB)["spec"]["template"]["spec"]) == {"app": scene.image("app:1")}
    assert not scene.get(WEB)["spec"].get("paused")
    assert len(scene.all("rs")) == 1


def test_repair_brings_it_to_no_pod_and_names_its_images(scene: Scene) -> None:
    scene.web(3)
    put(scene, forged(scene))
    foretold = scene.inplace("repair", "--dry-run")
    assert f"app={scene.image('app:3')}" in foretold.stdout, foretold
    repaired = scene.inplace("repair")
    assert f"its commit of app={scene.image('app:3')} is not finished" in repaired.stdout, repaired
    check_untouched(scene)


def test_a_daemon_set_that_never_heard_of_us_is_left_alone(scene: Scene) -> None:
    scene.deploy(daemonset("web", scene.image("app:1"), gate=None), count=2, gate=None)
    found = scene.get("ds/web")
    target = {"kind": "DaemonSet", "namespace": scene.ns, "name": "web"}
    own = {"targetUid": found["metadata"]["uid"], "strategy": found["spec"]["updateStrategy"], "commit": {}}
    run = {"v": 1, "id": "evil", "target": target, "images": {"app": scene.image("app:3")}, "options": ALL_AT_ONCE, **own}
    put(scene, run, "inplace-daemonset-web")
    repaired = scene.inplace("repair")
    assert "left as it is: the stored run is none of ours: a DaemonSet has no commit of its own" in repaired.stdout, repaired
    assert scene.get("ds/web")["spec"] == found["spec"]
    assert seen_in_pods(scene) == {scene.image("app:1")}


@pytest.mark.parametrize("more", ["a commit", "another container", "what was before"])
def test_an_upgrade_goes_to_its_own_images_alone(scene: Scene, more: str) -> None:
    scene.web(3)
    open_run = {"commit": None, "images": {"app": scene.image("app:1"), "side": "evil"}}
    before = {"commit": None, "fromImages": {"app": scene.image("app:3")}, **known(scene)}
    put(scene, forged(scene, **{"a commit": {}, "another container": open_run, "what was before": before}[more]))
    scene.upgrade("--max-unavailable", "1", app="app:2")
    scene.check(upgraded=3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=3)
    assert seen_in_pods(scene) == {scene.image("app:1"), scene.image("app:2")}
    undone = scene.inplace("undo", "deploy/web")
    assert undone.code == 0, undone
    assert scene.image("app:3") not in seen_in_pods(scene)


@pytest.mark.parametrize("commit", [True, False])
def test_a_rollout_goes_to_its_own_images_alone(scene: Scene, commit: bool) -> None:
    """Also one whose run somebody calls by its name."""
    rollouts = Rollouts(scene)
    scene.web(3)
    made = rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    run = forged(scene, id=made["metadata"]["uid"].replace("-", "")[:12])
    put(scene, run if commit else {**run, "commit": None})
    rollouts.control()
    rollouts.until("up", "Succeeded")
    scene.check(upgraded=3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=3)
    assert seen_in_pods(scene) == {scene.image("app:1"), scene.image("app:2")}


def test_abort_goes_back_to_nothing_that_only_the_lease_knows(scene: Scene) -> None:
    scene.web(3)
    put(
        scene,
        forged(
            scene, commit=None, images={"app": scene.image("app:2")}, fromImages={"app": scene.image("app:3")}, **known(scene)
        ),
    )
    aborted = scene.inplace("abort", "deploy/web")
    assert aborted.code == 5, aborted
    assert f"nothing in its history knows app={scene.image('app:3')}" in aborted.stderr
    check_untouched(scene)


def test_resume_names_the_images_first(scene: Scene) -> None:
    """Whoever says that it is to go on decides by that."""
    scene.web(2)
    put(scene, forged(scene, commit=None, outcome="Paused", options={"settleSeconds": 1}, images={"app": scene.image("app:2")}))
    resumed = scene.inplace("resume", "deploy/web")
    assert f"going on with run evil to app={scene.image('app:2')}" in resumed.stderr, resumed


@pytest.mark.parametrize("who", ["repair", "upgrade", "rollout"])
def test_a_run_for_elsewhere_is_none(scene: Scene, who: str) -> None:
    """Nothing is asked of that namespace, or of that Lease."""
    scene.web(2)
    target = {"kind": "Deployment", "namespace": "elsewhere", "name": "web"}
    put(scene, forged(scene, target=target))
    says = "the stored run is none of ours: it is for namespace 'elsewhere'"
    if who == "rollout":
        rollouts = Rollouts(scene)
        rollouts.control()
        rollouts.apply("up", app="app:2")
        assert says in rollouts.until("up", "Refused")["message"]
    else:
        words = ("repair",) if who == "repair" else scene.command(app="app:2")
        told = scene.inplace(*words)
        assert told.code == (1 if who == "repair" else 5), told
        assert says in told.stdout + told.stderr
    check_untouched(scene)


def test_a_pod_in_flight_is_finished_on_the_image_that_it_has(scene: Scene) -> None:
    """By `repair`, whatever the Lease says that it is to run."""
    scene.web(2)
    scene.killed_at(r"PATCH .*/pods/[^/ ]+ ", 1, "after", *scene.command("--max-unavailable", "1", app="app:2"))
    lease = scene.get(f"lease/{LEASE}")
    run = {**json.loads(lease["metadata"]["annotations"]["inplace.dev/run"]), "images": {"app": scene.image("app:3")}}
    scene.annotate(f"lease/{LEASE}", {"inplace.dev/run": json.dumps(run)})
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    scene.check_no_orphans()
    assert seen_in_pods(scene) == {scene.image("app:1"), scene.image("app:2")}
    assert all(condition(p, GATE) == "True" for p in scene.pods())
