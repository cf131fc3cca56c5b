"""What the API server does with a write: facts that the executor is built on (design, section 4), on both clusters."""

from __future__ import annotations

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import JSON_PATCH
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import GATE, deployment, pod
from tests.scenarios.objects import ApiRefused
from tests.scenarios.scene import WEB, Scene

FIELD = "f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"app"}'


def one_pod(scene: Scene) -> Object:
    """Pod a, Ready behind its gate."""
    scene.deploy(pod("a", scene.image("app:1")), count=1)
    return scene.get("pod/a")


def of_type(obj: Object, kind: str) -> list[str]:
    return [c["status"] for c in obj["status"]["conditions"] if c["type"] == kind]


def test_a_status_patch_persists_metadata_but_no_spec(scene: Scene) -> None:
    before = one_pod(scene)
    body = {
        "metadata": {"annotations": {"example/record": "x"}},
        "spec": {"containers": [{"name": "app", "image": scene.image("app:2")}]},
        "status": {"conditions": [{"type": GATE, "status": "False"}]},
    }
    after = scene.patch("pod/a/status", body)
    assert after["metadata"]["annotations"]["example/record"] == "x"
    assert of_type(after, GATE) == ["False"]
    assert images_in(after["spec"]) == images_in(before["spec"])
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_a_strategic_merge_merges_conditions_by_type(scene: Scene) -> None:
    before = one_pod(scene)
    after = scene.set_gate("a", "False")
    kinds = [c["type"] for c in before["status"]["conditions"]]
    assert sorted(kinds) == sorted(c["type"] for c in after["status"]["conditions"])
    assert {k: of_type(before, k) for k in kinds if k != GATE} == {k: of_type(after, k) for k in kinds if k != GATE}


def test_a_json_patch_doubles_a_condition_and_the_first_counts(scene: Scene) -> None:
    one_pod(scene)
    entry = {"type": GATE, "status": "False", "lastTransitionTime": None}
    after = scene.patch("pod/a/status", [{"op": "add", "path": "/status/conditions/-", "value": entry}], JSON_PATCH)
    assert of_type(after, GATE) == ["True", "False"]
    scene.stage.let_pass(3)
    assert condition(scene.get("pod/a"), "Ready") == "True"


def test_another_uid_is_422_and_another_version_409(scene: Scene) -> None:
    found = one_pod(scene)
    for path in ("pod/a", "pod/a/status"):
        with pytest.raises(ApiRefused, match="field is immutable") as uid:
            scene.patch(path, {"metadata": {"uid": "other", "annotations": {"a": "1"}}})
        assert uid.value.code == 422
        with pytest.raises(ApiRefused, match="has been modified") as version:
            scene.patch(path, {"metadata": {"resourceVersion": "1", "annotations": {"a": "1"}}})
        assert version.value.code == 409
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    with pytest.raises(ApiRefused) as deleted:
        scene.send("DELETE", scene.path("pod", "a"), options)
    assert deleted.value.code == 409
    assert scene.get("pod/a") == found


def test_both_preconditions_that_match_are_no_change(scene: Scene) -> None:
    """And a write that changes nothing makes no version."""
    scene.create(pod("a", scene.image("app:1"), nodeName="nowhere"))
    meta = scene.get("pod/a")["metadata"]
    same = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "labels": meta["labels"]}
    assert scene.patch("pod/a", {"metadata": same})["metadata"] == meta


def test_readiness_gates_cannot_be_changed_on_a_living_pod(scene: Scene) -> None:
    one_pod(scene)
    for body in ([{"conditionType": GATE}, {"conditionType": "other"}], [{"conditionType": "other"}]):
        with pytest.raises(ApiRefused, match="pod updates may not change fields other than") as refused:
            scene.merge("pod/a", {"spec": {"readinessGates": body}})
        assert refused.value.code == 422


def test_what_raises_a_generation(scene: Scene) -> None:
    """Of a pod: its spec. Of a Deployment its annotations too, and they are copied to its ReplicaSet."""
    generation = one_pod(scene)["metadata"]["generation"]
    scene.annotate("pod/a", {"example/a": "1"})
    scene.label("pod/a", extra="1")
    assert scene.get("pod/a")["metadata"]["generation"] == generation
    assert scene.set_images("pod/a", app=scene.image("app:2"))["metadata"]["generation"] == generation + 1

    scene.create(deployment("web", scene.image("app:1"), replicas=0))
    scene.until(lambda: len(scene.all("rs")) == 1, "its ReplicaSet")
    generation = scene.get(WEB)["metadata"]["generation"]
    scene.label(WEB, extra="1")
    assert scene.get(WEB)["metadata"]["generation"] == generation
    scene.annotate(WEB, {"example/a": "1"})
    assert scene.get(WEB)["metadata"]["generation"] == generation + 1
    scene.until(lambda: scene.all("rs")[0]["metadata"]["annotations"].get("example/a") == "1", "it is copied")
    assert scene.all("rs")[0]["metadata"]["generation"] == 1


def test_a_patched_image_is_the_patchers_and_can_be_given_back(scene: Scene) -> None:
    """Their next apply conflicts, until the field is given back by a JSON Patch on managedFields: no new generation."""

    def apply(ref: str) -> Object:
        return scene.apply(deployment("web", scene.image(ref), replicas=0), "gitops")

    apply("app:1")
    scene.patch(WEB, template_image(scene.image("app:2")), fieldManager="upgrader")
    with pytest.raises(ApiRefused, match='conflict with "upgrader"') as refused:
        apply("app:1")
    assert refused.value.code == 409
    apply("app:2")  # the same value is no conflict
    assert owners(scene.get(WEB)) == {"gitops", "upgrader"}
    with pytest.raises(ApiRefused, match='conflict with "upgrader"'):
        apply("app:3")

    generation = scene.get(WEB)["metadata"]["generation"]

    def give_back() -> Object:
        """Again where its controller has written the status meanwhile: that is another version."""
        meta = scene.get(WEB)["metadata"]
        kept = [e for e in meta["managedFields"] if e["manager"] != "upgrader"]
        body = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        ]
        return scene.patch(WEB, body, JSON_PATCH, fieldManager="upgrader")

    given = scene.until(give_back, "the field is given back")
    assert given["metadata"]["generation"] == generation
    assert owners(given) == {"gitops"}
    assert images_in(apply("app:3")["spec"]["template"]["spec"]) == {"app": scene.image("app:3")}


def template_image(image: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}


def owners(workload: Object) -> set[str]:
    """Of the image."""
    found = set()
    for entry in workload["metadata"]["managedFields"]:
        fields = entry.get("fieldsV1", {})
        for key in FIELD:
            fields = fields.get(key, {})
        if "f:image" in fields:
            found.add(entry["manager"])
    return found


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    before = one_pod(scene)
    would = scene.patch("pod/a", {"metadata": {"annotations": {"a": "1"}}}, dryRun="All")
    assert would["metadata"]["annotations"]["a"] == "1"
    assert scene.get("pod/a") == before
    with pytest.raises(ApiRefused) as refused:
        scene.patch("pod/a", {"metadata": {"uid": "other"}}, dryRun="All")
    assert refused.value.code == 422


def test_a_delete_with_a_body_is_dry_only_by_the_body(scene: Scene) -> None:
    before, path = one_pod(scene), scene.path("pod", "a")
    scene.send("DELETE", path, dryRun="All")
    scene.send("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
    assert scene.get("pod/a") == before
    scene.send("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1"}, dryRun="All")
    gone = scene.find("pod/a")
    assert gone is None or "deletionTimestamp" in gone["metadata"]


def test_annotations_may_have_256_kib_in_all_counted_in_bytes(scene: Scene) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "full"}, "spec": {}}
    limit = 256 * 1024
    lease["metadata"] = {"name": "full", "annotations": {"k": "x" * (limit - 1)}}
    scene.create(lease)
    text = f'"full" is invalid: metadata.annotations: Too long: may not be more than {limit} bytes'
    for more in ({"k": "x" * limit}, {"k": "x" * (limit - 1), "l": ""}, {"k": "é" * (limit // 2)}):
        with pytest.raises(ApiRefused, match=text):
            scene.patch("lease/full", {"metadata": {"annotations": more}})
