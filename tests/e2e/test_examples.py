"""Every example upgrades, staged, under a controller that has the rights of deploy/ and no more: it takes RBAC to say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.e2e.command import Inplace

PROJECT = Path(__file__).parents[2]
KINDS = ("deployment", "statefulset", "daemonset", "replicaset", "pods")


def applied(cluster: Cluster, ns: str, file: str) -> None:
    """With the test images in place of those that the examples stand for."""
    text = (PROJECT / "examples" / file).read_text()
    for example, image in (("web:", "app:"), ("proxy:", "side:")):
        text = text.replace(f"image: {example}", f"image: {cluster.registry}/{image}")
    cluster.kubectl("-n", ns, "apply", "--server-side", "-f-", input=text)


def found(cluster: Cluster, ns: str, what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(cluster.kubectl("-n", ns, "get", what, "-o", "json"))["items"]
    return items


def phases(cluster: Cluster, ns: str) -> dict[str, str]:
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in found(cluster, ns, "ipr")}


def is_ready(pod: dict[str, Any]) -> bool:
    return {"type": "Ready", "status": "True"}.items() <= next(
        (c for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"), {}
    ).items()


@pytest.fixture
def rights(cluster: Cluster, ns: str) -> str:
    """Who has those of the controller in this namespace."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(PROJECT / "deploy" / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/inplacerollouts.inplace.dev", "--timeout=60s")
    shipped = yaml.safe_load_all((PROJECT / "deploy" / "install-namespace.yaml").read_text())
    for body in shipped:
        if body["kind"] in ("Role", "RoleBinding", "ServiceAccount"):
            cluster.kubectl("-n", ns, "apply", "-f-", input=json.dumps(body))
    who = f"system:serviceaccount:{ns}:inplace-controller"
    can = ("-n", ns, "auth", "can-i", "patch", "inplacerollouts.inplace.dev", "--as", who)
    eventually(lambda: cluster.kubectl(*can, check=False).strip() == "yes", "the controller's rights", 30)
    return who


def test_every_example_is_upgraded_in_its_steps(cluster: Cluster, ns: str, inplace: Inplace, rights: str) -> None:
    inplace.start("controller", "--as", rights, "--listen", "")
    for kind in KINDS:
        applied(cluster, ns, f"{kind}/workload.yaml")
    eventually(
        lambda: len(pods := found(cluster, ns, "pods")) == 10 + 3 + cluster.nodes + 4 + 2 and all(map(is_ready, pods)),
        "all pods serve",
        240,
    )
    before = {pod["metadata"]["uid"] for pod in found(cluster, ns, "pods")}
    for kind in KINDS:
        applied(cluster, ns, f"{kind}/rollout.yaml")

    passed: set[tuple[str, str]] = set()

    def are_done() -> bool:
        for item in found(cluster, ns, "ipr"):
            name, status = item["metadata"]["name"], item.get("status", {})
            at = (name, status.get("step", ""))
            assert status.get("phase") not in ("Failed", "RolledBack", "Aborted", "Refused"), status
            if at[1].startswith("pause") and at not in passed:
                cluster.kubectl("-n", ns, "annotate", "ipr", name, "inplace.dev/request=promote", "--overwrite")
                passed.add(at)
        return set(phases(cluster, ns).values()) == {"Succeeded"}

    eventually(are_done, "every example has succeeded", 400, every=1)
    pods = found(cluster, ns, "pods")
    assert {pod["metadata"]["uid"] for pod in pods} == before
    assert {c["image"].rpartition(":")[2] for pod in pods for c in pod["spec"]["containers"]} == {"2"}
    assert {name for name, _ in passed} == set(phases(cluster, ns))
    cluster.kubectl("-n", ns, "wait", "--for=condition=Ready", "ipr", "--all", "--timeout=5s")
    cluster.kubectl("-n", ns, "delete", "ipr", "--all", "--timeout=60s")
