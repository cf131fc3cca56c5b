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
    "ControllerRevision": (
        "/apis/apps/v1/namespaces/{ns}/controllerrevisions",
        {"metadata": {"name": "deep"}, "revision": 1, "data": {"spec": "HERE"}},
    ),
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
def test_a_deeply_nested_annotation_is_named_and_others_go_on(scene: Scene, annotation: str) -> None:
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


WISHES = {
    "selector-of-brackets": {"kind": "Pods", "selector": "((("},
    "selector-of-commas": {"kind": "Pods", "selector": "a=b,,c"},
    "selector-of-keys": {"kind": "Pods", "selector": "@@=1"},
}


@pytest.mark.parametrize("name", WISHES)
def test_a_selector_that_is_none_is_refused_and_can_be_deleted(scene: Scene, name: str) -> None:
    rollouts = Rollouts(scene)
    rollouts.control()
    images = [{"container": "app", "image": "app:2"}]
    body = {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": {"name": name}}
    scene.create({**body, "spec": {"target": WISHES[name], "images": images}})
    assert "is no label selector" in rollouts.until(name, "Refused")["message"]
    scene.delete(f"ipr/{name}")
    scene.until(lambda: scene.find(f"ipr/{name}") is None, "it is gone")


@pytest.mark.parametrize("target", [{"kind": "Deployment", "name": "a/../b"}, {"kind": "Pods", "podNames": ["a/b"]}])
def test_a_name_that_leads_elsewhere_is_not_stored(scene: Scene, target: Object) -> None:
    Rollouts(scene)
    spec = {"target": target, "images": [{"container": "app", "image": "app:2"}]}
    body = {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": {"name": "x"}, "spec": spec}
    path = f"/apis/inplace.dev/v1alpha1/namespaces/{scene.ns}/inplacerollouts"
    code, answer = scene.stage.request("POST", path, body)
    assert (code, "should match" in answer["message"]) == (422, True), answer


def test_a_name_of_140_kb_is_kept_short(scene: Scene) -> None:
    """Beside what a Lease must hold, which bears 256 KiB of annotations."""
    rollouts = Rollouts(scene)
    scene.web(2)
    rollouts.control()
    spec = {"target": {"kind": "Deployment", "name": "web"}, "images": [{"container": "app", "image": scene.image("app:2")}]}
    meta = {"name": "up", "annotations": {"inplace.dev/by": "b" * 140_000}}
    scene.create({"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": meta, "spec": spec})
    rollouts.until("up", "Succeeded")
    annotations = scene.get(f"lease/{LEASE}")["metadata"]["annotations"]
    assert sum(len(text) for text in annotations.values()) < 10_000
