"""Facts (design, section 4) about what the embedded cluster does not have: admission policies, Endpoints, layers of images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster import Cluster
from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.manifests import GATE, deployment, pod, service
from tests.scenarios.scene import WEB, Scene

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
ADD_GATE = f"""(has(object.spec.readinessGates) ? [] : [JSONPatch{{op: "add", path: "/spec/readinessGates", value: []}}]) + [
  JSONPatch{{op: "add", path: "/spec/readinessGates/-", value: Object.spec.readinessGates{{conditionType: "{GATE}"}}}}]"""
PAUSE = """object.spec.template.spec.containers.map(c, c.image) != oldObject.spec.template.spec.containers.map(c, c.image)
  ? [JSONPatch{op: "add", path: "/spec/paused", value: true}] : []"""


@contextmanager
def policy(scene: Scene, expression: str, group: str, resource: str, operation: str) -> Iterator[None]:
    """A MutatingAdmissionPolicy for this namespace alone."""
    meta = {"metadata": {"name": scene.ns}}
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": [operation], "resources": [resource]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": scene.ns}}
    spec = {
        "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    scene.send("POST", f"{ADMISSION}/mutatingadmissionpolicies", {**meta, "spec": spec})
    scene.send("POST", f"{ADMISSION}/mutatingadmissionpolicybindings", {**meta, "spec": {"policyName": scene.ns}})
    try:
        yield
    finally:
        scene.send("DELETE", f"{ADMISSION}/mutatingadmissionpolicybindings/{scene.ns}")
        scene.send("DELETE", f"{ADMISSION}/mutatingadmissionpolicies/{scene.ns}")


@pytest.mark.since(36)
def test_a_policy_can_add_the_gate_to_new_pods(scene: Scene) -> None:
    """To a list that is there, and where there is none."""
    gates = {"none": None, "other": [{"conditionType": "other"}]}

    def would_get(name: str) -> list[str]:
        made = pod(name, scene.image("app:1"), gate=None)
        if gates[name]:
            made["spec"]["readinessGates"] = gates[name]
        answer = scene.send("POST", scene.path("pod"), made, dryRun="All")
        return [g["conditionType"] for g in answer["spec"].get("readinessGates", [])]

    with policy(scene, ADD_GATE, "", "pods", "CREATE"):
        scene.until(lambda: would_get("none") == [GATE], "the policy is in force")
        assert would_get("other") == ["other", GATE]


@pytest.mark.since(36)
def test_a_policy_can_hold_a_change_of_images(scene: Scene) -> None:
    """`kubectl set image` pauses the Deployment, and no pod is touched. Scaling is not held."""
    scene.web(2)
    with policy(scene, PAUSE, "apps", "deployments", "UPDATE"):

        def would_pause() -> bool:
            body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": scene.image("app:2")}]}}}}
            return bool(scene.patch(WEB, body, dryRun="All")["spec"].get("paused"))

        scene.until(would_pause, "the policy is in force")
        scene.merge(WEB, {"spec": {"replicas": 2, "minReadySeconds": 1}})
        assert "paused" not in scene.get(WEB)["spec"]
        scene.set_images(WEB, app=scene.image("app:2"))
        assert scene.get(WEB)["spec"]["paused"] is True
        scene.stage.let_pass(3)
    scene.check_same_pods()
    assert len(scene.all("rs")) == 1


def test_mirrored_endpoints_go_on_sending_to_a_closed_pod(scene: Scene) -> None:
    """Endpoints written by hand become a slice that names no pod, and says ready whatever the gate says."""
    scene.deploy(pod("a", scene.image("app:1")), count=1)
    subset = {"addresses": [{"ip": scene.ips()["a"]}], "ports": [{"port": 8080}]}
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "hand"}, "subsets": [subset]}
    scene.create(service("hand", selector=None), endpoints)
    scene.until(lambda: len(scene.endpoints()) == 1, "mirrored")
    scene.set_gate("a", "False")
    scene.until(lambda: condition(scene.get("pod/a"), "Ready") == "False", "closed")
    scene.stage.let_pass(2)
    (found,) = scene.endpoints()
    assert found["conditions"].get("ready") is True
    assert "targetRef" not in found


def test_a_pod_that_cannot_start_tells_if_an_image_was_pulled(scene: Scene) -> None:
    """A command that does not exist: StartError with an imageID means pulled. No shell is needed in the image."""
    node = scene.send("GET", "/api/v1/nodes")["items"][0]["metadata"]["name"]

    def pulls(name: str, ref: str) -> Object:
        once = {"name": "pull", "image": scene.image(ref), "command": ["/no/such/command"]}
        scene.create(pod(name, [once], gate=None, nodeName=node, restartPolicy="Never"))

        def status() -> Object:
            (found,) = scene.get(f"pod/{name}")["status"].get("containerStatuses", [{}])
            state = found.get("state", {})
            reason = state.get("terminated", state.get("waiting", {})).get("reason")
            return {**found, "reason": reason} if reason not in (None, "ContainerCreating") else {}

        return scene.until(status, "it ended, or waits")

    pulled, absent = pulls("pulled", "app:4"), pulls("absent", "app:missing")
    assert pulled["reason"] == "StartError"
    assert "sha256:" in pulled["imageID"]
    assert (absent["reason"], absent["imageID"]) in (("ErrImagePull", ""), ("ImagePullBackOff", ""))


def test_an_undo_brings_annotations_back(cluster: Cluster, scene: Scene) -> None:
    """Those of the ReplicaSet that `kubectl rollout undo` goes back to: why the run is not kept on the Deployment."""
    scene.create(deployment("web", scene.image("app:1"), replicas=0))
    scene.until(lambda: len(scene.all("rs")) == 1, "its ReplicaSet")
    scene.annotate(WEB, {"example/a": "1"})
    scene.until(lambda: scene.all("rs")[0]["metadata"]["annotations"].get("example/a") == "1", "copied")
    scene.annotate(WEB, {"example/a": None})
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until(lambda: len(scene.all("rs")) == 2, "a second ReplicaSet")
    cluster.kubectl("-n", scene.ns, "rollout", "undo", WEB)
    assert scene.get(WEB)["metadata"]["annotations"].get("example/a") == "1"
