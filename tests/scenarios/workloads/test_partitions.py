"""StatefulSets: the partition is the user's before and after, and behind the front meanwhile; OnDelete is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.recorder import Object, Rules
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import MERGE
from tests.scenarios.facts import any_closed, images_in, is_observed, strategy_of
from tests.scenarios.manifests import GATE, service, statefulset
from tests.scenarios.scene import Scene
from tests.scenarios.workloads.templates import count_ready, is_recreated, set_image

pytestmark = pytest.mark.at_rest

STS = "sts/web"
ROLLING: Object = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


def made(scene: Scene, replicas: int, *, parallel: bool = True, gate: str | None = GATE, **spec: Any) -> Object:
    found = statefulset("web", scene.image("app:1"), replicas=replicas, parallel=parallel, gate=gate)
    found["spec"].update(spec)
    return found


def partitioned(partition: int) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


def deploy(scene: Scene, stateful_set: Object, gate: str | None = GATE) -> None:
    """Behind a headless Service that publishes not-ready addresses, as peers want it."""
    peers = service("web", headless=True, publishNotReadyAddresses=True)
    scene.deploy(stateful_set, peers, count=stateful_set["spec"]["replicas"], gate=gate)


def check(scene: Scene, strategy: Object, **images: int) -> None:
    """So many pods on each image (`app_2=3`), in service and without a record; the strategy is the user's; nobody moves."""
    scene.until(lambda: is_observed(scene.get(STS)), "the controller has seen it")
    assert strategy_of(scene.get(STS)) == strategy
    for name, count in images.items():
        assert len(scene.on_image(name.replace("_", ":"))) == count, name
    assert all(condition(p, "Ready") == "True" and not annotation(p, RECORD) for p in scene.pods())
    scene.check_quiet()


def check_one_revision(scene: Scene) -> None:
    status = scene.get(STS)["status"]
    assert status["currentRevision"] == status["updateRevision"]
    labels = {p["metadata"]["labels"]["controller-revision-hash"] for p in scene.pods()}
    assert labels == {status["updateRevision"]}


def test_the_users_partition_limits_a_run_until_it_is_taken_over(scene: Scene) -> None:
    deploy(scene, made(scene, 5, updateStrategy=partitioned(2)))
    words = (STS, f"app={scene.image('app:2')}")
    planned = scene.inplace("plan", *words)
    assert "2 pods stay as they are, behind the workload's own partition 2" in planned.stdout + planned.stderr
    ended = scene.upgrade(target=STS, app="app:2")
    assert (ended.report["updated"], ended.report["desired"]) == (3, 3)
    check(scene, partitioned(2), app_1=2, app_2=3)
    scene.check_same_pods()
    again = scene.inplace("upgrade", *words)
    assert (again.code, again.stdout) == (0, f"{STS} runs app={scene.image('app:2')} already\n")
    refused = scene.inplace("upgrade", STS, f"app={scene.image('app:3')}")
    scene.check_refused(refused, 5, "between two revisions", f"`inplace upgrade {STS}`")

    assert scene.inplace("upgrade", STS, "--settle", "0s").code == 0
    check(scene, partitioned(2), app_1=0, app_2=5)
    check_one_revision(scene)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 5)


def test_in_the_middle_dead_pods_come_back_as_their_ordinal_says(scene: Scene) -> None:
    """Paused by its steps, with no process of ours: above the front new, below it old; scaled up and down; then to the end."""
    deploy(scene, made(scene, 5))
    gates = scene.run_gates()
    scene.upgrade("--steps", "2,pause,100%", "--settle", "0s", target=STS, settle=None, code=4, app="app:2")
    assert strategy_of(scene.get(STS)) == partitioned(3)
    for name, ref in (("web-4", "app:2"), ("web-0", "app:1")):
        uid = scene.before[name]
        scene.delete(f"pod/{name}", grace=1)
        scene.until(lambda uid=uid, name=name: is_recreated(scene, name, uid), f"{name} is back")  # type: ignore[misc]
        assert images_in(scene.get(f"pod/{name}")["spec"])["app"] == scene.image(ref), name
    scene.scale(STS, 6)
    scene.until(lambda: count_ready(scene) == 6, "scaled up")
    assert images_in(scene.get("pod/web-5")["spec"])["app"] == scene.image("app:2")
    scene.scale(STS, 5)
    scene.until(lambda: len(scene.all("pod")) == 5, "scaled down")
    assert scene.inplace("resume", STS).code == 0
    check(scene, ROLLING, app_1=0, app_2=5)
    check_one_revision(scene)
    survivors = {"web-1", "web-2", "web-3"}
    assert all(scene.uids()[name] == scene.before[name] for name in survivors)
    assert "stopped" not in gates.stderr


def test_ordinals_that_start_at_five(scene: Scene) -> None:
    """A partition is an index: ordinal minus start."""
    deploy(scene, made(scene, 3, ordinals={"start": 5}, updateStrategy=partitioned(1)))
    assert set(scene.before) == {"web-5", "web-6", "web-7"}
    scene.upgrade(target=STS, app="app:2")
    assert scene.on_image("app:2") == {"web-6", "web-7"}
    check(scene, partitioned(1), app_1=1, app_2=2)
    scene.check_same_pods()


def test_on_delete_with_an_old_current_revision(scene: Scene) -> None:
    """The pods are of the newest revision; what dies comes back new, as OnDelete says. Before Kubernetes 1.37 `currentRevision`
    stays the old one then: its completeRollingUpdate saw only to RollingUpdate, today's completeUpdate to every strategy."""
    deploy(scene, made(scene, 2, updateStrategy={"type": "OnDelete"}))
    set_image(scene, STS, "app:2")
    scene.until(lambda: is_observed(scene.get(STS)), "the template is seen")
    for name in sorted(scene.before):
        uid = scene.before[name]
        scene.delete(f"pod/{name}", grace=1)
        scene.until(lambda name=name, uid=uid: reborn(scene, name, uid), f"{name} is recreated")  # type: ignore[misc]
    scene.until(lambda: count_ready(scene) == 2, "both serve")
    scene.remember()
    scene.upgrade(target=STS, app="app:3")
    check(scene, {"type": "OnDelete"}, app_3=2)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 2)


def reborn(scene: Scene, name: str, uid: str) -> bool:
    scene.open_gates()
    return is_recreated(scene, name, uid)


def test_ordered_ready_with_a_dying_pod_while_another_is_closed(scene: Scene) -> None:
    """A closed pod blocks the recreation of higher ordinals: it is brought back, and then they are."""
    deploy(scene, made(scene, 3, parallel=False))
    scene.run_gates()
    upgrade = scene.start("--steps", "100%", target=STS, settle="3s", app="app:2")
    scene.until_seen(any_closed, "the first is closed")
    scene.delete("pod/web-0", grace=1)
    scene.end(upgrade)
    check(scene, ROLLING, app_1=0, app_2=3)
    check_one_revision(scene)
    assert all(scene.uids()[name] == scene.before[name] for name in ("web-1", "web-2"))


def test_parallel_two_at_a_time(scene: Scene) -> None:
    deploy(scene, made(scene, 4))
    scene.upgrade("--max-unavailable", "2", target=STS, app="app:2")
    scene.witness.check(Rules(2, "StatefulSet/web", upgraded=4, writes_per_pod=3, undrainable=frozenset({"web"})))
    check(scene, ROLLING, app_2=4)
    check_one_revision(scene)
    scene.check_same_pods()


def test_a_template_set_behind_a_partition_is_taken_over(scene: Scene) -> None:
    deploy(scene, made(scene, 3, updateStrategy=partitioned(3)))
    set_image(scene, STS, "app:2")
    scene.until(lambda: is_observed(scene.get(STS)), "the template is seen")
    assert scene.inplace("upgrade", STS, "--settle", "0s").code == 0
    check(scene, partitioned(3), app_2=3)
    check_one_revision(scene)
    scene.check_same_pods()


def test_pods_without_the_gate(scene: Scene) -> None:
    deploy(scene, made(scene, 2, gate=None), gate=None)
    words = ("upgrade", STS, f"app={scene.image('app:2')}")
    scene.check_refused(scene.inplace(*words), 5, "has no readiness gate", "--without-gate")
    ended = scene.inplace(*words, "--without-gate")
    assert ended.code == 0, ended
    assert "without a drain" in ended.stderr
    check(scene, ROLLING, app_2=2)
    check_one_revision(scene)
    scene.check_same_pods()


@pytest.mark.parametrize("change", ["partition", "strategy"])
def test_somebody_changes_the_strategy_in_the_middle(scene: Scene, change: str) -> None:
    """The run stops, and opens what it has closed and not restarted."""
    deploy(scene, made(scene, 3))
    upgrade = scene.start(target=STS, settle="20s", app="app:2")
    scene.until_seen(any_closed, "the first is closed")
    strategy: Object = {"type": "OnDelete", "rollingUpdate": None} if change == "strategy" else partitioned(1)
    scene.patch(STS, {"spec": {"updateStrategy": strategy}}, MERGE)
    ended = scene.end(upgrade, 1)
    assert f"the updateStrategy of {STS} was changed in the middle" in json.dumps(ended.report)
    assert not any(annotation(p, RECORD) for p in scene.pods())
