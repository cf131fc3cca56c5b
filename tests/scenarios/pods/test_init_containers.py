"""Ordinary init containers: changed in pod and template, and told that this takes effect when the pod is next recreated."""

from __future__ import annotations

import pytest

from tests.recorder.log import condition
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import GATE, deployment, service
from tests.scenarios.scene import WEB, Scene

pytestmark = pytest.mark.at_rest

SAID = "once is an ordinary init container: its new image takes effect when the pod is next recreated"


def deploy(scene: Scene) -> None:
    once = {"name": "once", "image": scene.image("app:1"), "command": ["true"]}
    scene.deploy(deployment("web", scene.image("app:1"), replicas=2, initContainers=[once]), service("web"), count=2)


def test_alone_and_then_together_with_the_app(scene: Scene) -> None:
    """Alone nothing is drained and nothing restarts; together the app restarts, once."""
    deploy(scene)
    command = scene.command("--max-unavailable", "1", once="app:2")
    planned = scene.inplace("plan", *command[1:])
    assert "2 of 2 pods would be changed without a restart" in planned.stdout, planned
    assert SAID in planned.stderr
    alone = scene.inplace(*command)
    assert alone.code == 0, alone
    assert SAID in alone.stderr
    scene.check_same_pods()
    assert scene.on_image("app:2", "once") == set(scene.before)
    scene.check_restarts(*[{"app": 0, "once": 0}] * 2)
    for uid in scene.before.values():
        assert {condition(e.object, "Ready") for e in scene.versions(uid)} == {"True"}, "never out of service"
        assert {condition(e.object, GATE) for e in scene.versions(uid)} == {"True"}
    assert images_in(scene.get(WEB)["spec"]["template"]["spec"]) == {"app": scene.image("app:1"), "once": scene.image("app:2")}
    scene.check_quiet()

    scene.witness.mark()
    both = scene.inplace(*scene.command("--max-unavailable", "1", app="app:3", once="app:3"))
    assert both.code == 0, both
    assert SAID in both.stderr
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1, "once": 0}] * 2)
    scene.check_runs(2, app="app:3", once="app:3")
    scene.witness.check(scene.rules(one_restart=False, upgraded=2, writes_per_pod=3))
    assert list(scene.history()) == [1, 2, 3]
    scene.check_quiet()
