"""InPlaceRollouts in an embedded cluster, with the status that a controller would have written."""

from __future__ import annotations

from typing import Any

from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.rollout import InPlaceRollout
from tests.simulation.simulated_cluster import SimulatedCluster

PATH = "/apis/inplace.dev/v1alpha1/namespaces/shop/inplacerollouts"
MERGE = "application/merge-patch+json"


def create_rollout(
    world: SimulatedCluster, name: str = "up", *, annotations: dict[str, str] | None = None, **spec: Any
) -> None:
    whole = {"target": {"kind": "Deployment", "name": "web"}, "images": [{"container": "app", "image": "reg/app:2"}], **spec}
    kind = {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout"}
    world.request("POST", PATH, {**kind, "metadata": {"name": name, "annotations": annotations or {}}, "spec": whole})


def set_status(world: SimulatedCluster, name: str = "up", **status: Any) -> None:
    world.request("PATCH", f"{PATH}/{name}/status", {"status": status}, MERGE)


def read_rollout(world: SimulatedCluster, name: str = "up") -> InPlaceRollout:
    return world.api.get(INPLACE_ROLLOUTS, "shop", name)
