"""InPlaceRollouts that another version of us has written: each costs itself alone, says why, and can be deleted."""

from __future__ import annotations

import yaml

from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.facts import any_closed
from tests.scenarios.rollouts import CRD, Rollouts
from tests.scenarios.scene import Scene

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROLLOUTS = "/apis/inplace.dev/v1alpha1/namespaces/{}/inplacerollouts"


def next_version(stage: EmbeddedCluster) -> Rollouts:
    """Its definition is installed, once per cluster; the controller is this one."""
    crd = yaml.safe_load(CRD.read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec["onDelete"]["enum"].append("Keep")
    code, answer = stage.request("POST", CRDS, crd)
    assert code == 201, answer
    return Rollouts(Scene(stage))


def apply_newer(stage: EmbeddedCluster, name: str = "newer") -> None:
    target = {"kind": "Deployment", "name": "web"}
    spec = {"target": target, "images": [{"container": "app", "image": "reg/app:9"}], "onDelete": "Keep"}
    body = {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": {"name": name}, "spec": spec}
    code, answer = stage.request("POST", ROLLOUTS.format(stage.namespace), body)
    assert code == 201, answer


def test_a_rollout_of_the_next_version_is_refused_others_go_on(stage: EmbeddedCluster) -> None:
    rollouts = next_version(stage)
    scene = rollouts.scene
    scene.web(3)
    apply_newer(stage)
    started = rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the first pod is closed")
    apply_newer(stage, "in-the-middle")
    rollouts.until("up", "Succeeded")
    for name in ("newer", "in-the-middle"):
        status = rollouts.until(name, "Refused")
        assert "cannot be read: Invalid enum value 'Keep' - at `$.spec.onDelete`" in status["message"]
        assert {c["type"]: c["status"] for c in status["conditions"]}["Stalled"] == "True"
    assert started.stdout.count("cannot be read") >= 2
    scene.delete("ipr/newer")
    scene.until(lambda: scene.find("ipr/newer") is None, "nothing of ours keeps it")


def test_a_running_rollout_edited_by_the_next_version_goes_on(stage: EmbeddedCluster) -> None:
    rollouts = next_version(stage)
    scene = rollouts.scene
    scene.web(3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the first pod is closed")
    rollouts.edit("up", onDelete="Keep", strategy={"maxUnavailable": 3})
    rollouts.until("up", "Succeeded")
    scene.check(upgraded=3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})


def test_a_rollout_of_the_next_version_deleted_midrun_frees_pods(stage: EmbeddedCluster) -> None:
    rollouts = next_version(stage)
    scene = rollouts.scene
    scene.web(3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the first pod is closed")
    rollouts.edit("up", onDelete="Keep")
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone")
    scene.check_no_orphans()
