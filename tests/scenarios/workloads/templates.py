"""What scenarios do to a template, and see of the pods that a workload's controller makes from it."""

from __future__ import annotations

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import STRATEGIC
from tests.scenarios.scene import Scene


def set_image(scene: Scene, target: str, ref: str) -> None:
    """Does what `kubectl set image` does."""
    container = {"name": "app", "image": scene.image(ref)}
    scene.patch(target, {"spec": {"template": {"spec": {"containers": [container]}}}}, STRATEGIC)


def is_recreated(scene: Scene, name: str, uid: str) -> bool:
    found = [p for p in scene.pods() if p["metadata"]["name"] == name and p["metadata"]["uid"] != uid]
    return any(condition(p, "Ready") == "True" for p in found)


def count_ready(scene: Scene) -> int:
    return sum(condition(p, "Ready") == "True" for p in scene.pods())
