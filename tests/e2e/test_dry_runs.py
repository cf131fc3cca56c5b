"""Every command that has a dry run changes nothing, in the state in which it would do most.

On a real cluster, because it was a real API server that took a dry run for the real thing: beside a body it ignores the query
of a DELETE. All objects of the namespace are compared by resourceVersion.
"""

from __future__ import annotations

import json

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.scenarios.manifests import daemonset, service, statefulset
from tests.scenarios.scene import SETTLE, WEB, Scene

UNSTABLE = ("events", "events.events.k8s.io")
"""Others write these at any time."""


def versions(cluster: Cluster, ns: str) -> dict[str, str]:
    """`kind/name` to uid and resourceVersion, of everything in the namespace."""
    kinds = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    wanted = ",".join(kind for kind in kinds if kind not in UNSTABLE)
    items = json.loads(cluster.kubectl("-n", ns, "get", wanted, "-o", "json"))["items"]
    metas = {f"{item['kind']}/{item['metadata']['name']}": item["metadata"] for item in items}
    return {name: f"{meta['uid']} {meta['resourceVersion']}" for name, meta in metas.items()}


def changes_nothing(cluster: Cluster, scene: Scene, *words: str) -> str:
    """What it printed. Compared once nothing else in the namespace moves."""
    before: dict[str, str] = {}

    def at_rest() -> bool:
        nonlocal before
        last, before = before, versions(cluster, scene.ns)
        return last == before

    scene.until(at_rest, "the namespace is at rest", 120, every=3)
    ended = scene.inplace(*words)
    assert ended.code == 0, (words, ended)
    assert versions(cluster, scene.ns) == before, words
    return ended.stdout + ended.stderr


@pytest.mark.usefixtures("definition")
@pytest.mark.parametrize("how", ["client", "server"])
def test_install_and_uninstall(cluster: Cluster, scene: Scene, inplace: Inplace, how: str) -> None:
    words = ("--namespace-only", "--image", f"{cluster.registry}/inplace:missing")
    assert "controller" in changes_nothing(cluster, scene, "install", *words, "--dry-run", how)
    assert inplace("install", *words).code == 0
    cluster.kubectl("-n", scene.ns, "scale", "deployment", "--all", "--replicas=0")
    other = ("--namespace-only", "--image", f"{cluster.registry}/inplace:other")
    changes_nothing(cluster, scene, "install", *other, "--dry-run", how)
    said = changes_nothing(cluster, scene, "uninstall", "--namespace-only", "--dry-run", how)
    assert "deployment.apps/inplace-controller" in said
    assert inplace("uninstall", "--namespace-only").code == 0
    assert "Deployment/inplace-controller" not in versions(cluster, scene.ns)


@pytest.mark.parametrize("how", ["client", "server"])
def test_upgrade_and_undo_of_a_deployment(cluster: Cluster, scene: Scene, how: str) -> None:
    """Back to an image that an older ReplicaSet has already: a run would delete that one first."""
    scene.web(2)
    scene.upgrade(app="app:2")
    words = scene.command(app="app:1")
    assert "app:1" in changes_nothing(cluster, scene, "plan", *words[1:])
    assert "app:1" in changes_nothing(cluster, scene, *words, "--dry-run", how)
    assert "app:1" in changes_nothing(cluster, scene, "undo", WEB, "--dry-run", how)
    scene.upgrade(app="app:1")
    assert len(scene.all("rs")) == 2


@pytest.mark.parametrize("kind", ["sts", "ds"])
def test_upgrade_and_undo_behind_a_strategy(cluster: Cluster, scene: Scene, kind: str) -> None:
    if kind == "sts":
        scene.deploy(statefulset("web", scene.image("app:1"), replicas=2, parallel=True), service("web"), count=2)
    else:
        scene.deploy(daemonset("web", scene.image("app:1")), service("web"), count=2)
    target = f"{kind}/web"
    scene.upgrade(target=target, app="app:2")
    for words in (scene.command(target=target, app="app:1"), ("undo", target)):
        assert "app:1" in changes_nothing(cluster, scene, *words, "--dry-run", "server")


def test_repair_after_a_death(cluster: Cluster, scene: Scene) -> None:
    """One pod is left closed, and the commit of another Deployment half done."""
    scene.web(2)
    scene.killed_at(r"PATCH .*/pods/[^/ ]+/status .*Upgrading", 1, "after", *scene.command(app="app:2"))
    said = changes_nothing(cluster, scene, "repair", "--dry-run")
    assert "would" in said
    words = ("upgrade", WEB, f"app={scene.image('app:2')}", *SETTLE)
    scene.killed_at(r"POST .*/replicasets", 1, "before", *words)
    assert scene.get(WEB)["spec"]["paused"]
    said = changes_nothing(cluster, scene, "repair", "--dry-run")
    assert "would" in said
    assert scene.inplace("repair").code == 0
    scene.until(lambda: not scene.get(WEB)["spec"].get("paused"), "repair does what it said", 60)
