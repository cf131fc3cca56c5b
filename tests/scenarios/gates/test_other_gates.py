"""Pods with a second gate, such as a load balancer's, which opens late or never; and pods that eat the budget, by name."""

import signal
from collections.abc import Callable

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import GATE, deployment, service, statefulset
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.sampled

OTHER = "example.com/lb"


def deploy(scene: Scene, replicas: int = 3) -> None:
    made = deployment("web", scene.image("app:1"), replicas=replicas)
    made["spec"]["template"]["spec"]["readinessGates"].append({"conditionType": OTHER})
    scene.create(made, service("web"))
    scene.until(lambda: len(scene.pods()) == replicas, "the pods are there")
    for pod in scene.pods():
        scene.set_gate(pod["metadata"]["name"], "True", OTHER)
    scene.open_gates()
    scene.until_all_serve()
    scene.until(lambda: sum(bool(e["conditions"].get("ready")) for e in scene.endpoints()) == replicas, "they are endpoints")
    scene.stage.let_pass(3)
    scene.remember()


def follow(scene: Scene, wanted: Callable[[Object], str]) -> None:
    """As its controller would, once."""
    for pod in scene.pods():
        status = wanted(pod)
        if condition(pod, OTHER) != status:
            scene.set_gate(pod["metadata"]["name"], status, OTHER)


def as_ours(pod: Object) -> str:
    is_open = condition(pod, GATE) == "True" and condition(pod, "ContainersReady") == "True"
    return "True" if is_open else "False"


def test_a_gate_that_opens_late_is_waited_for(scene: Scene) -> None:
    """It closes with ours, and opens when its controller gets round to it."""
    deploy(scene)
    run = scene.stage.start(*scene.command("--max-unavailable", "1", app="app:2"))

    def done() -> bool:
        follow(scene, as_ours)
        return len(scene.on_image("app:2")) == 3 and all(condition(p, "Ready") == "True" for p in scene.pods())

    scene.until(done, "every pod is upgraded", 240, every=2)
    ended = run.wait()
    assert ended.code == 0, ended
    scene.check_same_pods()
    scene.check(upgraded=3, writes=None)


def test_a_gate_that_is_written_all_the_time_loses_no_condition(scene: Scene) -> None:
    """Its controller writes five times a second, between any two steps of ours."""
    deploy(scene)
    run = scene.stage.start(*scene.command("--max-unavailable", "1", app="app:2"))
    written: list[float] = []

    def done() -> bool:
        if written and scene.stage.now() < written[-1] + 0.2:
            return False
        written.append(scene.stage.now())
        for pod in scene.pods():
            beat = {"type": OTHER, "status": as_ours(pod), "message": str(len(written))}
            scene.patch(f"pod/{pod['metadata']['name']}/status", {"status": {"conditions": [beat]}})
            types = [c["type"] for c in pod["status"]["conditions"] if c["type"] in (GATE, OTHER)]
            assert sorted(types) == sorted([GATE, OTHER]), "each is there once"
        return len(scene.on_image("app:2")) == 3 and all(condition(p, "Ready") == "True" for p in scene.pods())

    scene.until(done, "every pod is upgraded", 240)
    ended = run.wait()
    assert ended.code == 0, ended
    scene.check_same_pods()
    scene.check_no_orphans()
    scene.check(upgraded=3, writes=None)  # a write of ours that comes second is sent again


@pytest.mark.parametrize("on_failure", ["pause", "rollback"])
def test_a_gate_that_never_opens_is_named_and_blames_no_image(scene: Scene, on_failure: str) -> None:
    deploy(scene)
    options = ("--max-unavailable", "1", "--restart-timeout", "20s", "--on-failure", on_failure)
    run = scene.stage.start(*scene.command(*options, app="app:2"))
    scene.until_seen(any_closed, "a pod is closed")
    follow(scene, lambda pod: "True" if condition(pod, GATE) == "True" else "False")
    ended = run.wait()
    assert ended.code == 1, ended
    assert f"OtherGateClosed: its containers are ready, and gate {OTHER} is not open (for 20s)" in ended.stdout, ended
    assert len(scene.on_image("app:2")) == 1
    scene.check_same_pods()
    scene.check_no_orphans()


def test_a_pod_that_was_closed_by_hand_is_named_with_the_way_out(scene: Scene) -> None:
    scene.deploy(statefulset("db", scene.image("app:1"), replicas=3, parallel=True), service("db"), count=3)
    scene.set_gate("db-0", "False")
    scene.until(lambda: condition(scene.get("pod/db-0"), "Ready") == "False", "db-0 is out of service")
    scene.until(lambda: sum(e["conditions"].get("ready") is False for e in scene.endpoints()) == 1, "its slice says so")
    run = scene.stage.start(*scene.command("--max-unavailable", "1", target="sts/db", app="app:2"))
    why = f"pod/db-0 was closed by hand (gate {GATE}) (to go on: --max-unavailable 2)"
    scene.until(lambda: why in run.stdout + run.stderr, "it says who holds the budget")
    assert scene.on_image("app:2") == {"db-0"}, "which serves nobody, and goes first"
    run.send(signal.SIGINT)
    run.wait()
    ended = scene.inplace(*scene.command("--max-unavailable", "2", target="sts/db", app="app:2"))
    assert ended.code == 0, ended
    assert condition(scene.get("pod/db-0"), GATE) == "False", "it stays as it was"
    assert len(scene.on_image("app:2")) == 3


def test_a_foreign_slice_never_ready_is_named_and_not_awaited(scene: Scene) -> None:
    scene.web(2)
    pod = scene.pods()[0]
    name = pod["metadata"]["name"]
    ref = {"kind": "Pod", "name": name, "namespace": scene.ns, "uid": pod["metadata"]["uid"]}
    labels = {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "mesh.example"}
    endpoint = {"addresses": [pod["status"]["podIP"]], "conditions": {"ready": False}, "targetRef": ref}
    foreign: Object = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    foreign |= {"metadata": {"name": "foreign", "labels": labels}, "ports": [{"port": 8080}], "endpoints": [endpoint]}
    scene.create(foreign)
    ended = scene.upgrade("--max-unavailable", "1", app="app:2")
    assert f"EndpointSlice foreign (mesh.example) says that pod/{name} is not ready" in ended.said
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
