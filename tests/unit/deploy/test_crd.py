"""The CRD's schema against the structs it is decoded into: same fields, types, values, defaults; and everything bounded."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.images import MAX_NAME_LENGTH, image_problem
from inplace.model.rollout import MAX_LIST_ITEMS, MAX_TEXT_LENGTH, InPlaceRollout, RolloutSpec, RolloutStatus
from tests.unit.deploy.schema import fields, shown
from tests.unit.references import BAD, GOOD

ROOT = Path(__file__).parents[3]
CRD = yaml.safe_load((ROOT / "deploy/crds/inplace.dev_inplacerollouts.yaml").read_text())
(VERSION,) = CRD["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC, STATUS = (SCHEMA["properties"][part] for part in ("spec", "status"))
Json = dict[str, Any]


@pytest.mark.parametrize(("schema", "struct"), [(SPEC, RolloutSpec), (STATUS, RolloutStatus)], ids=["spec", "status"])
def test_the_schema_has_exactly_the_fields_of_the_structs(schema: Json, struct: type) -> None:
    assert fields(schema) == shown(struct)


def test_the_reference_is_made_from_it() -> None:
    """`make reference` writes it."""
    made = subprocess.run([sys.executable, str(ROOT / "docs/crd.py")], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/crd.md").read_text() == made
    assert all(f"`{path.removeprefix('.')}`" in made for path, _ in nodes(SPEC)[1:] if not path.endswith("[]"))


def test_a_difference_would_be_noticed() -> None:
    """Of the comparison itself: each kind of difference makes one."""
    same = fields(SPEC)
    for change in (
        {"paused": {"type": "string"}},
        {"onBusy": {**SPEC["properties"]["onBusy"], "enum": ["Wait"]}},
        {"onBusy": {**SPEC["properties"]["onBusy"], "default": "Refuse"}},
        {"more": {"type": "string"}},
        {"images": {**SPEC["properties"]["images"], "items": {"type": "string"}}},
    ):
        assert fields({**SPEC, "properties": {**SPEC["properties"], **change}}) != same
    assert fields({**SPEC, "required": []}) != same


def test_the_names_are_those_that_we_ask_for() -> None:
    spec, names, r = CRD["spec"], CRD["spec"]["names"], INPLACE_ROLLOUTS
    assert CRD["metadata"]["name"] == f"{r.plural}.{r.group}"
    assert (spec["group"], VERSION["name"], spec["scope"] == "Namespaced") == (r.group, r.version, r.is_namespaced)
    assert (names["kind"], names["plural"], names["singular"]) == (r.kind, r.plural, r.singular)
    assert tuple(names["shortNames"]) == r.short_names
    assert r.type is InPlaceRollout
    assert "status" in VERSION["subresources"]


def nodes(schema: Json, path: str = "") -> list[tuple[str, Json]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    return found + (nodes(schema["items"], f"{path}[]") if "items" in schema else [])


def test_everything_has_a_bound() -> None:
    def is_bounded(schema: Json) -> bool:
        match schema.get("type"):
            case "string":
                return "maxLength" in schema or "enum" in schema
            case "array":
                return "maxItems" in schema and "x-kubernetes-list-type" in schema
            case "integer":
                return "minimum" in schema and "format" in schema
            case "object":
                return "additionalProperties" not in schema and "x-kubernetes-preserve-unknown-fields" not in schema
            case "boolean":
                return True
            case _:
                return "x-kubernetes-int-or-string" in schema and "x-kubernetes-validations" in schema

    assert [path for path, schema in (*nodes(SPEC), *nodes(STATUS)) if not is_bounded(schema)] == []


def test_what_the_status_says_fits() -> None:
    lists = {path: node["maxItems"] for path, node in nodes(STATUS) if "maxItems" in node}
    assert lists == {".conditions": 8, **dict.fromkeys((".inFlight", ".failures", ".steps", ".fromImages"), MAX_LIST_ITEMS)}
    assert SPEC["properties"]["strategy"]["properties"]["steps"]["maxItems"] == MAX_LIST_ITEMS
    said = {path: node["maxLength"] for path, node in nodes(STATUS) if path.endswith(("message", "inFlight[].reason"))}
    assert set(said.values()) == {MAX_TEXT_LENGTH}


def test_every_rule_has_a_message_and_every_field_a_description() -> None:
    for path, node in (*nodes(SPEC), *nodes(STATUS)):
        assert all(rule.get("message") for rule in node.get("x-kubernetes-validations", ())), path
        assert node.get("description") or path.endswith("[]"), path


def test_columns_show_fields_that_exist() -> None:
    columns = VERSION["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Target", "Image", "Desired", "Updated", "Ready", "Draining", "Status", "Message", "Age",
    ]  # fmt: skip
    known = {path for path, _ in nodes(SCHEMA)} | {".metadata.creationTimestamp"}
    assert {c["jsonPath"] for c in columns} <= known


def test_the_crd_takes_the_images_that_a_runtime_takes() -> None:
    image = SPEC["properties"]["images"]["items"]["properties"]["image"]
    rules = [rule["rule"] for rule in image["x-kubernetes-validations"]]
    texts = [re.findall(r"matches\('([^']*)'\)", rule)[0] for rule in rules]
    with warnings.catch_warnings(action="ignore"):  # `[[]` is a bracket to RE2 and to Python
        whole, digest, an_id, pattern = (re.compile(text.replace("$", r"\Z")) for text in (*texts, image["pattern"]))
    for text in (*GOOD, *(bad for bad, _ in BAD)):
        is_taken = bool(whole.search(text)) and ("@" not in text or bool(digest.search(text))) and not an_id.search(text)
        is_short = len(text) <= image["maxLength"] and len(text.partition("@")[0].rpartition(":")[0] or text) <= MAX_NAME_LENGTH
        fits = bool(text) and is_short and bool(pattern.search(text)) and is_taken
        assert fits == (image_problem(text) == ""), text
