"""The controller: runs asked for by an InPlaceRollout, each of them judged as the command's are."""

from __future__ import annotations

import re
import signal

import pytest

from tests.recorder import Rules
from tests.recorder.log import condition
from tests.scenarios.facts import any_closed, any_patched, back
from tests.scenarios.manifests import deployment, pod, replicaset, service
from tests.scenarios.rollouts import ONE, ONE_PAUSE, Rollouts
from tests.scenarios.scene import SETTLE, Scene
from tests.scenarios.workload_scenario import KINDS, Kind, WorkloadScenario


@pytest.mark.sampled
@KINDS
def test_each_kind_by_one_rollout(scene: Scene, rollouts: Rollouts, kind: Kind) -> None:
    """As the command would have done it, status and conditions say so, and then nobody writes any more."""
    story = WorkloadScenario(scene, kind)
    rollouts.control()
    rollouts.apply("up", kind.web, app="app:2", strategy=ONE)
    status = rollouts.until("up", "Succeeded")
    assert {k: status[k] for k in ("desired", "updated", "ready", "draining", "failed")} == {
        "desired": kind.pods,
        "updated": kind.pods,
        "ready": kind.pods,
        "draining": 0,
        "failed": 0,
    }
    rollouts.check_conditions("up", "Ready")
    scene.witness.check(Rules(1, f"{scene.get(kind.web)['kind']}/web", upgraded=kind.pods, writes_per_pod=3))
    story.check("app:2")
    assert story.revisions() == {1: "app:1", 2: "app:2"}
    assert story.outcome == "Succeeded"
    assert "finalizers" not in scene.get("ipr/up")["metadata"], "it can be deleted without a controller"


def test_bare_pods_and_a_replica_set(scene: Scene, rollouts: Rollouts) -> None:
    scene.deploy(pod("a", scene.image("app:1")), pod("b", scene.image("app:1")), count=2)
    rollouts.control()
    rollouts.apply("bare", "pods/app in (a,b)", app="app:2", strategy=ONE)
    rollouts.until("bare", "Succeeded")
    assert scene.on_image("app:2") == {"a", "b"}
    scene.check_same_pods()
    scene.deploy(replicaset("rs", scene.image("app:1"), replicas=2), count=4)
    rollouts.apply("set", "rs/rs", app="app:2", strategy=ONE)
    rollouts.until("set", "Succeeded")
    assert len(scene.on_image("app:2")) == 4
    scene.check_same_pods()
    scene.check_no_orphans()


@pytest.mark.sampled
@KINDS
def test_abort_in_the_middle(scene: Scene, rollouts: Rollouts, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    rollouts.control()
    rollouts.apply("up", kind.web, app="app:2", strategy=ONE)
    story.one_is_done("app:2")
    aborted = scene.inplace("abort", kind.web)
    assert aborted.code == 0, aborted
    status = rollouts.until("up", "Aborted")
    assert "aborted" in status["message"]
    rollouts.check_conditions("up", "Stalled")
    story.check("app:1")


def test_abort_of_bare_pods_in_the_middle(scene: Scene, rollouts: Rollouts) -> None:
    """Their Lease goes at the end: that they are back is told by what they run."""
    scene.deploy(pod("a", scene.image("app:1")), pod("b", scene.image("app:1")), count=2)
    rollouts.control()
    rollouts.apply("up", "pod/a,b", app="app:2", strategy=ONE)
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    aborted = scene.inplace("abort", "pod/a", "pod/b")
    assert (aborted.code, aborted.stdout) == (0, "pod/a pod/b is back at its previous images\n"), aborted
    assert scene.on_image("app:1") == {"a", "b"}
    assert scene.all("lease") == []
    rollouts.until("up", "Aborted")
    scene.check_same_pods()
    scene.check_no_orphans()


def test_undo_right_after_and_to_a_revision(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    rollouts.control()
    for name, ref in (("two", "app:2"), ("three", "app:3")):
        rollouts.apply(name, app=ref, strategy=ONE)
        rollouts.until(name, "Succeeded")
    rollouts.apply("back", undo={}, strategy=ONE)
    rollouts.until("back", "Succeeded")
    scene.check_runs(2, app="app:2")
    rollouts.apply("first", undo={"toRevision": 1}, strategy=ONE)
    rollouts.until("first", "Succeeded")
    scene.check_runs(2, app="app:1")
    undone = scene.inplace("undo", "deploy/web", "--controller", *SETTLE)
    assert undone.code == 0, undone
    scene.check_runs(2, app="app:2")
    scene.check_same_pods()
    told = scene.inplace("history", "deploy/web").stdout
    assert "inplacerollout/first" in told


def test_a_bad_image_fails_and_a_good_one_takes_over(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    rollouts.control()
    rollouts.apply("bad", app="app:crash", strategy=ONE)
    status = rollouts.until("bad", "Failed")
    assert status["failed"] == 1
    assert status["failures"][0]["reason"] in ("CrashLoopBackOff", "ContainerFailed", "Error")
    rollouts.check_conditions("bad", "Stalled")
    rollouts.apply("good", app="app:2", strategy=ONE)
    rollouts.until("good", "Succeeded")
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    assert rollouts.phase("bad") == "Failed"


def test_a_failure_rolls_back_where_the_spec_says_so(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    rollouts.control()
    rollouts.apply("bad", app="app:crash", strategy=ONE, failure={"action": "Rollback"})
    status = rollouts.until("bad", "RolledBack")
    assert "rolled back" in status["message"]
    scene.check_same_pods()
    scene.check_consistent("app:1", {1: "app:1"}, outcome="RolledBack")


def test_a_busy_target_waits_or_is_refused(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    rollouts.control()
    upgrade = scene.start("--steps", "34%,pause:20s,100%", app="app:2")
    scene.until_seen(any_closed, "the command is at work")
    rollouts.apply("no", app="app:3", strategy=ONE, onBusy="Refuse")
    rollouts.apply("later", app="app:3", strategy=ONE)
    status = rollouts.until("no", "Refused")
    assert re.search(r"held by .+ since .+, as ", status["message"]), status
    rollouts.until("later", "Waiting")
    scene.end(upgrade)
    rollouts.until("later", "Succeeded")
    scene.check_consistent("app:3", {1: "app:1", 2: "app:2", 3: "app:3"})
    scene.check_same_pods()


def test_two_at_once_for_one_target_go_one_after_the_other(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    for name, ref in (("a", "app:2"), ("b", "app:3")):
        rollouts.apply(name, app=ref, strategy=ONE)
    rollouts.control()
    for name in ("a", "b"):
        rollouts.until(name, "Succeeded")
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 2}] * 3)
    history = scene.history()
    assert sorted(history) == [1, 2, 3]
    assert set(history.values()) == {"app:1", "app:2", "app:3"}
    scene.check_no_orphans()


def test_a_target_that_comes_later_and_one_that_goes(scene: Scene, rollouts: Rollouts) -> None:
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={**ONE, "steps": ONE_PAUSE})
    status = rollouts.until("up", "Waiting")
    assert "does not exist" in status["message"]
    scene.web(2)
    rollouts.until("up", "Paused")
    scene.delete("deploy/web")
    status = rollouts.until("up", "Failed")
    assert "deleted" in status["message"]


@pytest.mark.parametrize("on_busy", ["Wait", "Refuse"])
def test_a_classic_rollout_under_way_is_waited_for(scene: Scene, rollouts: Rollouts, on_busy: str) -> None:
    """As where a tool applies a new template and an InPlaceRollout together. Without an opener the rollout stays halfway."""
    scene.web(2, serve=False)
    scene.set_images("deploy/web", app=scene.image("app:2"))
    scene.until(lambda: len([rs for rs in scene.all("rs") if rs["status"]["replicas"]]) == 2, "two active ReplicaSets")
    rollouts.control("--no-gate-rules")
    rollouts.apply("up", app="app:3", strategy=ONE, onBusy=on_busy)
    status = rollouts.until("up", "Waiting" if on_busy == "Wait" else "Refused")
    assert "deploy/web has 2 active ReplicaSets" in status["message"]
    if on_busy == "Wait":
        scene.run_gates()
        scene.until_rolled_out()
        rollouts.until("up", "Succeeded")


@pytest.mark.sampled
@pytest.mark.parametrize(("on_delete", "ref"), [("Release", None), ("Abort", "app:1")], ids=["release", "abort"])
def test_the_rollout_is_deleted_in_the_middle(scene: Scene, rollouts: Rollouts, on_delete: str, ref: str | None) -> None:
    scene.web(3)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, onDelete=on_delete)
    scene.until_seen(back(scene.image("app:2"), 1), "the first pod is back")
    scene.delete("ipr/up")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone", 120)
    scene.check_no_orphans()
    scene.check_same_pods()
    assert not scene.holder()
    if ref is None:
        assert 1 <= len(scene.on_image("app:2")) < 3
        scene.upgrade(*SETTLE, settle=None, app="app:2")
    scene.check_runs(3, app=ref or "app:2")


def test_without_a_controller_the_command_says_so(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(1)
    left = scene.start("--controller", "--allow-outage", app="app:2")
    scene.until(lambda: "no controller has picked this up yet" in left.stderr, "it says why nothing moves", 60)
    left.send(signal.SIGINT)
    ended = left.wait()
    (made,) = scene.all("ipr")
    assert f"watch it with: inplace watch ipr/{made['metadata']['name']} -n {scene.ns}\n" in ended.stderr
    assert (ended.code, "the run has not begun, and stays queued for a controller" in ended.stderr) == (130, True), ended
    assert "error:" not in ended.stderr
    rollouts.control()
    again = scene.upgrade("--controller", "--allow-outage", app="app:2")
    assert again.report["outcome"] == "Succeeded"


def test_what_is_over_goes_when_its_time_has_come(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(1)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE, allowOutage=True, ttlSecondsAfterFinished=5)
    rollouts.until("up", "Succeeded")
    scene.until(lambda: scene.find("ipr/up") is None, "it is gone", 60)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=1)


def test_many_at_once(scene: Scene, rollouts: Rollouts) -> None:
    """As many runs as there are targets, by one controller."""

    names = [f"web-{n}" for n in range(4)]
    made = [made for name in names for made in (deployment(name, scene.image("app:1"), replicas=2), service(name))]
    scene.deploy(*made, count=8)
    rollouts.control()
    for name in names:
        rollouts.apply(name, f"deploy/{name}", app="app:2", strategy=ONE)
    for name in names:
        rollouts.until(name, "Succeeded")
    assert len(scene.on_image("app:2")) == 8
    scene.check_same_pods()
    scene.check_no_orphans()
    scene.check_restarts(*[{"app": 1}] * 8)


def test_upgrade_leaves_it_to_the_controller_and_follows(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    rollouts.control()
    left = scene.start("--controller", "--max-unavailable", "1", app="app:2")
    scene.until_seen(any_closed, "the controller is at work")
    left.send(signal.SIGINT)
    ended = left.wait()
    assert ended.code == 130, ended
    assert "goes on in the cluster; watch it with: inplace watch ipr/" in ended.stderr
    again = scene.upgrade("--controller", "--max-unavailable", "1", app="app:2")
    assert "is already doing this" in again.said
    assert again.report["outcome"] == "Succeeded"
    scene.check(upgraded=2)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)
    assert len(scene.all("ipr")) == 1


def test_an_impossible_rollout_is_refused_and_nothing_is_written(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(1)
    rollouts.control()
    since = scene.witness.version()
    rollouts.apply("no", strategy=ONE, app=None, images=[{"container": "nobody", "image": "x:1"}])
    status = rollouts.until("no", "Refused")
    assert "nobody" in status["message"]
    assert scene.our_writes(since) == []
    rollouts.check_conditions("no", "Stalled")


def test_what_was_refused_is_judged_again_once_it_is_edited(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    scene.create(service("other", selector={"app": "web"}, publishNotReadyAddresses=True))
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy=ONE)
    status = rollouts.until("up", "Refused")
    assert "Service other" in status["message"], status
    rollouts.edit("up", acceptUndrainable=["other"], paused=True)
    scene.until(lambda: rollouts.phase("up") == "Waiting", "it waits as its spec says")
    rollouts.edit("up", paused=False)
    rollouts.until("up", "Succeeded")
    scene.check_same_pods()
    scene.check_no_orphans()


def test_labels_flip_and_pods_are_added_while_a_run_goes_on(scene: Scene, rollouts: Rollouts) -> None:
    """One process, one decision for each gate: what the labels say in the end is what the gates are, and what a label closes
    stays closed through the restart."""
    scene.web(4)
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 2})
    scene.until_seen(any_closed, "the run is at work")
    names = sorted(scene.uids())
    for name in names[:2]:
        scene.label(f"pod/{name}", **{"inplace.dev/serve": "false"})
    scene.scale("deploy/web", 5)
    scene.until(lambda: len(scene.uids()) == 5, "a fifth pod")
    scene.label(f"pod/{names[0]}", **{"inplace.dev/serve": "true"})
    rollouts.until("up", "Succeeded")
    gates = {name: condition(scene.get(f"pod/{name}"), "inplace.dev/ready") for name in scene.uids()}
    assert gates == {name: "False" if name == names[1] else "True" for name in scene.uids()}
    scene.label(f"pod/{names[1]}", **{"inplace.dev/serve": "true"})
    scene.until(lambda: condition(scene.get(f"pod/{names[1]}"), "inplace.dev/ready") == "True", "all gates are open", 30)
    assert len(scene.on_image("app:2")) == 5
