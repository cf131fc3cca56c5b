"""Admission answers otherwise than it was asked: digests, mirrors, other images; before the first write and in the middle."""

from __future__ import annotations

import json
import re

import pytest

from tests.recorder.log import RECORD, annotation
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.facts import any_closed, images_in
from tests.scenarios.manifests import daemonset, service, statefulset
from tests.scenarios.policies import Policy, Refuses, Rewrites
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import WEB, Scene

pytestmark = [pytest.mark.sampled, pytest.mark.since(36)]  # MutatingAdmissionPolicy v1

REFUSED = 5
ONE = ("--max-unavailable", "1")
HISTORY = {1: "app:1", 2: "app:2"}


def pinned(scene: Scene, ref: str) -> str:
    return f"{scene.image(ref)}@{scene.stage.digest(ref)}"


def pins(scene: Scene, resource: str, ref: str = "app:2") -> Policy:
    return Rewrites("pin", resource, scene.image(ref), pinned(scene, ref))


def mirrors(scene: Scene, resource: str) -> Policy:
    scene.stage.push("mirror/app:2", "2")
    return Rewrites("mirror", resource, scene.image("app:2"), scene.image("mirror/app:2"))


def retags(scene: Scene, resource: str) -> Policy:
    return Rewrites("retag", resource, scene.image("app:2"), scene.image("app:3"))


def template_of(scene: Scene, reference: str = WEB) -> str:
    return images_in(scene.get(reference)["spec"]["template"]["spec"])["app"]


def on_pods(scene: Scene) -> set[str]:
    return {images["app"] for images in scene.images().values()}


def check_ends_with(scene: Scene, image: str, reference: str = WEB) -> None:
    """In place, all of it, with nothing left for anybody to do."""
    scene.until_all_serve()
    scene.check_same_pods()
    scene.check_no_orphans()
    assert on_pods(scene) == {image}
    assert template_of(scene, reference) == image
    scene.check_quiet()


def test_a_policy_that_pins_digests_on_deployments(scene: Scene) -> None:
    scene.web(3)
    scene.run_gates()
    scene.remember()
    scene.enforce(pins(scene, "deployments"))
    made = pinned(scene, "app:2")
    planned = scene.inplace("plan", WEB, f"app={scene.image('app:2')}", *ONE)
    assert planned.code == 0, planned
    assert f"{scene.image('app:1')} -> {made}" in planned.stdout
    assert f"warning: admission makes {made} of {scene.image('app:2')} (container app)" in planned.stderr
    ended = scene.upgrade(*ONE, app="app:2")
    assert ended.report["outcome"] == "Succeeded"
    check_ends_with(scene, made)
    assert [scene.stored_run()[key] for key in ("images", "named")] == [{"app": made}, {"app": scene.image("app:2")}]
    status = scene.inplace("status", WEB)
    assert f"requested  app={scene.image('app:2')}" in status.stdout, status
    again = scene.inplace(*scene.command(*ONE, app="app:2"))
    assert (again.code, again.stdout) == (0, f"{WEB} runs app={made} already\n"), again
    undone = scene.inplace("undo", WEB, "--settle", "1s")
    assert undone.code == 0, undone
    check_ends_with(scene, scene.image("app:1"))


def test_a_policy_that_mirrors_images_of_stateful_sets(scene: Scene) -> None:
    scene.deploy(statefulset("db", scene.image("app:1"), parallel=True), service("db"), count=3)
    scene.run_gates()
    scene.remember()
    scene.enforce(mirrors(scene, "statefulsets"))
    scene.upgrade(*ONE, target="sts/db", app="app:2")
    check_ends_with(scene, scene.image("mirror/app:2"), "sts/db")


def test_a_policy_that_mirrors_images_of_daemon_sets(scene: Scene) -> None:
    scene.deploy(daemonset("agent", scene.image("app:1")), service("agent"), count=2)
    scene.run_gates()
    scene.remember()
    scene.enforce(mirrors(scene, "daemonsets"))
    scene.upgrade(*ONE, target="ds/agent", app="app:2")
    check_ends_with(scene, scene.image("mirror/app:2"), "ds/agent")


def test_a_policy_on_the_pods_alone(scene: Scene) -> None:
    """The template says what a person asked for; the pods run what admission makes of it."""
    scene.web(3)
    scene.run_gates()
    scene.remember()
    scene.enforce(pins(scene, "pods"))
    scene.upgrade(*ONE, app="app:2")
    scene.until_all_serve()
    scene.check_same_pods()
    scene.check_no_orphans()
    assert on_pods(scene) == {pinned(scene, "app:2")}
    assert template_of(scene) == scene.image("app:2")
    assert scene.history() == HISTORY
    scene.check(upgraded=3)
    scene.check_quiet()


def test_pods_that_were_born_with_another_name_go_back_to_it(scene: Scene) -> None:
    """And those that were never touched are left alone."""
    scene.stage.push("mirror/app:1", "1")
    scene.enforce(Rewrites("mirror", "pods", scene.image("app:1"), scene.image("mirror/app:1"), ("CREATE",)))
    scene.web(3)
    scene.run_gates()
    scene.remember()
    assert (template_of(scene), on_pods(scene)) == (scene.image("app:1"), {scene.image("mirror/app:1")})
    failed = scene.inplace(*scene.command(*ONE, app="app:crash"))
    assert failed.code == 1, failed
    aborted = scene.inplace("abort", WEB)
    assert aborted.code == 0, aborted
    assert on_pods(scene) == {scene.image("mirror/app:1")}
    scene.until_all_serve()
    scene.check_same_pods()
    scene.check_no_orphans()
    touched = [counts["app"] for counts in scene.restarts().values() if counts["app"]]
    assert len(touched) == 1, "one pod was touched, and it alone has restarted"
    scene.check_quiet()


@pytest.mark.parametrize("resource", ["deployments", "pods", "replicasets"])
def test_a_policy_that_makes_another_image_of_it_is_refused(scene: Scene, resource: str) -> None:
    scene.web(2)
    scene.remember()
    scene.enforce(retags(scene, resource))
    why = f"ImageChangedByAdmission: admission makes {scene.image('app:3')} of {scene.image('app:2')} (container app)"
    for words in (scene.command(*ONE, app="app:2"), scene.command("--dry-run", "server", app="app:2")):
        scene.check_refused(scene.inplace(*words), REFUSED, why)
    assert scene.our_writes() == []
    assert on_pods(scene) == {scene.image("app:1")}


def test_what_a_policy_refuses_is_refused_before_the_first_write(scene: Scene) -> None:
    scene.web(2)
    scene.remember()
    scene.enforce(Refuses("no-two", "pods", "no app:2 here", image=scene.image("app:2")))
    refused = scene.inplace(*scene.command(*ONE, app="app:2"))
    scene.check_refused(refused, REFUSED, "to change the images of pod/web-", f"'{scene.ns}-no-two'", "no app:2 here")
    assert scene.our_writes() == []


def enforcing(scene: Scene, policy: Policy, command: tuple[str, ...], pattern: str) -> tuple[int, str]:
    """Runs the command; the policy is there right before the first write that matches. Its code and what it said."""
    left = [policy]

    def met(_command: Running, write: str, moment: Moment) -> None:
        if left and moment == "before" and re.match(pattern, write):
            scene.enforce(left.pop())

    ended = scene.stage.start(*command, on_write=met).wait()
    assert not left
    return ended.code, f"{ended.stdout}{ended.stderr}"


def test_a_policy_that_appears_midrun_fails_the_pod_and_opens_it(scene: Scene) -> None:
    scene.web(3)
    scene.run_gates()
    scene.remember()
    command = scene.command(*ONE, app="app:2")
    code, said = enforcing(scene, retags(scene, "pods"), command, r"PATCH .*/pods/[^/]+/status .*False")
    assert code == 1, said
    assert f"ImageChangedByAdmission: admission makes {scene.image('app:3')} of {scene.image('app:2')}" in said
    assert scene.on_image("app:3")
    assert len(scene.on_image("app:1")) == 2
    scene.until_all_serve()
    scene.check_same_pods()
    scene.check_no_orphans()
    assert template_of(scene) == scene.image("app:1")
    back = scene.inplace("abort", WEB)
    assert back.code == 0, back
    check_ends_with(scene, scene.image("app:1"))


def test_digests_that_are_pinned_from_the_middle_on(scene: Scene) -> None:
    """On pods and on templates: what stands for the image is taken, and the two templates are one."""
    scene.web(2)
    scene.run_gates()
    scene.remember()
    command = scene.command(*ONE, app="app:2")
    code, said = enforcing(scene, pins(scene, "deployments"), command, r"PATCH .*/pods/[^/]+/status .*False")
    assert code == 0, said
    scene.until_all_serve()
    scene.check_same_pods()
    assert template_of(scene) == pinned(scene, "app:2")
    scene.check_quiet()


def test_repair_frees_a_pod_that_runs_an_image_admission_rewrote(scene: Scene) -> None:
    """As runs of before left it: patched twice, the second time with the container that runs already as the one before."""
    scene.web(2)
    scene.remember()
    made = pinned(scene, "app:2")
    command = scene.command(*ONE, app="app:2")
    scene.killed_at(r"PATCH .*/pods/[^/]+/status .*False", 1, "after", *command)
    (name,) = (pod["metadata"]["name"] for pod in scene.pods() if annotation(pod, RECORD))
    scene.set_images(f"pod/{name}", app=made)
    running = scene.until(lambda: _running(scene, name, made), "the new container runs")
    pod = scene.get(f"pod/{name}")
    record = json.loads(annotation(pod, RECORD) or "")
    record["before"] = {"app": {"containerID": running, "imageID": "", "image": made}}
    scene.annotate(f"pod/{name}", {RECORD: json.dumps(record)})
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    scene.until_all_serve()
    scene.check_no_orphans()
    assert scene.restarts()[name]["app"] == 1


def _running(scene: Scene, name: str, image: str) -> str:
    pod = scene.get(f"pod/{name}")
    (status,) = pod["status"]["containerStatuses"]
    seen = pod["status"].get("observedGeneration") == pod["metadata"]["generation"]
    assert images_in(pod["spec"])["app"] == image
    return str(status["containerID"]) if seen and status["restartCount"] and "running" in status["state"] else ""


def test_the_controller_takes_what_admission_makes_of_the_images(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    scene.remember()
    scene.enforce(pins(scene, "deployments"))
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    rollouts.until("up", "Succeeded")
    check_ends_with(scene, pinned(scene, "app:2"))


def test_the_controller_refuses_another_image(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(2)
    scene.remember()
    lift = scene.enforce(retags(scene, "deployments"))
    rollouts.control()
    rollouts.apply("up", app="app:2")
    refused = rollouts.until("up", "Refused")
    assert f"admission makes {scene.image('app:3')} of {scene.image('app:2')}" in refused["message"]
    assert on_pods(scene) == {scene.image("app:1")}
    lift()


def test_a_policy_that_appears_under_the_controller(scene: Scene, rollouts: Rollouts) -> None:
    scene.web(3)
    scene.remember()
    rollouts.control()
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1}, drain={"settleSeconds": 5})
    scene.until_seen(any_closed, "the first pod is closed")
    scene.enforce(retags(scene, "pods"))
    failed = rollouts.until("up", "Failed")
    assert failed["failures"][0]["reason"] == "ImageChangedByAdmission"
    scene.until_all_serve()
    scene.check_same_pods()
    scene.check_no_orphans()
