"""What `inplace install` applies is deploy/, rendered; that it is so to the letter is told by kubectl, in tests/e2e."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inplace import __version__
from inplace.cli.admin.gate import run
from inplace.kube.resources import DEPLOYMENTS
from inplace.runtime.manifests import (
    CONFIG_MAPS,
    CONTROLLER,
    CRDS,
    OURS,
    SYSTEM_NAMESPACE,
    Manifest,
    definitions,
    manifests,
    settings_of,
    with_image,
)
from inplace.runtime.settings import DEFAULT_RULE, parse_settings

DEPLOY = Path(__file__).parents[3] / "deploy"
SCOPES = pytest.mark.parametrize("namespace", [None, "shop"])


def documents(*files: str) -> list[dict[str, Any]]:
    return [document for file in files for document in yaml.safe_load_all((DEPLOY / file).read_text())]


def rules(found: tuple[Manifest, ...]) -> dict[str, Any]:
    return {manifest.name: manifest.body["rules"] for manifest in found if manifest.body["kind"] in ("Role", "ClusterRole")}


def controller(found: tuple[Manifest, ...]) -> dict[str, Any]:
    (deployment,) = [manifest.body for manifest in found if manifest.resource is DEPLOYMENTS]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def test_the_rendered_files_follow_their_sources() -> None:
    base = documents(*(f"base/{who}-role.yaml" for who in ("controller", "user", "viewer")))
    wanted = {document["metadata"]["name"]: document["rules"] for document in base if document["kind"] == "Role"}
    in_cluster = rules(manifests())
    assert in_cluster.pop("inplace-leader-viewer") == documents("overlays/cluster/leader-role.yaml")[0]["rules"]
    assert rules(manifests("shop")) == in_cluster == wanted
    (definition,) = definitions()
    assert definition.body["spec"] == documents("crds/inplace.dev_inplacerollouts.yaml")[0]["spec"]


def test_for_a_namespace_nothing_is_cluster_wide() -> None:
    found = manifests("shop")
    assert {manifest.namespace for manifest in found} == {"shop"}
    assert [str(one) for one in found if "Cluster" in one.body["kind"] or "namespace" in one.body["metadata"]] == []
    assert "--all-namespaces" not in controller(found)["containers"][0]["args"]


def test_for_the_cluster_everything_has_a_namespace_of_its_own() -> None:
    found = manifests()
    assert found[0].name == SYSTEM_NAMESPACE
    assert found[0].body["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {manifest.namespace for manifest in found} == {SYSTEM_NAMESPACE, ""}
    assert found.index(definitions()[0]) == 1
    assert "--all-namespaces" in controller(found)["containers"][0]["args"]


@SCOPES
def test_all_are_labelled_as_ours_so_that_uninstall_knows_them(namespace: str | None) -> None:
    key, value = OURS
    assert [str(one) for one in manifests(namespace) if one.body["metadata"].get("labels", {}).get(key) != value] == []
    assert len({str(one) for one in manifests(namespace)}) == len(manifests(namespace))


@SCOPES
def test_the_image_is_ours_of_this_version_or_the_one_given(namespace: str | None) -> None:
    found = manifests(namespace)
    assert [c["image"] for c in controller(found)["containers"]] == [f"inplace:{__version__}"]
    other = with_image(found, "registry.example/inplace:dev")
    assert [c["image"] for c in controller(other)["containers"]] == ["registry.example/inplace:dev"]
    assert [c["image"] for c in controller(found)["containers"]] == [f"inplace:{__version__}"]


@SCOPES
def test_two_run_with_the_least_rights(namespace: str | None) -> None:
    found = manifests(namespace)
    spec = controller(found)
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/livez", "/readyz"}
    kinds = {manifest.body["kind"]: manifest.body for manifest in found if manifest.name == CONTROLLER}
    assert kinds["Deployment"]["spec"]["replicas"] == 2
    assert kinds["PodDisruptionBudget"]["spec"]["selector"] == kinds["Deployment"]["spec"]["selector"]


def test_the_gate_manifest_runs_two_openers_with_few_rights() -> None:
    found = {document["kind"]: document for document in documents("gate.yaml")}
    key, value = OURS
    assert [kind for kind, document in found.items() if document["metadata"]["labels"].get(key) != value] == []
    assert "namespace" not in found["Deployment"]["metadata"]
    spec = found["Deployment"]["spec"]["template"]["spec"]
    (container,), base = spec["containers"], controller(manifests("shop"))
    same = ("securityContext", "ports", "startupProbe", "livenessProbe", "readinessProbe", "image")
    assert [one for one in same if container[one] != base["containers"][0][one]] == []
    assert spec["securityContext"] == base["securityContext"]
    assert spec["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]
    assert container["resources"].keys() == {"requests", "limits"}
    assert found["Deployment"]["spec"]["replicas"] == 2
    assert found["PodDisruptionBudget"]["spec"]["selector"] == found["Deployment"]["spec"]["selector"]
    assert found["Deployment"]["spec"]["selector"] != controller_budget()


def controller_budget() -> Any:
    (budget,) = [one.body for one in manifests("shop") if one.body["kind"] == "PodDisruptionBudget"]
    return budget["spec"]["selector"]


def test_what_the_manifest_runs_is_a_command() -> None:
    (container,) = next(d for d in documents("gate.yaml") if d["kind"] == "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    gate, run_, *words = container["args"]
    assert (gate, run_) == ("gate", "run")
    assert run.make_context("run", words, help_option_names=["-h", "--help"]).params["listen"] == ":8080"


@SCOPES
def test_its_settings_are_understood(namespace: str | None) -> None:
    (manifest,) = [one for one in manifests(namespace) if one.resource is CONFIG_MAPS]
    assert parse_settings(settings_of(manifest, None)).rules() == (DEFAULT_RULE,)


def test_the_crd_stays_apart_from_what_one_namespace_needs() -> None:
    assert [one for one in manifests("shop") if one.resource is CRDS] == []
