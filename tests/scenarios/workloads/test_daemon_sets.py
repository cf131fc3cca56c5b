"""DaemonSets: OnDelete holds the pods while they are worked on, whatever the user's own strategy is, and then that is back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder import Object, Rules
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import MERGE
from tests.scenarios.facts import any_closed, images_in, is_observed
from tests.scenarios.manifests import GATE, daemonset, service
from tests.scenarios.scene import Scene
from tests.scenarios.workloads.templates import count_ready, is_recreated, set_image

pytestmark = pytest.mark.at_rest

DS = "ds/web"
ON_DELETE: Object = {"type": "OnDelete"}


def rolling(**parameters: Any) -> Object:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0, **parameters}}


def deploy(scene: Scene, strategy: Object, gate: str | None = GATE) -> None:
    """One pod on each of the two nodes."""
    made = daemonset("web", scene.image("app:1"), gate=gate)
    made["spec"]["updateStrategy"] = strategy
    scene.deploy(made, service("web"), count=2, gate=gate)


def check(scene: Scene, ref: str, strategy: Object) -> None:
    scene.until(lambda: is_observed(scene.get(DS)), "the controller has seen it")
    found = scene.get(DS)
    assert found["spec"]["updateStrategy"] == strategy
    assert found["status"]["updatedNumberScheduled"] == found["status"]["numberReady"] == 2
    assert len(scene.on_image(ref)) == 2
    assert all(condition(p, "Ready") == "True" and not annotation(p, RECORD) for p in scene.pods())
    assert len({p["metadata"]["labels"]["controller-revision-hash"] for p in scene.pods()}) == 1
    scene.check_quiet()


@pytest.mark.parametrize("strategy", [rolling(), ON_DELETE], ids=["RollingUpdate", "OnDelete"])
def test_the_strategy_is_the_users_before_and_after(scene: Scene, strategy: Object) -> None:
    deploy(scene, strategy)
    scene.upgrade(target=DS, app="app:2")
    scene.witness.check(Rules(1, "DaemonSet/web", upgraded=2, writes_per_pod=3))
    check(scene, "app:2", strategy)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 2)


def test_surge_and_no_unavailable_pod_needs_a_word(scene: Scene) -> None:
    """An in-place restart takes a pod out, which a user who surges has not allowed."""
    surging = rolling(maxUnavailable=0, maxSurge=1)
    deploy(scene, surging)
    refused = scene.inplace("upgrade", DS, f"app={scene.image('app:2')}")
    scene.check_refused(refused, 5, "has maxUnavailable 0", "--max-unavailable")
    scene.upgrade("--max-unavailable", "1", target=DS, app="app:2")
    check(scene, "app:2", surging)
    scene.check_same_pods()


def test_a_budget_that_cannot_be_computed_is_named_not_blocking(scene: Scene) -> None:
    """What may be missing is taken of what workloads ask for, and a DaemonSet asks for no number."""
    deploy(scene, rolling())
    spec = {"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 1}
    scene.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "some"}, "spec": spec})
    scene.until(lambda: scene.get("pdb/some").get("status", {}).get("conditions"), "its controller has tried")
    assert scene.get("pdb/some")["status"]["conditions"][0]["reason"] == "SyncFailed"
    ended = scene.upgrade(target=DS, app="app:2")
    assert "warning: PodDisruptionBudget some cannot be computed (" in ended.said
    assert "daemonsets.apps does not implement the scale subresource" in ended.said
    check(scene, "app:2", rolling())
    scene.check_same_pods()


def test_in_the_middle_the_dead_come_back_new(scene: Scene) -> None:
    """Paused by its steps, with no process of ours; then to the end."""
    deploy(scene, rolling())
    scene.run_gates()
    scene.upgrade("--steps", "1,pause,100%", "--settle", "0s", target=DS, settle=None, code=4, app="app:2")
    assert scene.get(DS)["spec"]["updateStrategy"] == ON_DELETE
    (old,) = scene.on_image("app:1")
    scene.delete(f"pod/{old}", grace=1)
    scene.until(lambda: count_ready(scene) == 2 and old not in scene.uids(), "its replacement serves")
    assert all(images_in(p["spec"])["app"] == scene.image("app:2") for p in scene.pods())
    assert scene.inplace("resume", DS).code == 0
    check(scene, "app:2", rolling())
    assert len(set(scene.uids().values()) & set(scene.before.values())) == 1


def test_a_template_set_under_on_delete_is_taken_over(scene: Scene) -> None:
    deploy(scene, ON_DELETE)
    set_image(scene, DS, "app:2")
    scene.until(lambda: is_observed(scene.get(DS)), "the template is seen")
    assert scene.inplace("upgrade", DS, "--settle", "0s").code == 0
    check(scene, "app:2", ON_DELETE)
    scene.check_same_pods()
    nothing = scene.inplace("upgrade", DS)
    assert nothing.code == 0
    assert "run what its template says" in nothing.stdout


def test_pods_without_the_gate(scene: Scene) -> None:
    deploy(scene, rolling(), gate=None)
    ended = scene.inplace("upgrade", DS, f"app={scene.image('app:2')}", "--without-gate")
    assert ended.code == 0, ended
    assert "without a drain" in ended.stderr
    check(scene, "app:2", rolling())
    scene.check_same_pods()


def test_somebody_gives_the_strategy_back_in_the_middle(scene: Scene) -> None:
    """The controller then replaces the pods itself: the run stops, and is not in its way."""
    deploy(scene, rolling())
    scene.run_gates()
    upgrade = scene.start(target=DS, settle="20s", app="app:2")
    scene.until_seen(any_closed, "the first is closed")
    scene.patch(DS, {"spec": {"updateStrategy": rolling()}}, MERGE)
    ended = scene.end(upgrade, 1)
    assert f"the updateStrategy of {DS} was changed in the middle" in ended.report["message"]
    scene.until(lambda: count_ready(scene) == 2 and len(scene.on_image("app:2")) == 2, "rolled out the classic way")
    assert not any(annotation(p, RECORD) for p in scene.pods())


def test_a_dead_pod_of_a_running_upgrade_comes_back_new(scene: Scene) -> None:
    deploy(scene, rolling())
    scene.run_gates()
    upgrade = scene.start(target=DS, settle="2s", app="app:2")
    scene.until_seen(any_closed, "the first is closed")
    open_ones = [p["metadata"]["name"] for p in scene.pods() if not annotation(p, RECORD)]
    scene.delete(f"pod/{open_ones[0]}", grace=1)
    scene.end(upgrade)
    assert not is_recreated(scene, open_ones[0], scene.before[open_ones[0]])
    check(scene, "app:2", rolling())
