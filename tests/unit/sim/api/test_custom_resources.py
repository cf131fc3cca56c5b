"""Custom resources, as `deploy/crds` defines ours and as small definitions show the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inplace.sim.objects.structural_schema import causes, completed
from tests.unit.sim.support import APPLY, JSON_PATCH, MERGE, STRATEGIC, Client, Json

CRD: Json = yaml.safe_load((Path(__file__).parents[4] / "deploy/crds/inplace.dev_inplacerollouts.yaml").read_text())
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "/apis/inplace.dev/v1alpha1"
ALL = f"{GROUP}/namespaces/shop/inplacerollouts"
WEB = f"{ALL}/web"
SPEC = {"target": {"kind": "Deployment", "name": "web"}, "images": [{"container": "app", "image": "a:2"}]}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture
def client() -> Client:
    made = Client()
    made.ok("POST", CRDS, CRD)
    made.run(1.0)
    return made


def rollout(**spec: Any) -> Json:
    return {
        "apiVersion": "inplace.dev/v1alpha1",
        "kind": "InPlaceRollout",
        "metadata": {"name": "web"},
        "spec": {**SPEC, **spec},
    }


class TestDefinitions:
    def test_the_kind_is_served_once_it_is_established(self) -> None:
        client = Client()
        assert client.refused("GET", ALL)[0] == 404
        client.ok("POST", CRDS, CRD)
        client.run(1.0)
        crd = client.get(f"{CRDS}/inplacerollouts.inplace.dev")
        assert {c["type"]: c["status"] for c in crd["status"]["conditions"]} == {"NamesAccepted": "True", "Established": "True"}
        assert client.get(ALL)["kind"] == "InPlaceRolloutList"

    def test_it_is_discovered(self, client: Client) -> None:
        (resource, status) = client.get(GROUP)["resources"]
        assert (resource["name"], resource["kind"], resource["shortNames"]) == ("inplacerollouts", "InPlaceRollout", ["ipr"])
        assert (resource["categories"], resource["namespaced"]) == (["inplace"], True)
        assert status["name"] == "inplacerollouts/status"
        assert "inplace.dev" in [group["name"] for group in client.get("/apis")["groups"]]
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        groups = {g["metadata"]["name"]: g["versions"] for g in client.ok("GET", "/apis", accept=accept)["items"]}
        (version,) = groups["inplace.dev"]
        assert (version["version"], version["resources"][0]["categories"]) == ("v1alpha1", ["inplace"])

    def test_each_cluster_serves_its_own(self, client: Client) -> None:
        assert client.get(ALL)["items"] == []
        assert Client().refused("GET", ALL)[0] == 404

    def test_a_changed_definition_changes_its_schema_and_columns(self, client: Client) -> None:
        client.ok("POST", ALL, rollout())
        crd = client.get(f"{CRDS}/inplacerollouts.inplace.dev")
        version = crd["spec"]["versions"][0]
        version["additionalPrinterColumns"] = [{"name": "Pause", "type": "boolean", "jsonPath": ".spec.paused"}]
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["onBusy"]["enum"] = ["Wait"]
        client.ok("PUT", f"{CRDS}/inplacerollouts.inplace.dev", crd)
        client.run(1.0)
        table = client.ok("GET", ALL, accept=TABLE)
        assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Pause"]
        assert table["rows"][0]["cells"] == ["web", False]
        _, message = client.refused("PATCH", WEB, {"spec": {"onBusy": "Refuse"}}, MERGE)
        assert 'Unsupported value: "Refuse": supported values: "Wait"' in message

    def test_with_the_definition_its_objects_go(self, client: Client) -> None:
        client.ok("POST", ALL, rollout())
        lines, _ = client.watch(ALL)
        client.ok("DELETE", f"{CRDS}/inplacerollouts.inplace.dev")
        client.run(1.0)
        assert lines.names() == ["ADDED web", "DELETED web"]
        assert client.refused("GET", ALL)[0] == 404

    def test_with_its_namespace_an_object_goes(self, client: Client) -> None:
        client.ok("POST", ALL, rollout())
        client.ok("DELETE", "/api/v1/namespaces/shop")
        client.run(5.0)
        assert client.get(f"{GROUP}/inplacerollouts")["items"] == []

    def test_what_it_owns_goes_with_it(self, client: Client) -> None:
        owner = client.ok("POST", ALL, rollout())
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "web", "uid": owner["metadata"]["uid"]}
        client.ok("POST", "configmaps", {"metadata": {"name": "owned", "ownerReferences": [reference]}})
        client.ok("DELETE", WEB)
        client.run(5.0)
        assert "owned" not in [cm["metadata"]["name"] for cm in client.all("configmaps")]


class TestObjects:
    def test_defaults_are_filled_in_and_the_unknown_is_dropped(self, client: Client) -> None:
        made = client.ok("POST", ALL, rollout(strategy={"steps": [{"pods": "100%", "pods2": 1}]}, more=1))
        spec = made["spec"]
        assert (spec["gate"], spec["drain"], spec["failure"]) == (
            "inplace.dev/ready",
            {"settleSeconds": 5, "timeoutSeconds": 60},
            {"maxFailed": 0, "action": "Pause"},
        )
        assert spec["strategy"] == {"steps": [{"pods": "100%"}]}
        assert "more" not in spec
        assert (made["metadata"]["generation"], "status" in made) == (1, False)

    def test_generation_rises_with_the_spec_alone(self, client: Client) -> None:
        client.ok("POST", ALL, {**rollout(), "status": {"phase": "Failed"}})
        assert "status" not in client.get(WEB)

        def generation(body: Json, path: str = WEB) -> tuple[int, str | None]:
            made = client.ok("PATCH", path, body, MERGE)
            return made["metadata"]["generation"], (made.get("status") or {}).get("phase")

        assert generation({"metadata": {"labels": {"a": "b"}}}) == (1, None)
        assert generation({"status": {"phase": "Pending"}}, f"{WEB}/status") == (1, "Pending")
        assert generation({"spec": {"paused": True}, "status": {"phase": "Failed"}}) == (2, "Pending")
        assert generation({"spec": {"paused": False}, "status": {"phase": "Waiting"}}, f"{WEB}/status") == (2, "Waiting")
        assert client.get(WEB)["spec"]["paused"] is True

    def test_a_status_is_replaced_as_a_whole_and_metadata_ignored(self, client: Client) -> None:
        obj = client.ok("POST", ALL, rollout())
        obj["metadata"]["annotations"] = {"a": "b"}
        made = client.ok("PUT", f"{WEB}/status", {**obj, "status": {"phase": "Waiting", "message": "m"}})
        assert (made["status"], "annotations" in made["metadata"]) == ({"phase": "Waiting", "message": "m"}, False)
        operation = [{"op": "add", "path": "/status", "value": {"phase": "Refused"}}]
        assert client.ok("PATCH", f"{WEB}/status", operation, JSON_PATCH)["status"] == {"phase": "Refused"}
        assert client.refused("PUT", f"{WEB}/status", obj)[0] == 409
        _, message = client.refused("PATCH", f"{WEB}/status", {"status": {"phase": "Lost"}}, MERGE)
        assert "status.phase: Unsupported value" in message

    def test_patches_of_every_kind(self, client: Client) -> None:
        assert client.ok("PATCH", WEB, rollout(), APPLY, fieldManager="me")["spec"]["gate"] == "inplace.dev/ready"
        applied = client.ok("PATCH", WEB, rollout(paused=True), APPLY, fieldManager="me")
        assert (applied["spec"]["paused"], applied["metadata"]["generation"]) == (True, 2)
        code, message = client.refused("PATCH", WEB, {"spec": {"paused": False}}, STRATEGIC)
        assert (code, "application/merge-patch+json" in message) == (415, True)
        assert client.ok("PATCH", WEB, {"spec": {"paused": False}}, MERGE, dryRun="All")["spec"]["paused"] is False
        assert client.get(WEB)["spec"]["paused"] is True

    def test_what_is_fixed_stays(self, client: Client) -> None:
        client.ok("POST", ALL, rollout())
        for spec, why in (
            ({"target": {"name": "x"}}, "spec.target: Forbidden: the target is fixed"),
            ({"images": None}, "spec.images: Forbidden: images are fixed"),
            ({"images": [{"container": "app", "image": "a:3"}]}, "spec.images: Forbidden: images are fixed"),
            ({"gate": "x"}, "spec.gate: Forbidden: the gate is fixed"),
            ({"undo": {}}, "spec.undo: Forbidden: undo is fixed"),
        ):
            code, message = client.refused("PATCH", WEB, {"spec": spec}, MERGE)
            assert code == 422
            assert why in message
        client.ok("PATCH", WEB, {"spec": {"strategy": {"maxUnavailable": 3}, "minReadySeconds": 1}}, MERGE)

    def test_columns(self, client: Client) -> None:
        client.ok("POST", ALL, rollout())
        client.ok("PATCH", f"{WEB}/status", {"status": {"phase": "Waiting", "updated": 0}}, MERGE)
        client.run(5.0)
        table = client.ok("GET", ALL, accept=TABLE)
        names = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
        counts = ["Desired", "Updated", "Ready", "Draining"]
        assert names == ["Name", "Target", "Image", *counts, "Status", "Message", "Age"]
        assert table["rows"][0]["cells"][:10] == ["web", None, None, None, 0, None, None, "Waiting", None, "5s"]

    def test_a_watch_and_a_selector(self, client: Client) -> None:
        lines, _ = client.watch(ALL, labelSelector="a=b")
        client.ok("POST", ALL, rollout())
        assert lines.names() == []
        client.ok("PATCH", WEB, {"metadata": {"labels": {"a": "b"}}}, MERGE)
        client.ok("DELETE", WEB)
        assert lines.names() == ["ADDED web", "DELETED web"]


SCHEMA: Json = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]*$"},
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "share": {"x-kubernetes-int-or-string": True},
                "on": {"type": "boolean"},
                "how": {"type": "string", "enum": ["A", "B"], "default": "A"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "set": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "x-kubernetes-list-type": "set",
                    "items": {"type": "string"},
                },
                "map": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["k"],
                    "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}},
                },
            },
        }
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "spec.name: Required value"),
        ({"name": ""}, 'spec.name: Invalid value: "": spec.name in body should be at least 1 chars long'),
        ({"name": "toolong"}, "spec.name: Too long: may not be more than 5 bytes"),
        ({"name": "A"}, "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]*$'"),
        ({"name": 1}, 'spec.name: Invalid value: "integer": spec.name in body must be of type string: "integer"'),
        ({"name": None}, "spec.name: Invalid value: null: spec.name in body must be of type string: null"),
        ({"name": "a", "size": 0}, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"name": "a", "size": 10}, "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9"),
        (
            {"name": "a", "size": True},
            'spec.size: Invalid value: "boolean": spec.size in body must be of type integer: "boolean"',
        ),
        (
            {"name": "a", "share": []},
            'spec.share: Invalid value: "array": spec.share in body must be of type integer,string: "array"',
        ),
        ({"name": "a", "on": "x"}, 'spec.on: Invalid value: "string": spec.on in body must be of type boolean: "string"'),
        ({"name": "a", "how": "C"}, 'spec.how: Unsupported value: "C": supported values: "A", "B"'),
        ({"name": "a", "set": []}, "spec.set: Invalid value: 0: spec.set in body should have at least 1 items"),
        ({"name": "a", "set": list("abcd")}, "spec.set: Too many: 4: must have at most 3 items"),
        ({"name": "a", "set": ["x", "x"]}, 'spec.set[1]: Duplicate value: "x"'),
        ({"name": "a", "map": [{"k": "x"}, {"k": "x"}]}, 'spec.map[1]: Duplicate value: {"k":"x"}'),
        ({"name": "a", "map": [{}]}, "spec.map[0].k: Required value"),
        ([], 'spec: Invalid value: "array": spec in body must be of type object: "array"'),
    ],
)  # fmt: skip
def test_each_misfit_is_told_as_the_real_one_does(spec: Any, said: str) -> None:
    assert [f"{path}: {text}" for path, _, text in causes(SCHEMA, {"spec": spec}, None)] == [said]


def test_what_fits() -> None:
    assert causes(SCHEMA, {"spec": {"name": "a", "size": 1, "share": "5%", "set": ["x"], "map": [{"k": "x"}]}}, None) == []
    assert [path for path, _, _ in causes(SCHEMA, {}, None)] == ["spec"]


def test_free_form_is_kept() -> None:
    obj = {"metadata": {"name": "x"}, "spec": {"free": {"a": {"b": 1}}, "labels": {"c": "d"}, "unknown": 1}}
    assert completed(SCHEMA, obj) == {
        "metadata": {"name": "x"},
        "spec": {"free": {"a": {"b": 1}}, "labels": {"c": "d"}, "how": "A"},
    }
