"""Nodes that fall silent in the middle of an upgrade. On the embedded cluster alone: a real kubelet is not to be stopped."""

from __future__ import annotations

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.facts import any_patched, back, recorded
from tests.scenarios.scene import Scene

HISTORY = {1: "app:1", 2: "app:2"}


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def fallen_silent(scene: Scene, stage: EmbeddedCluster, node: str) -> None:
    """Until its pods are called not ready."""
    stage.cluster.stop_node(node)
    scene.until(lambda: all(condition(p, "Ready") == "False" for p in scene.pods() if node_of(p) == node), "it is noticed")


def test_its_pods_wait_and_the_others_go_on(stage: EmbeddedCluster) -> None:
    scene = Scene(stage)
    scene.web(4)
    lost = node_of(scene.pods()[0])
    theirs = {p["metadata"]["name"] for p in scene.pods() if node_of(p) == lost}
    fallen_silent(scene, stage, lost)
    run = stage.start(*scene.command("--max-unavailable", str(len(theirs) + 1), app="app:2"))
    scene.until(lambda: "which does not report" in run.stdout, "it says what it waits for")
    assert f"({lost}), which does not report" in run.stdout
    scene.until_seen(back(scene.image("app:2"), 4 - len(theirs)), "the others are back")
    stage.let_pass(30)
    assert scene.on_image("app:2") == set(scene.before) - theirs
    assert not recorded(scene.pods())
    stage.cluster.start_node(lost)
    ended = run.wait()
    assert ended.code == 0, ended
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 4)
    scene.check_consistent("app:2", HISTORY, replicas=4)


def test_without_a_budget_for_it_nothing_is_touched(stage: EmbeddedCluster) -> None:
    """The silent pods are all that may be unavailable."""
    scene = Scene(stage)
    scene.web(4)
    fallen_silent(scene, stage, node_of(scene.pods()[0]))
    run = stage.start(*scene.command("--max-unavailable", "1", app="app:2"))
    ended = run.wait(600)
    assert ended.code == 1, ended
    assert "gave up after 5 minutes: waiting, since at most 1 may be unavailable at once: pod/web-" in ended.stdout, ended
    assert "which does not report" in ended.stdout
    assert "(to go on: --max-unavailable 3)" in ended.stdout
    assert scene.on_image("app:2") == set()


def test_a_pod_that_restarts_on_a_lost_node_fails_and_ends_later(stage: EmbeddedCluster) -> None:
    scene = Scene(stage)
    scene.web(3)
    command = scene.command("--max-unavailable", "1", "--restart-timeout", "60s", app="app:2")
    run = stage.start(*command)
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    (first,) = recorded(scene.pods())
    stage.cluster.stop_node(node_of(first))
    ended = run.wait()
    name = first["metadata"]["name"]
    assert ended.code == 1, ended
    assert f"pod/{name} RestartTimeout: waiting" in ended.stdout, ended
    assert f"pod/{name} is still closed" in ended.stdout, ended
    assert scene.on_image("app:2") == {name}
    stage.cluster.start_node(node_of(first))
    again = stage.start(*command).wait()
    assert again.code == 0, again
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    scene.check_consistent("app:2", HISTORY)


def test_pods_that_are_made_elsewhere_are_caught_up(stage: EmbeddedCluster) -> None:
    """After five minutes of silence the cluster gives them up. Their successors are upgraded, and the old ones, of which nobody
    knows whether they are gone, are none of the workload's any more."""
    scene = Scene(stage)
    scene.web(4)
    lost = node_of(scene.pods()[0])
    fallen_silent(scene, stage, lost)
    stage.let_pass(250)
    scene.run_gates()
    command = scene.command("--max-unavailable", "4", app="app:2")
    ended = stage.start(*command).wait(600)
    assert ended.code == 0, ended
    assert len(scene.all("pod")) == 6, "the old ones still seem to be there"
    scene.remember()
    assert {node_of(p) for p in scene.pods()} == set(stage.cluster.kubelets) - {lost}
    stage.cluster.start_node(lost)
    scene.until(lambda: len(scene.all("pod")) == 4, "the old ones are gone")
    scene.check_quiet()
    scene.check_same_pods()
    scene.check_consistent("app:2", HISTORY, replicas=4)


def test_a_kubelet_without_observed_generation_is_refused(stage: EmbeddedCluster) -> None:
    """Nodes may be three releases behind; before 1.34 no restart could be proven there."""
    scene = Scene(stage)
    for node in ("node1", "node2"):
        stage.cluster.set_kubelet_version(node, "v1.33.5")
    scene.web(2)
    assert all("observedGeneration" not in p["status"] for p in scene.pods())
    refused = scene.inplace(*scene.command(app="app:2"))
    scene.check_refused(refused, 5, "pod/web-", "node", "status.observedGeneration", "its kubelet is v1.33.5")
    planned = scene.inplace("plan", *scene.command(app="app:2")[1:3])
    assert planned.code == 5, planned
    assert scene.our_writes() == []


def cordon(scene: Scene, node: str, *, cordoned: bool) -> None:
    body = {"spec": {"unschedulable": cordoned or None}}
    scene.send("PATCH", f"/api/v1/nodes/{node}", body, "application/merge-patch+json")


def test_a_pod_that_moves_to_an_old_node_midrun_stays_in_service(stage: EmbeddedCluster) -> None:
    scene = Scene(stage)
    stage.cluster.set_kubelet_version("node2", "v1.33.5")
    cordon(scene, "node2", cordoned=True)
    scene.web(3)
    scene.run_gates()
    run = stage.start(*scene.command("--max-unavailable", "1", "--on-failure", "continue", app="app:2"))
    scene.until_seen(any_patched(scene.image("app:2")), "the first is at work")
    cordon(scene, "node1", cordoned=True)
    cordon(scene, "node2", cordoned=False)
    (first,) = scene.on_image("app:2")
    scene.delete(f"pod/{max(set(scene.before) - {first})}", grace=1)
    ended = run.wait()
    assert ended.code == 1, ended
    assert "KubeletTooOld: its node node2" in ended.stdout, ended
    scene.until_all_serve()
    assert len(scene.on_image("app:2")) == 2
    scene.check_no_orphans()
