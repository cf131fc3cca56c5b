"""Manifests are brought to a cluster by server-side apply: what changes, what is kept, and what is refused before."""

from __future__ import annotations

import pytest

from inplace.kube.errors import ApiError
from inplace.kube.protocols import Request, Response
from inplace.kube.resources import NAMESPACES
from inplace.runtime.install.apply import apply, existing
from inplace.runtime.manifests import CONFIG_MAPS, Manifest
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.unit.kube.fakes import refusal
from tests.unit.runtime.install.manifests import ALL, NAMESPACE, SETTINGS, manifest


def changes(world: SimulatedCluster, *manifests: Manifest, dry_run: bool = False) -> list[str]:
    return [applied.change for applied in apply(world.api, manifests, dry_run=dry_run)]


def test_applying_again_changes_nothing_and_keeps_settings(world: SimulatedCluster) -> None:
    assert changes(world, *ALL) == ["created"] * 3
    assert changes(world, *ALL) == ["unchanged", "unchanged", "kept"]
    edited = manifest("ServiceAccount", "inplace-controller", automountServiceAccountToken=False)
    assert changes(world, edited) == ["configured"]
    owned = manifest("ConfigMap", "inplace-controller", data={"config.yaml": "other\n"})
    assert changes(world, owned) == ["kept"]
    stored = existing(world.api, owned)
    assert stored is not None
    assert stored["data"] == SETTINGS.body["data"]


def test_a_dry_run_creates_nothing(world: SimulatedCluster) -> None:
    assert changes(world, *ALL, dry_run=True) == ["created"] * 3
    assert existing(world.api, NAMESPACE) is None


def test_a_refusal_names_the_object_in_words(world: SimulatedCluster) -> None:
    def refuse(request: Request) -> Response | None:
        message = "user cannot bind: not currently held"
        return refusal(403, message, "Forbidden") if request.method == "PATCH" else None

    world.transport.interfere = refuse
    with pytest.raises(ApiError, match=r"^namespace/inplace-system: you can only give rights that you have yourself"):
        changes(world, NAMESPACE)


def test_a_kind_that_the_cluster_does_not_serve_is_named(world: SimulatedCluster) -> None:
    role = manifest("ClusterRole", "inplace")
    with pytest.raises(ApiError, match=r"this cluster knows no ClusterRole \(rbac"):
        changes(world, role)
    assert NAMESPACES is NAMESPACE.resource
    assert CONFIG_MAPS is SETTINGS.resource
