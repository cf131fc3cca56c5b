"""What one namespace asks of a controller for all does not keep the pods of another out of service."""

from __future__ import annotations

from pathlib import Path

from inplace.kube.protocols import Request
from tests.recorder.log import condition
from tests.scenarios.embedded_cluster import Command, EmbeddedCluster
from tests.scenarios.facts import any_closed
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

HOSTILE, NAMES = 30, 256
EVIL = "/apis/inplace.dev/v1alpha1/namespaces/evil/inplacerollouts"


def longest_out(folder: Path, hostile: int) -> tuple[float, int]:
    """Seconds that a pod of the victim's rollout is not Ready at most, and how often the controller got a pod by name."""
    stage = EmbeddedCluster("shop", folder / f"{hostile}.jsonl")
    scene = Scene(stage)
    scene.web(4)
    rollouts = Rollouts(scene)
    stage.request("POST", "/api/v1/namespaces", {"metadata": {"name": "evil"}})
    controller = stage.start("controller", "-A", "--lease-namespace", "default", "--listen", "")
    assert isinstance(controller, Command)
    by_name: list[str] = []

    def saw(request: Request) -> None:
        if "/pods/" in request.path and request.method == "GET":
            by_name.append(request.path)

    controller.transport.interfere = saw
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the first pod is closed", 120)
    for number in range(hostile):
        target = {"kind": "Pods", "podNames": [f"x{number}-{name}" for name in range(NAMES)]}
        body = {
            "apiVersion": "inplace.dev/v1alpha1",
            "kind": "InPlaceRollout",
            "metadata": {"name": f"evil-{number}"},
            "spec": {"target": target, "images": [{"container": "app", "image": "reg/app:2"}]},
        }
        code, answer = stage.request("POST", EVIL, body)
        assert code == 201, answer
    rollouts.until("up", "Succeeded", 600)
    since: dict[str, float] = {}
    longest = 0.0
    for event in scene.witness.log():
        if event.kind == "Pod" and event.rv > scene.witness.since:
            if condition(event.object, "Ready") != "True":
                since.setdefault(event.name, event.arrival)
            elif event.name in since:
                longest = max(longest, event.arrival - since.pop(event.name))
    stage.close()
    return longest, len(by_name)


def test_30_rollouts_of_256_pods_that_do_not_exist(tmp_path: Path) -> None:
    alone, _ = longest_out(tmp_path, 0)
    beside, by_name = longest_out(tmp_path, HOSTILE)
    assert beside < 2 * alone
    assert by_name == 0
