"""Who opens the gates of new pods: a rollout that nobody opens for hangs, and is told from one that goes on; what a label keeps
out of service is said at the end."""

from __future__ import annotations

import json
import signal
from typing import Any

from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS
from tests.recorder.log import condition
from tests.scenarios.manifests import GATE
from tests.scenarios.scene import WEB, Scene


def test_a_classic_rollout_without_an_opener_hangs_and_is_named(scene: Scene) -> None:
    scene.web(4, serve=False)
    new = f"app={scene.image('app:3')}"
    assert "will stay out of service: nobody living opens gate" in scene.inplace("plan", WEB, new).stderr
    scene.set_images(WEB, app=scene.image("app:2"))
    waiting = scene.until(lambda: waits(scene), "pods that wait for their gate")
    hung = scene.inplace("plan", WEB, new)
    assert hung.code == 5
    assert "a rollout is under way, and hangs: " in hung.stderr
    assert f"and nobody living opens it: start `inplace gate run -n {scene.ns}`" in hung.stderr
    shown = scene.inplace("status", WEB).stdout
    assert "for somebody to open it, and nobody living opens it, so that its rollout hangs" in shown
    assert shown.count("waits for somebody to open its gate") == len(waits(scene)) >= len(waiting)

    scene.run_gates()
    scene.until_rolled_out()
    scene.until(lambda: stands(scene)["opener"] == "Opens", "an opener that is seen", 30)
    assert stands(scene)["waiting"] == []
    after = scene.inplace("plan", WEB, new)
    assert after.code == 0
    assert "out of service" not in after.stderr


def test_an_opener_that_died_is_named_and_another_takes_over(scene: Scene) -> None:
    scene.web(1, serve=False)
    first = scene.run_gates()
    scene.until(lambda: stands(scene)["opener"] == "Opens", "an opener that is seen", 30)
    first.send(signal.SIGKILL)
    # One that stood by would take over in that very moment.
    scene.stage.let_pass(LEASE_DURATION_SECONDS)
    scene.until(lambda: stands(scene)["opener"] == "Nobody", "that it is dead", 60)
    scene.run_gates()
    scene.until(lambda: stands(scene)["opener"] == "Opens", "that another took over", 60)


def test_pods_that_a_label_keeps_closed_are_named_at_the_end(scene: Scene) -> None:
    scene.run_gates()
    scene.web(2)
    name = sorted(scene.before)[0]
    scene.label(f"pod/{name}", **{"inplace.dev/serve": "false"})
    scene.until(lambda: condition(scene.get(f"pod/{name}"), GATE) == "False", "its gate closed", 30)
    ended = scene.upgrade("--max-unavailable", "2", "--allow-outage", app="app:2")
    assert ended.report["held"] == {"label inplace.dev/serve is false": [name]}


def waits(scene: Scene) -> list[str]:
    found: list[str] = stands(scene)["waiting"]
    return found


def stands(scene: Scene) -> Any:
    shown = scene.inplace("status", WEB, "-o", "json")
    assert shown.code == 0, shown
    return json.loads(shown.stdout)["newPods"]
