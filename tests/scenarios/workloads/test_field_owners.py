"""Whose the fields are after an upgrade: the next server-side apply conflicts with nobody but whom it would have without us."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.recorder import Object
from tests.scenarios.manifests import daemonset, deployment, pod, service, statefulset
from tests.scenarios.objects import ApiRefused
from tests.scenarios.scene import SETTLE, Scene

pytestmark = [pytest.mark.at_rest, pytest.mark.sampled]

MAKE: dict[str, Callable[[str], Object]] = {
    "deploy/web": lambda image: deployment("web", image, replicas=2),
    "sts/web": lambda image: statefulset("web", image, replicas=2, parallel=True),
    "ds/web": lambda image: daemonset("web", image),
}


def made(scene: Scene, target: str, how: str) -> Object:
    """The manifest, as a person has created it: by an Update, as `helm install` and `kubectl create` do, or by an Apply."""
    manifest = MAKE[target](scene.image("app:1"))
    kind = target.partition("/")[0]
    if how == "Apply":
        scene.apply(manifest, "helm")
    else:
        scene.send("POST", scene.path(kind), manifest, fieldManager="helm")
    if how == "kubectl set":
        image = {"containers": [{"name": "app", "image": scene.image("app:4")}]}
        scene.patch(target, {"spec": {"template": {"spec": image}}}, fieldManager="kubectl-set")
        scene.until(lambda: len(scene.on_image("app:4")) == len(scene.all("pod")) == 2, "rolled out")
    scene.deploy(service("web"), count=2)
    return manifest


def conflicts(scene: Scene, manifest: Object, ref: str, manager: str) -> str:
    """Of an apply of another image: what the API server says; empty: none."""
    spec = manifest["spec"].get("template", manifest)["spec"]
    spec["containers"][0]["image"] = scene.image(ref)
    try:
        scene.apply(manifest, manager, dryRun="All")
    except ApiRefused as refused:
        return str(refused)
    return ""


def owners(scene: Scene, reference: str) -> set[str]:
    """Of anything in the spec."""
    managed = scene.get(reference)["metadata"]["managedFields"]
    return {entry["manager"] for entry in managed if "f:spec" in entry["fieldsV1"]}


@pytest.mark.parametrize("target", MAKE)
@pytest.mark.parametrize(
    ("how", "named"), [("Apply", ""), ("create", 'conflict with "helm"'), ("kubectl set", 'conflict with "kubectl-set"')]
)
def test_conflicts_are_what_they_would_have_been(scene: Scene, target: str, how: str, named: str) -> None:
    scene.run_gates()
    manifest = made(scene, target, how)
    scene.remember()
    control = conflicts(scene, manifest, "app:3", "helm")
    upgraded = scene.inplace(*scene.command("--max-unavailable", "2", target=target, app="app:2"))
    assert upgraded.code == 0, upgraded
    scene.check_same_pods()
    assert "inplace" not in owners(scene, target)
    told = conflicts(scene, manifest, "app:3", "helm")
    assert told == control
    assert named in told
    assert bool(named) == bool(told)


@pytest.mark.parametrize("how", ["by name", "by selector"])
@pytest.mark.parametrize("operation", ["Apply", "create"])
def test_bare_pods(scene: Scene, how: str, operation: str) -> None:
    manifests = [pod(f"game-{i}", scene.image("app:1")) for i in range(2)]
    for manifest in manifests:
        manifest["metadata"]["labels"] = {"app": "game"}
        if operation == "Apply":
            scene.apply(manifest, "helm")
        else:
            scene.send("POST", scene.path("pod"), manifest, fieldManager="helm")
    scene.deploy(service("game"), count=2)
    controls = [conflicts(scene, manifest, "app:3", "helm") for manifest in manifests]
    words = ["pod/game-0", "pod/game-1"] if how == "by name" else ["pods", "-l", "app=game"]
    image = f"app={scene.image('app:2')}"
    upgraded = scene.inplace("upgrade", *words, image, *SETTLE, "--max-unavailable", "2")
    assert upgraded.code == 0, upgraded
    scene.check_same_pods()
    assert [conflicts(scene, manifest, "app:3", "helm") for manifest in manifests] == controls


def test_what_somebody_took_in_the_middle_stays_theirs(scene: Scene) -> None:
    """The image that the run has set already, by a forced apply."""
    scene.run_gates()
    manifest = made(scene, "sts/web", "create")
    scene.remember()
    paused = scene.inplace(*scene.command("--steps", "1,pause,100%", target="sts/web", app="app:2"))
    assert paused.code == 4, paused
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = scene.image("app:2")
    del manifest["spec"]["serviceName"]
    wanted = {**manifest, "spec": {"selector": manifest["spec"]["selector"], "template": manifest["spec"]["template"]}}
    scene.apply(wanted, "gitops", force="true")
    done = scene.inplace("resume", "sts/web")
    assert done.code == 0, done
    told = conflicts(scene, wanted, "app:3", "another")
    assert 'conflicts with "gitops"' in told or 'conflict with "gitops"' in told
    assert "inplace" not in owners(scene, "sts/web")
