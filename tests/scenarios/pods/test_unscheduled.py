"""Pods without a node: nothing of them runs, so their image is changed at once, and they hold up nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.recorder import Object, Rules
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Result
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import GATE, daemonset, deployment, pod, service, statefulset
from tests.scenarios.scene import Scene

NODES = ("node1", "node2")
AFFINITY: Object = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"blocks": "web"}}}
        ]
    }
}
"""The cluster is full for pods of `web` as soon as a blocker runs on each node; those that run stay."""
ONE = ("--settle", "1s", "--max-unavailable", "1", "--restart-timeout", "30s")
PLURAL = {"deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet"}
Make = Callable[..., Object]
WORKLOADS: dict[str, tuple[str, Make]] = {
    "deploy": ("deploy", lambda image, replicas: deployment("web", image, replicas=replicas, affinity=AFFINITY)),
    "sts": ("sts", lambda image, replicas: statefulset("web", image, replicas=replicas, affinity=AFFINITY)),
    "parallel": ("sts", lambda image, replicas: statefulset("web", image, replicas=replicas, parallel=True, affinity=AFFINITY)),
}
KINDS = pytest.mark.parametrize("kind", WORKLOADS)


@contextmanager
def full(scene: Scene, *nodes: str) -> Iterator[None]:
    """No room for another pod of `web` on these nodes. The blockers are put there past the scheduler."""
    blockers = [pod(f"blocker-{node}", scene.image("app:1"), gate=None, nodeName=node) for node in nodes]
    for blocker in blockers:
        blocker["metadata"]["labels"] = {"blocks": "web"}
    scene.create(*blockers)
    scene.until(lambda: {condition(p, "Ready") for p in scene.pods("blocks=web")} == {"True"}, "the nodes are full")
    yield
    for blocker in blockers:
        scene.delete(f"pod/{blocker['metadata']['name']}", grace=1)


def web(scene: Scene) -> list[Object]:
    return scene.pods("app=web")


def homeless(scene: Scene) -> list[Object]:
    return [p for p in web(scene) if "nodeName" not in p["spec"]]


def one_without_a_node(scene: Scene, kind: str, replicas: int = 3) -> str:
    """Two serve, and a third finds no room; of the rest there is nothing, or as little."""
    short = WORKLOADS[kind][0]
    scene.scale(f"{short}/web", replicas)
    return str(scene.until(lambda: homeless(scene), "one pod finds no room")[0]["metadata"]["name"])


def deploy(scene: Scene, kind: str) -> None:
    scene.deploy(WORKLOADS[kind][1](scene.image("app:1"), 2), service("web"), count=2)


def upgrade(scene: Scene, kind: str, ref: str, *options: str) -> Result:
    return scene.inplace("upgrade", f"{WORKLOADS[kind][0]}/web", f"app={scene.image(ref)}", *ONE, *options)


def images(scene: Scene) -> set[str]:
    return {images_in(p["spec"])["app"].removeprefix(f"{scene.stage.registry}/") for p in web(scene)}


def check_free(scene: Scene) -> None:
    """Nothing of ours is left on a pod, and none is closed."""
    for found in web(scene):
        assert not annotation(found, RECORD)
        assert condition(found, GATE) != "False"


def serves_when_there_is_room(scene: Scene, ref: str, replicas: int) -> None:
    """With nobody's help, but for the gate controller that every new pod needs. `restarts`: the new image is its first."""

    def serve() -> bool:
        scene.open_gates("app=web")
        return len(web(scene)) == replicas and all(condition(p, "Ready") == "True" for p in web(scene))

    scene.until(serve, "all serve", 180)
    assert images(scene) == {ref}


@KINDS
def test_a_pod_without_a_node_is_updated_at_once(scene: Scene, kind: str) -> None:
    deploy(scene, kind)
    with full(scene, *NODES):
        name = one_without_a_node(scene, kind)
        done = upgrade(scene, kind, "app:2")
        assert done.code == 0, done
        assert f"pod/{name} is updated and waits for a node" in done.stdout, done
        assert images(scene) == {"app:2"}
        assert [p["metadata"]["name"] for p in homeless(scene)] == [name]
        check_free(scene)
        short = WORKLOADS[kind][0]
        assert images_in(scene.get(f"{short}/web")["spec"]["template"]["spec"])["app"] == scene.image("app:2")
        assert "waiting for a node" in scene.inplace("status", f"{short}/web").stdout
        scene.witness.check(Rules(1, f"{PLURAL[short]}/web", upgraded=2))
        same = upgrade(scene, kind, "app:2")
        assert same.code == 0, same
        assert "already" in same.stdout, same
    serves_when_there_is_room(scene, "app:2", 3)
    assert scene.restarts("app=web")[name] == {"app": 0}


def test_a_daemon_sets_pod_without_a_node(scene: Scene) -> None:
    with full(scene, "node2"):
        scene.create(daemonset("web", scene.image("app:1"), affinity=AFFINITY), service("web"))

        def one_serves() -> bool:
            scene.open_gates("app=web")
            return [condition(p, "Ready") for p in web(scene) if p not in homeless(scene)] == ["True"] and bool(homeless(scene))

        scene.until(one_serves, "one serves, and one finds no room")
        scene.until(lambda: scene.get("ds/web")["status"].get("updatedNumberScheduled") == 2, "its controller counts both")
        done = scene.inplace("upgrade", "ds/web", f"app={scene.image('app:2')}", *ONE, "--allow-outage")
        assert done.code == 0, done
        assert "is updated and waits for a node" in done.stdout, done
        assert images(scene) == {"app:2"}
        assert len({p["metadata"]["labels"]["controller-revision-hash"] for p in web(scene)}) == 1
        check_free(scene)
    serves_when_there_is_room(scene, "app:2", 2)


@KINDS
def test_a_pod_without_a_node_is_no_failure_and_is_rolled_back(scene: Scene, kind: str) -> None:
    """What fails is the bad image on a pod that runs; the pod without a node goes back as it came, at once."""
    deploy(scene, kind)
    with full(scene, *NODES):
        name = one_without_a_node(scene, kind)
        failed = upgrade(scene, kind, "app:missing", "--on-failure", "rollback")
        assert failed.code == 1, failed
        assert f"pod/{name}" not in failed.stdout.partition("rolled back")[2].partition(":")[0], failed
        assert "ImagePullBackOff" in failed.stdout, failed
        assert images(scene) == {"app:1"}
        check_free(scene)
    serves_when_there_is_room(scene, "app:1", 3)


def test_replicas_that_an_ordered_stateful_set_does_not_make_yet(scene: Scene) -> None:
    """Its controller makes web-3 and web-4 only once web-2 is ready: they come from the new template then."""
    deploy(scene, "sts")
    own: Any = scene.get("sts/web")["spec"]["updateStrategy"]
    with full(scene, *NODES):
        one_without_a_node(scene, "sts", 5)
        done = upgrade(scene, "sts", "app:2")
        assert done.code == 0, done
        assert scene.get("sts/web")["spec"]["updateStrategy"] == own
        assert (images(scene), len(web(scene))) == ({"app:2"}, 3)
    serves_when_there_is_room(scene, "app:2", 5)


def test_aborted_it_goes_back_at_once(scene: Scene) -> None:
    deploy(scene, "deploy")
    with full(scene, *NODES):
        one_without_a_node(scene, "deploy")
        paused = upgrade(scene, "deploy", "app:2", "--steps", "2,pause,100%")
        assert paused.code == 4, paused
        assert len(scene.on_image("app:2")) == 2, "nothing of it runs, so it is none of those that a step is looked at for"
        assert not {p["metadata"]["name"] for p in homeless(scene)} & scene.on_image("app:2")
        went_on = scene.inplace("resume", "deploy/web")
        assert went_on.code == 0, went_on
        assert "is updated and waits for a node" in went_on.stdout, went_on
        back = scene.inplace("undo", "deploy/web", "--settle", "1s")
        assert back.code == 0, back
        assert images(scene) == {"app:1"}
        check_free(scene)
    serves_when_there_is_room(scene, "app:1", 3)
