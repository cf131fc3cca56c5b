"""Pods as a plain `kubectl create deployment` makes them, without gate or probe: upgraded if asked, and nothing is claimed."""

from __future__ import annotations

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.manifests import container, deployment, pod, replicaset, service
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.at_rest

HOW_TO = "add `readinessGates: [{conditionType: inplace.dev/ready}]`"
DRAINED = ("Closing", "Settling", "Services web", "drain  ", "still closed")
"""What would claim a drain."""


def made(scene: Scene, kind: str) -> list[Object]:
    plain = [container("app", scene.image("app:1"), readiness=False)]
    match kind:
        case "deploy/web":
            return [deployment("web", plain, replicas=2, gate=None)]
        case "rs/web":
            return [replicaset("web", plain, replicas=2, gate=None)]
        case _:
            pods = [pod(name, plain, gate=None) for name in ("a", "b")]
            for one in pods:
                one["metadata"]["labels"] = {"app": "web"}
            return pods


def deploy(scene: Scene, target: str) -> None:
    scene.deploy(*made(scene, target), service("web"), count=2, gate=None)


def check_said(text: str, *words: str) -> None:
    for word in (*words, HOW_TO):
        assert word in text, text
    for claim in DRAINED:
        assert claim not in text, text


@pytest.mark.parametrize("target", ["deploy/web", pytest.param("rs/web", marks=pytest.mark.proof), "pods -l app=web"])
def test_pods_without_gate_are_upgraded_and_nothing_is_claimed(scene: Scene, target: str) -> None:
    deploy(scene, target)
    refused = scene.inplace(*scene.command(target=target, app="app:2"))
    scene.check_refused(refused, 5, "has no readiness gate inplace.dev/ready", HOW_TO, "or say --without-gate")
    command = scene.command("--without-gate", "--max-unavailable", "1", target=target, app="app:2")
    planned = scene.inplace("plan", *command[1:])
    assert planned.code == 0, planned
    nobody = "2 of 2 pods have no gate inplace.dev/ready and are restarted without a drain"
    check_said(planned.stdout + planned.stderr, "waits for  nothing: the pods have no gate, so they are not drained", nobody)
    assert scene.our_writes() == []

    done = scene.inplace(*command)
    assert done.code == 0, done
    check_said(done.stdout + done.stderr, nobody, "2 of 2 pods not drained, without gate inplace.dev/ready")
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 2)
    assert scene.on_image("app:2") == set(scene.before)
    assert not any(annotation(p, RECORD) for p in scene.pods())
    # The image field of a bare pod goes back to who created it; whether a trace of us is left by that write is the server's.
    allowed = (2, 3) if target.startswith("pods") else (2,)
    assert all(scene.witness.writes_by_us(uid) in allowed for uid in scene.before.values())
    scene.witness.check(scene.rules(workload=None, drains=False))
    if target == "deploy/web":
        assert scene.history() == {1: "app:1", 2: "app:2"}
    scene.check_quiet()


@pytest.mark.proof
@pytest.mark.parametrize("target", ["deploy/web", "rs/web", "pods -l app=web"])
def test_a_bad_image_stops_at_the_first_and_is_taken_back(scene: Scene, target: str) -> None:
    deploy(scene, target)
    command = scene.command("--without-gate", "--max-unavailable", "1", target=target, app="app:crash")
    failed = scene.inplace(*command)
    assert failed.code == 1, failed
    assert len(scene.on_image("app:crash")) == 1
    check_said(failed.stdout + failed.stderr, "has not come back", "CrashLoopBackOff")
    back = scene.inplace("abort", *target.split())
    assert back.code == 0, back
    scene.check_same_pods()
    assert scene.on_image("app:1") == set(scene.before)
    assert not any(annotation(p, RECORD) for p in scene.pods())
    assert all(condition(p, "Ready") == "True" for p in scene.pods())


@pytest.mark.proof
def test_a_pod_with_the_gate_among_them_is_drained(scene: Scene) -> None:
    """As while a template that has just got the gate is rolled out by hand."""
    one, other = pod("a", scene.image("app:1")), pod("b", scene.image("app:1"), gate=None)
    for each in (one, other):
        each["metadata"]["labels"] = {"app": "web"}
    scene.create(one, other, service("web"))
    scene.until(lambda: condition(scene.get("pod/a"), "ContainersReady") == "True", "it runs")
    scene.set_gate("a", "True")
    scene.until(lambda: len(scene.endpoints()) == 2 and all(condition(p, "Ready") == "True" for p in scene.pods()), "ready")
    scene.remember()
    done = scene.inplace(*scene.command("--without-gate", "--max-unavailable", "1", target="pods -l app=web", app="app:2"))
    assert done.code == 0, done
    assert "pod/a Settling: drained" in done.stdout
    assert "pod/b Restarting: patching the image; it has no gate and is not drained" in done.stdout
    assert "1 of 2 pods not drained, without gate inplace.dev/ready" in done.stdout
    scene.check_same_pods()
    assert condition(scene.get("pod/a"), "inplace.dev/ready") == "True"
    # Image fields go back to who created the pods; whether a trace of us is left by that write is the server's.
    assert scene.witness.writes_by_us(scene.before["a"]) in (3, 4)
    assert scene.witness.writes_by_us(scene.before["b"]) in (2, 3)
