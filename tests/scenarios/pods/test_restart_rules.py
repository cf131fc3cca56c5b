"""Containers whose rules restart the whole pod when they exit (1.36, beta: KEP-5532).

What an image change stops has not exited by itself: no rule is asked, whatever it exits with, and no other container restarts
(measured, 1.36.3, with codes in and not in the rule)."""

import pytest

from tests.recorder import Object
from tests.scenarios.manifests import GATE, container
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.since(36)  # RestartAllContainers


def ruled(made: Object, operator: str, code: int) -> Object:
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": operator, "values": [code]}}
    return {**made, "restartPolicy": "Always", "restartPolicyRules": [rule]}


def trainer(scene: Scene, where: str, operator: str, code: int) -> Object:
    image = scene.image("app:1")
    each = [container("app", image), container("side", scene.image("side:1"), port=8081)]
    containers = [ruled(made, operator, code) if made["name"] == where else made for made in each]
    setup = {"name": "setup", "image": image, "command": ["true"]}
    spec = {"readinessGates": [{"conditionType": GATE}], "initContainers": [setup], "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trainer", "labels": {"app": "trainer"}}, "spec": spec}


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("where", "operator", "code"), [("app", "In", 0), ("app", "NotIn", 255), ("app", "In", 143), ("side", "In", 0)]
)
def test_only_what_gets_a_new_image_restarts(scene: Scene, where: str, operator: str, code: int) -> None:
    scene.deploy(trainer(scene, where, operator, code), count=1)
    scene.upgrade(target="pod/trainer", app="app:2")
    scene.stage.let_pass(10)
    scene.check_restarts({"app": 1, "side": 0, "setup": 0})
    scene.check_same_pods()
    scene.check_no_orphans()


def test_an_image_that_may_restart_the_whole_pod_is_warned_of(scene: Scene) -> None:
    scene.deploy(trainer(scene, "app", "In", 1), count=1)
    planned = scene.inplace("plan", "pod/trainer", f"app={scene.image('app:2')}")
    assert planned.code == 0, planned
    assert "container app has a rule that restarts all containers of its pod" in planned.stderr
    assert "rule" not in scene.inplace("plan", "pod/trainer", f"side={scene.image('side:2')}").stderr
