"""Objects and annotations that somebody has made to hurt us: each costs itself alone."""

from __future__ import annotations

import json

import pytest

from tests.deep import with_deep_fields
from tests.recorder import Object
from tests.recorder.log import HOLDS, RECORD, condition
from tests.scenarios.manifests import GATE, pod, service
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import LEASE, Scene

DEEP = "[" * 3000 + "]" * 3000
PLACES = {
    "Service": ("/api/v1/namespaces/{ns}/services", service("deep")),
    "Pod": ("/api/v1/namespaces/{ns}/pods", pod("deep", "app:1", gate=GATE)),
    "Lease": (
        "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
        {"metadata": {"name": "deep", "labels": {"app.kubernetes.io/managed-by": "inplace"}}, "spec": {}},
    ),
    "InPlaceRollout": (
        "/apis/inplace.dev/v1alpha1/namespaces/{ns}/inplacerollouts",
        {"metadata": {"name": "deep"}, "spec": {"target": {"kind": "Deployment", "name": "none"}}},
    ),
    "ControllerRevision": ("/apis/apps/v1/namespaces/{ns}/controllerrevisions", {"metadata": {"name": "deep"}, "revision": 1}),
}
VERSIONS = {"Lease": "coordination.k8s.io/v1", "InPlaceRollout": "inplace.dev/v1alpha1", "ControllerRevision": "apps/v1"}


def bomb(scene: Scene, kind: str, levels: int = 1500) -> None:
    """As its author may write it who has no other right."""
    path, obj = PLACES[kind]
    whole: Object = {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, **obj}
    code, answer = scene.stage.request("POST", path.format(ns=scene.ns), with_deep_fields(whole, levels))
    assert code == 201, answer


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.sampled) for kind in PLACES])
def test_an_object_that_nests_deep_stops_nobody(scene: Scene, kind: str) -> None:
    """Of a watch that goes on, of the list of one that begins, and of a command."""
    rollouts = Rollouts(scene)
    scene.web(2)
    rollouts.control()
    scene.run_gates()
    bomb(scene, kind)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    rollouts.until("up", "Succeeded")
    scene.check(upgraded=2)
    scene.create(pod("later", scene.image("app:1"), gate=GATE))
    scene.until(lambda: condition(scene.get("pod/later"), GATE) == "True", "the gates are kept")
    scene.delete("pod/later")
    scene.remember()
    scene.upgrade("--max-unavailable", "1", app="app:3")
    scene.check(upgraded=2)
    listed = scene.inplace("list")
    assert listed.code == 0, listed


def test_revisions_and_fields_as_deep_as_a_server_takes(scene: Scene) -> None:
    scene.web(2)
    for kind in ("Service", "Pod", "ControllerRevision"):
        bomb(scene, kind, 9000)
    scene.upgrade("--max-unavailable", "1", app="app:2")
    scene.check(upgraded=2)


@pytest.mark.parametrize("annotation", [RECORD, HOLDS, "inplace.dev/run"])
def test_an_annotation_that_nests_deep_is_named_and_the_others_go_on(scene: Scene, annotation: str) -> None:
    scene.web(2)
    scene.killed_at(r"PATCH .*/pods/[^/]+/status", 1, "after", *scene.command("--max-unavailable", "1", app="app:2"))
    if annotation == "inplace.dev/run":
        bad = json.dumps({"id": "a", "target": {}, "images": {}})[:-1] + f',"strategy":{{"x":{DEEP}}}}}'
        lease = {"name": "inplace-deployment-bad", "labels": {"app.kubernetes.io/managed-by": "inplace"}}
        body = {"metadata": {**lease, "annotations": {annotation: bad}}, "spec": {}}
        scene.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body})
        where = "Lease inplace-deployment-bad"
    else:
        made = pod("bad", scene.image("app:1"), gate=GATE)
        made["metadata"]["annotations"] = {
            annotation: f'{{"run":"a","lease":"b","fromImages":{{}},"toImages":{{}},"x":{DEEP}}}'
        }
        scene.create(made)
        where = "pod/bad"
    repaired = scene.inplace("repair")
    is_left = annotation != HOLDS
    assert repaired.code == is_left, repaired
    assert (f"{where} in {scene.ns}: left as it is" in repaired.stdout) == is_left, repaired
    scene.check_no_orphans() if annotation == "inplace.dev/run" else None
    listed = scene.inplace("list")
    assert (listed.code, LEASE in listed.stdout or "deploy/web" in listed.stdout) == (0, True), listed
    if where == "pod/bad":
        assert scene.inplace("status", "pod/bad").code == 0
        asked = scene.inplace("upgrade", "pod/bad", f"app={scene.image('app:2')}", "--settle", "1s")
        assert asked.code == (5 if is_left else 0), asked
    scene.upgrade("--max-unavailable", "1", app="app:2")
