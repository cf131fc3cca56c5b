"""`upgrade` without images: a template was changed while its workload was paused, partitioned or OnDelete, and the pods are
brought to it. (To the end of it, for the latter two: test_partitions and test_daemon_sets.)"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import images_in, is_observed
from tests.scenarios.manifests import ON_DELETE, daemonset, partition, service, statefulset
from tests.scenarios.scene import WEB, Scene

pytestmark = pytest.mark.at_rest


def paused(scene: Scene, replicas: int = 2) -> None:
    scene.web(replicas)
    scene.merge(WEB, {"spec": {"paused": True}})
    scene.until(lambda: is_observed(scene.get(WEB)), "the pause is seen")


def test_set_image_while_paused(scene: Scene) -> None:
    """The pods come to it in place, and the pause stays the user's. Taken back, nothing moves any more."""
    paused(scene)
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until(lambda: is_observed(scene.get(WEB)), "the image is seen")
    scene.remember()
    planned = scene.inplace("plan", WEB, "--max-unavailable", "2")
    assert planned.code == 0, planned
    assert f"app        {scene.image('app:1')} -> {scene.image('app:2')}" in planned.stdout
    scene.upgrade("--max-unavailable", "2")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
    scene.check_restarts(*[{"app": 1}] * 2)
    assert scene.history() == {1: "app:1", 2: "app:2"}
    assert scene.get(WEB)["spec"]["paused"] is True
    again = scene.inplace("upgrade", WEB)
    assert (again.code, again.stdout) == (0, "the pods of deploy/web run what its template says\n")

    scene.merge(WEB, {"spec": {"paused": None}})
    scene.until_rolled_out()
    scene.check_quiet()
    scene.check_same_pods()


def test_nothing_to_do_when_the_template_is_not_ahead(scene: Scene) -> None:
    scene.web(2, serve=False)
    for verb in ("plan", "upgrade"):
        done = scene.inplace(verb, WEB)
        assert done.code == 0, done
        assert "run what its template says" in done.stdout, done
    assert scene.our_writes() == []


@pytest.mark.proof
def test_more_than_images_is_refused_and_each_difference_named(scene: Scene) -> None:
    paused(scene)
    env = [{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "NEW", "value": "1"}}]
    scene.patch(WEB, env, "application/json-patch+json")
    label = {"template": {"metadata": {"labels": {"tier": "front"}}, "spec": {"terminationGracePeriodSeconds": 7}}}
    scene.merge(WEB, {"spec": label})
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until(lambda: is_observed(scene.get(WEB)), "it is seen")
    scene.remember()
    named = ("metadata.labels.tier", "spec.containers[0].env", "spec.terminationGracePeriodSeconds", "kubectl rollout resume")
    scene.check_refused(scene.inplace("upgrade", WEB), 5, "the template of deploy/web differs", *named)
    assert scene.our_writes() == []
    assert scene.on_image("app:1") == set(scene.before)


@pytest.mark.proof
@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_from_the_middle_on_and_back(scene: Scene, verb: str) -> None:
    """Either way the template is the user's own wish, and stays as it is."""
    paused(scene, 3)
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.remember()
    halfway = scene.inplace("upgrade", WEB, "--settle", "0s", "--steps", "1,pause,100%")
    assert halfway.code == 4, halfway
    assert len(scene.on_image("app:2")) == 1
    done = scene.inplace(verb, WEB)
    assert done.code == 0, done
    scene.check_same_pods()
    assert scene.on_image("app:2" if verb == "resume" else "app:1") == set(scene.before)
    found = scene.get(WEB)
    assert images_in(found["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}
    assert found["spec"]["paused"] is True
    assert scene.stored_run()["outcome"] == ("Succeeded" if verb == "resume" else "Aborted")
    scene.check_no_orphans()
    scene.check_quiet()


@pytest.mark.proof
def test_other_images_than_those_that_somebody_set(scene: Scene) -> None:
    """The template that nobody has rolled out gives way, and the history has never seen it."""
    paused(scene)
    scene.set_images(WEB, app=scene.image("app:3"))
    scene.remember()
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
    scene.check_restarts(*[{"app": 1}] * 2)
    assert scene.history() == {1: "app:1", 2: "app:2"}


@dataclass(frozen=True)
class Held:
    """A workload whose owner holds its pods back: how many, and so many that have come to a new template all the same."""

    target: str
    manifest: Callable[[str], Object]
    pods: int
    ahead: int


HELD = {
    "sts": Held("sts/web", lambda image: statefulset("web", image, parallel=True, strategy=partition(2)), 3, 1),
    "ds": Held("ds/web", lambda image: daemonset("web", image, strategy=ON_DELETE), 2, 0),
}


@pytest.mark.parametrize("kind", HELD)
def test_abort_leaves_a_template_that_somebody_set(scene: Scene, kind: str) -> None:
    """Pods that their owner's strategy holds back go back to their revision, and stay there; those that it does not are new,
    as they were before the run."""
    held = HELD[kind]
    scene.deploy(held.manifest(scene.image("app:1")), service("web"), count=held.pods)
    scene.run_gates()
    strategy = scene.get(held.target)["spec"]["updateStrategy"]
    scene.set_images(held.target, app=scene.image("app:2"))
    scene.until(lambda: is_observed(scene.get(held.target)), "the image is seen")
    scene.until(lambda: len(scene.on_image("app:2")) == held.ahead and all_ready(scene, held.pods), "what is not held is new")
    scene.remember()
    halfway = scene.inplace("upgrade", held.target, "--settle", "0s", "--steps", f"{held.ahead + 1},pause,100%")
    assert halfway.code == 4, halfway
    assert len(scene.on_image("app:2")) == held.ahead + 1
    aborted = scene.inplace("abort", held.target)
    assert aborted.code == 0, aborted
    scene.check_same_pods()
    assert len(scene.on_image("app:2")) == held.ahead
    found = scene.get(held.target)
    assert images_in(found["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}
    assert found["spec"]["updateStrategy"] == strategy
    scene.check_no_orphans()
    scene.check_quiet()
    scene.check_same_pods()
    again = scene.inplace("upgrade", held.target, "--settle", "0s")
    assert again.code == 0, again
    assert len(scene.on_image("app:2")) == held.pods
    scene.check_quiet()
    scene.check_same_pods()


def all_ready(scene: Scene, count: int) -> bool:
    found = scene.all("pod")
    return sum(condition(p, "Ready") == "True" for p in found) == len(found) == count
