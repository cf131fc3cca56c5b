"""Killed or interrupted anywhere, the same command goes on, and ends as if nothing had happened."""

import signal

import pytest

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.facts import any_closed, any_patched, back, living, recorded, told_holder
from tests.scenarios.manifests import GATE, container, deployment, service
from tests.scenarios.scene import LEASE, Scene

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]

POD = r"PATCH .*/pods/[^/ ]+"
# The write at which the command dies: a pattern, the how manieth of its kind, and whether the API server still gets it.
MOMENTS: dict[str, tuple[str, int, Moment]] = {
    "the lock is taken, nothing else": (r"POST .*/leases", 1, "after"),
    "a pod is closed": (rf"{POD}/status .*Upgrading", 1, "after"),
    "drained and settled, the image not yet written": (f"{POD} ", 1, "before"),
    "the image is written, its answer lost": (f"{POD} ", 1, "after"),
    "restarted, the gate not yet opened": (rf"{POD}/status .*Upgraded", 1, "before"),
    "the last gate is opened, its answer lost": (rf"{POD}/status .*Upgraded", 3, "after"),
    "the Deployment is paused": (r"PATCH .*/deployments/web .*paused", 1, "after"),
    "the ReplicaSet has the new template": (r"PATCH .*/replicasets/", 1, "after"),
    "both templates are new, the old one is not buried": (r"POST .*/replicasets", 1, "before"),
    "the old template is buried, the Deployment still paused": (r"POST .*/replicasets", 1, "after"),
    "the Deployment is unpaused, its answer lost": (r"PATCH .*/deployments/web .*paused", 2, "after"),
}
HISTORY = {1: "app:1", 2: "app:2"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed(scene: Scene, moment: str) -> None:
    """One restart per container, three writes per pod in all, and the history of a clean run."""
    scene.web()
    command = scene.command("--max-unavailable", "2", app="app:2")
    scene.killed_at(*MOMENTS[moment], *command)
    dead = told_holder(scene.get(f"lease/{LEASE}"))

    resumed = scene.inplace(*command)
    assert resumed.code == 0, resumed
    assert f"deploy/web is locked by {dead}; watching for 15s whether it is alive" in resumed.stdout + resumed.stderr
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    scene.check_consistent("app:2", HISTORY)
    scene.check(upgraded=3, max_unavailable=2)
    scene.check_quiet()
    again = scene.inplace(*command)
    assert (again.code, again.stdout) == (0, f"deploy/web runs app={scene.image('app:2')} already\n")


OTHER_GATE = "www.example.com/b"


def with_two_gates(scene: Scene) -> None:
    made = deployment("web", scene.image("app:1"))
    made["spec"]["template"]["spec"]["readinessGates"].append({"conditionType": OTHER_GATE})
    scene.create(made, service("web"))
    scene.until(lambda: len(scene.pods()) == 3, "three pods")
    for gate in (GATE, OTHER_GATE):
        scene.open_gates(gate=gate)
    scene.until_all_serve()
    scene.remember()


@pytest.mark.parametrize("moment", ["a pod is closed", "the image is written, its answer lost"])
@pytest.mark.parametrize("ref", ["app:2", "app:3"], ids=["the same images", "others"])
def test_with_another_gate_than_before(scene: Scene, moment: str, ref: str) -> None:
    """What was closed by the first is opened by the first."""
    with_two_gates(scene)
    scene.killed_at(*MOMENTS[moment], *scene.command("--max-unavailable", "1", app="app:2"))
    resumed = scene.inplace(*scene.command("--max-unavailable", "1", "--gate", OTHER_GATE, app=ref))
    assert resumed.code == 0, resumed
    scene.check_same_pods()
    scene.check_consistent(ref, {1: "app:1", 2: ref})
    scene.check_no_orphans(OTHER_GATE)


def test_killed_twice_in_one_upgrade(scene: Scene) -> None:
    scene.web()
    command = scene.command("--max-unavailable", "1", app="app:2")
    scene.killed_at(*MOMENTS["the image is written, its answer lost"], *command)
    scene.killed_at(*MOMENTS["the ReplicaSet has the new template"], *command)
    assert scene.inplace(*command).code == 0
    scene.check_consistent("app:2", HISTORY)
    scene.check(upgraded=3)


@pytest.mark.parametrize(
    "moment", ["the ReplicaSet has the new template", "the old template is buried, the Deployment still paused"]
)
def test_a_half_done_commit_is_finished_before_other_images(scene: Scene, moment: str) -> None:
    """So that the history has all three revisions, and each pod was restarted twice."""
    scene.web()
    scene.killed_at(*MOMENTS[moment], *scene.command("--max-unavailable", "2", app="app:2"))
    third = scene.inplace(*scene.command("--max-unavailable", "2", app="app:3"))
    assert third.code == 0, third
    assert f"finishing the commit of app={scene.image('app:2')} first" in third.stdout + third.stderr
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 2}] * 3)
    scene.check_consistent("app:3", {1: "app:1", 2: "app:2", 3: "app:3"})
    scene.check(upgraded=3, max_unavailable=2, writes=None)


@pytest.mark.parametrize("moment", ["a pod is closed", "the image is written, its answer lost"])
def test_other_images_adopt_the_pods_of_a_dead_run(scene: Scene, moment: str) -> None:
    """No pod ends on the images of the dead run, and `undo` goes from the new ones to the first."""
    scene.web()
    scene.killed_at(*MOMENTS[moment], *scene.command("--max-unavailable", "1", app="app:2"))
    other = scene.inplace(*scene.command("--max-unavailable", "1", app="app:3"))
    assert other.code == 0, other
    scene.check_same_pods()
    scene.check_consistent("app:3", {1: "app:1", 2: "app:3"})
    scene.check(upgraded=3, writes=None)


@pytest.mark.parametrize(
    ("stage_of_a_pod", "number"),
    [("closing", signal.SIGINT), ("between", signal.SIGINT), ("restarting", signal.SIGINT), ("restarting", signal.SIGTERM)],
)
def test_interrupted_once(scene: Scene, stage_of_a_pod: str, number: signal.Signals) -> None:
    """Pods in flight are finished, or reopened where their image is the old one; the lock is free at once."""
    scene.web()
    new = scene.image("app:2")
    command = scene.command("--max-unavailable", "1", app="app:2")
    run = scene.stage.start(*command)
    happened = {"closing": any_closed, "restarting": any_patched(new), "between": back(new, 1)}[stage_of_a_pod]
    scene.until_seen(happened, stage_of_a_pod)
    run.send(number)
    ended = run.wait(60)
    assert ended.code == 130, ended
    assert f"interrupted by {'SIGTERM' if number == signal.SIGTERM else 'Ctrl-C'}" in ended.stdout, ended
    assert f"resume with:  inplace upgrade deploy/web app={new}" in ended.stderr, ended
    scene.check_no_orphans()
    assert len(scene.on_image("app:2")) < 3
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "the kubelet follows the gates", 30)
    assert scene.history() == {1: "app:1"}
    assert not scene.holder()
    assert scene.stored_run()["outcome"] == "Interrupted"

    resumed = scene.inplace(*command)
    assert resumed.code == 0, resumed
    assert "watching for 15s" not in resumed.stdout + resumed.stderr
    scene.check_consistent("app:2", HISTORY)
    scene.check(upgraded=3, writes=None)


def test_interrupted_twice_leaves_at_once(scene: Scene) -> None:
    """While a pod takes its time to come back; its record says whose it is, and the same command finishes it."""
    containers = [container("app", scene.image("app:1"), boot=8)]
    scene.deploy(deployment("web", containers, replicas=2), service("web"), count=2)
    command = scene.command("--max-unavailable", "1", app="app:2")
    run = scene.stage.start(*command)
    scene.until_seen(any_patched(scene.image("app:2")), "a pod is restarting")
    run.send(signal.SIGINT)
    scene.until(lambda: "press Ctrl-C to quit now" in run.stdout + run.stderr, "the first is heard", 30, every=0.01)
    run.send(signal.SIGINT)
    left = run.wait(30)
    assert left.code == 130, left
    assert "stopped at once, with 1 pod in flight; resume with: inplace upgrade deploy/web" in left.stderr, left
    assert any(condition(p, "Ready") != "True" for p in scene.pods()), "it did not wait for the pod"
    for pod in recorded(living(scene.witness.log())):
        assert scene.stored_run()["id"] in pod["metadata"]["annotations"]["inplace.dev/upgrade"]

    resumed = scene.inplace(*command)
    assert resumed.code == 0, resumed
    assert "watching for 15s" not in resumed.stdout + resumed.stderr, "the lock was let go of"
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2)


def test_a_commit_is_finished_on_ctrl_c(scene: Scene) -> None:
    scene.web(2)

    def interrupt(command: Running, write: str, moment: Moment) -> None:
        if moment == "after" and write.startswith("PATCH") and "/replicasets/" in write:
            command.send(signal.SIGINT)

    ended = scene.stage.start(*scene.command("--max-unavailable", "2", app="app:2"), on_write=interrupt).wait()
    assert ended.code == 0, ended
    assert "interrupted by Ctrl-C" in ended.stdout + ended.stderr, "it was heard"
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2, max_unavailable=2)
