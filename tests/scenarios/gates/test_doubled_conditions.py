"""Two conditions of one type on a pod: the classic curl example twice, since JSON Patch appends whatever there is.

The kubelet believes the first, and a strategic merge changes that alone (measured, 1.36.3): whoever sets a gate leaves one."""

import pytest

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import JSON_PATCH
from tests.scenarios.facts import any_closed
from tests.scenarios.manifests import GATE, pod
from tests.scenarios.scene import WEB, Scene

pytestmark = pytest.mark.sampled

LABEL = "inplace.dev/serve"
ORDERS = pytest.mark.parametrize(("first", "second"), [("True", "False"), ("False", "True")])


def append(scene: Scene, name: str, status: str) -> None:
    value = {"type": GATE, "status": status}
    scene.patch(f"pod/{name}/status", [{"op": "add", "path": "/status/conditions/-", "value": value}], JSON_PATCH)


def statuses(scene: Scene, name: str) -> list[str]:
    return [c["status"] for c in scene.get(f"pod/{name}")["status"]["conditions"] if c["type"] == GATE]


def doubled(scene: Scene, first: str, second: str) -> str:
    """One of the pods of deploy/web, once the kubelet has seen it."""
    name = next(iter(scene.uids()))
    scene.set_gate(name, first)
    append(scene, name, second)
    assert statuses(scene, name) == [first, second]
    scene.until(lambda: condition(scene.get(f"pod/{name}"), "Ready") == first, "the kubelet believes the first")
    return name


@ORDERS
def test_a_gate_controller_leaves_one_and_the_label_rules_it(scene: Scene, first: str, second: str) -> None:
    scene.create(pod("web", scene.image("app:1")))
    scene.set_gate("web", first)
    append(scene, "web", second)
    scene.run_gates(GATE, LABEL, "--resync", "1s")
    scene.until(lambda: statuses(scene, "web") == ["True"], "one condition, open", 10)
    append(scene, "web", "False")
    scene.until(lambda: statuses(scene, "web") == ["True"], "one condition again", 10)
    scene.until(lambda: condition(scene.get("pod/web"), "Ready") == "True", "the pod is in service", 60)
    append(scene, "web", "True")
    scene.label("pod/web", **{LABEL: "false"})
    scene.until(lambda: statuses(scene, "web") == ["False"], "one condition, closed", 10)
    scene.until(lambda: condition(scene.get("pod/web"), "Ready") == "False", "the pod is out of service", 30)


@ORDERS
def test_an_upgrade_leaves_one(scene: Scene, first: str, second: str) -> None:
    """And the pod open or closed as it was."""
    scene.web(3)
    name = doubled(scene, first, second)
    scene.upgrade("--max-unavailable", "2", app="app:2")
    assert statuses(scene, name) == [first]
    assert condition(scene.get(f"pod/{name}"), "Ready") == first
    scene.check_same_pods()


def test_repair_leaves_one(scene: Scene) -> None:
    """Somebody appends to the pod that a run has closed and left."""
    scene.web(2)
    scene.killed_at(r"PATCH .*/status ", 1, "after", *scene.command("--max-unavailable", "1", app="app:2"))
    scene.until_seen(any_closed, "a pod is closed")
    (name,) = [name for name in scene.uids() if statuses(scene, name) == ["False"]]
    append(scene, name, "True")
    scene.stage.let_pass(20)
    assert scene.inplace("repair", WEB).code == 0
    assert statuses(scene, name) == ["True"]
    scene.until_all_serve()
    scene.check_no_orphans()
