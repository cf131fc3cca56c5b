"""One PodDisruptionBudget over the pods of several workloads: however many runs there are at once, in one process or in
several, never are more of its pods out of service than it allows."""

import pytest

from tests.recorder import Object
from tests.recorder.history import replay
from tests.recorder.log import RECORD, Event, annotation, condition
from tests.scenarios.manifests import service, statefulset
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.sampled

ZONES = ("a", "b", "c")


def masters(scene: Scene, most: int) -> None:
    """Three StatefulSets of one replica, as clusters that elect a master have them."""
    made = [statefulset(f"master-{zone}", scene.image("app:1"), replicas=1) for zone in ZONES]
    for each in made:
        each["spec"]["template"]["metadata"]["labels"]["role"] = "master"
    budget: Object = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "masters"},
        "spec": {"maxUnavailable": most, "selector": {"matchLabels": {"role": "master"}}},
    }
    behind = service("master")
    behind["spec"]["selector"] = {"role": "master"}
    scene.deploy(*made, behind, budget, count=3)

    def is_computed() -> bool:
        status = scene.get("pdb/masters").get("status", {})
        return bool(status.get("currentHealthy") == 3 and status.get("expectedPods") == 3)

    scene.until(is_computed, "the budget counts all three", 60)
    scene.remember()


def out_at_once(scene: Scene) -> int:
    """The most pods that were closed or not Ready at one time since the mark, as the witness saw it."""
    out: dict[str, bool] = {}
    most = 0
    for step in replay(scene.witness.log()):
        event: Event = step.event
        if event.kind != "Pod":
            continue
        out[event.uid] = condition(event.object, "Ready") != "True" or annotation(event.object, RECORD) is not None
        if event.rv > scene.witness.since:
            most = max(most, sum(out.values()))
    return most


def check(scene: Scene, most: int) -> None:
    assert out_at_once(scene) == most
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    scene.check_no_orphans()
    assert scene.on_image("app:2") == {f"master-{zone}-0" for zone in ZONES}
    assert not scene.get("lease/inplace-pdb-masters")["spec"].get("holderIdentity")


@pytest.mark.parametrize("most", [1, 2])
def test_three_commands(scene: Scene, most: int) -> None:
    masters(scene, most)
    words = [scene.command("--max-unavailable", "1", target=f"sts/master-{zone}", app="app:2") for zone in ZONES]
    for command in [scene.stage.start(*each) for each in words]:
        done = command.wait()
        assert done.code == 0, done
    check(scene, most)


def test_three_rollouts_of_one_controller(scene: Scene, rollouts: Rollouts) -> None:
    masters(scene, 1)
    rollouts.control()
    for zone in ZONES:
        rollouts.apply(zone, f"sts/master-{zone}", app="app:2")
    for zone in ZONES:
        rollouts.until(zone, "Succeeded", 240)
    check(scene, 1)


def test_a_command_beside_a_controller(scene: Scene, rollouts: Rollouts) -> None:
    masters(scene, 1)
    rollouts.control()
    for zone in "ab":
        rollouts.apply(zone, f"sts/master-{zone}", app="app:2")
    done = scene.inplace(*scene.command("--max-unavailable", "1", target="sts/master-c", app="app:2"))
    assert done.code == 0, done
    for zone in "ab":
        rollouts.until(zone, "Succeeded", 240)
    check(scene, 1)


def test_a_single_workload_claims_no_budget(scene: Scene) -> None:
    """Three writes a pod, and no Lease but its own."""
    made = statefulset("web", scene.image("app:1"), replicas=3)
    budget: Object = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    scene.deploy(made, service("web"), budget, count=3)
    scene.until(lambda: scene.get("pdb/web").get("status", {}).get("currentHealthy") == 3, "the budget counts", 60)
    done = scene.inplace(*scene.command("--max-unavailable", "2", target="sts/web", app="app:2"))
    assert done.code == 0, done
    assert [lease["metadata"]["name"] for lease in scene.all("lease")] == ["inplace-statefulset-web"]
    assert out_at_once(scene) == 1
