"""Failing updates one after the other hurt the same pod, never one more, and the good image begins with it."""

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import daemonset, deployment, service, statefulset
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.sampled

BAD = ("app:crash", "app:mute", "app:missing")
"""It ends at once, it never becomes ready, it does not exist."""
KINDS = {
    "ds/web": lambda image: daemonset("web", image, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}),
    "sts/web": lambda image: statefulset("web", image, replicas=3, parallel=True),
    "deploy/web": lambda image: deployment("web", image, replicas=3),
}
"""Three where there may be: of two the Service keeps the second in service, whatever the budget says."""


@pytest.mark.parametrize("target", KINDS)
def test_three_bad_images_hurt_one_pod(scene: Scene, target: str) -> None:
    count = 2 if target == "ds/web" else 3
    scene.deploy(KINDS[target](scene.image("app:1")), service("web"), count=count)
    hurt: set[str] = set()
    for bad in BAD:
        options = ("--restart-timeout", "15s", "--max-unavailable", "1")
        failed = scene.inplace(*scene.command(*options, target=target, app=bad))
        assert failed.code == 1, failed
        assert len(scene.on_image(bad)) == 1
        hurt |= scene.on_image(bad)
        assert len(hurt) == 1, "the one that serves nobody goes first"
        assert all(serves(pod) for pod in scene.pods() if pod["metadata"]["name"] not in hurt)

    scene.upgrade("--max-unavailable", "1", target=target, app="app:2")
    (first, *_) = [e.object["metadata"]["name"] for e in scene.witness.log() if e.kind == "Pod" and asks_for(scene, e.object)]
    assert {first} == hurt
    assert len(scene.on_image("app:2")) == count
    scene.check_same_pods()
    scene.check_no_orphans()


def serves(pod: Object) -> bool:
    return condition(pod, "Ready") == "True"


def asks_for(scene: Scene, pod: Object) -> bool:
    return images_in(pod["spec"]) == {"app": scene.image("app:2")}
