"""A new container that cannot be had, made or started, and one that is slow to come or to go: told apart, in the kubelet's own
words; what may come right by itself is waited for, what may not fails in seconds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Result
from tests.scenarios.facts import any_closed, any_patched, images_in
from tests.scenarios.manifests import container, deployment, service, statefulset
from tests.scenarios.scene import WEB, Scene

ROLLBACK = ("--on-failure", "rollback", "--max-unavailable", "1")


def failed(scene: Scene, ref: str, *options: str) -> Result:
    result = scene.inplace(*scene.command(*options, app=ref))
    assert result.code == 1, result
    return result


CLASSES = {
    "app:nocommand": ("CreateContainerError", "no command specified"),
    "app:badcommand": ("RunContainerError", 'exec: "/nope": stat /nope: no such file or directory'),
    "app:missing": ("ImagePullBackOff", "not found"),
    "app:crash": ("CrashLoopBackOff", "back-off 10s restarting failed container=app"),
}


@pytest.mark.parametrize("bad", CLASSES)
def test_each_has_a_class_and_the_way_back_is_free(scene: Scene, bad: str) -> None:
    """In seconds: the restart timeout of 5 minutes, and with it the command's, is not what ends it."""
    reason, words = CLASSES[bad]
    scene.web(3)
    ended = failed(scene, bad, *ROLLBACK, "--timeout", "3m")
    assert f"failed with {reason}: container app: " in ended.stdout, ended
    assert words in ended.stdout, ended
    scene.check_same_pods()
    scene.check_runs(3, app="app:1")
    scene.check_no_orphans()
    scene.witness.check(scene.crash_rules(1, upgraded=1))


def test_a_config_map_that_is_gone(scene: Scene) -> None:
    """Nobody reads ConfigMaps for it, which would take a right that we do not ask for; going back meets the same, and says so.
    When it is there again the pod is freed by the advice given."""
    conf: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"A": "1"}}
    scene.create(conf)
    app = {**container("app", scene.image("app:1")), "envFrom": [{"configMapRef": {"name": "conf"}}]}
    scene.deploy(deployment("web", [app], replicas=2), service("web"), count=2)
    scene.delete("cm/conf")
    ended = failed(scene, "app:2", *ROLLBACK, "--timeout", "4m")
    assert 'CreateContainerConfigError: container app: configmap "conf" not found' in ended.stdout, ended
    assert sum(condition(p, "Ready") == "True" for p in scene.pods()) == 1
    scene.create(conf)
    freed = scene.inplace("abort", WEB)
    assert freed.code == 0, freed
    scene.check_runs(2, app="app:1")
    scene.check_same_pods()
    scene.check_no_orphans()


def test_a_startup_probe_that_kills_again_and_again(scene: Scene) -> None:
    """Not the image's own crash, and not the kubelet's kill of a container that it takes for started (test_probes)."""
    app = container("app", scene.image("app:1"), startup=True)
    app["startupProbe"] |= {"failureThreshold": 3}
    scene.deploy(deployment("web", [app], replicas=2), service("web"), count=2)
    ended = failed(scene, "app:mute", *ROLLBACK, "--timeout", "3m")
    assert "failed with StartupProbeFailed: container app: its startupProbe fails" in ended.stdout, ended
    scene.check_runs(2, app="app:1")
    scene.check_no_orphans()


def test_a_registry_that_is_down_for_a_while_is_waited_for(scene: Scene) -> None:
    scene.web(3)
    late = scene.stage.late_registry()
    image = f"{late.name}/app:2"
    options = ("--settle", "1s", "--restart-timeout", "2m", *ROLLBACK)
    run = scene.stage.start("upgrade", WEB, f"app={image}", *options)
    scene.until_seen(any_patched(image), "a pod gets the image that cannot be had yet")
    scene.until(lambda: "connection refused" in run.stdout, "the kubelet's words are shown", 60)
    late.come()
    ended = run.wait()
    assert ended.code == 0, ended
    assert "connection refused" in ended.stdout
    assert {images_in(p["spec"])["app"] for p in scene.pods()} == {image}
    scene.check_same_pods()
    scene.check_no_orphans()
    scene.witness.check(scene.rules(1, upgraded=3))


def test_a_registry_that_stays_down_ends_at_the_deadline(scene: Scene) -> None:
    scene.web(2)
    image = f"{scene.stage.late_registry().name}/app:2"
    options = ("--settle", "1s", "--restart-timeout", "20s", *ROLLBACK)
    ended = scene.stage.start("upgrade", WEB, f"app={image}", *options).wait()
    assert ended.code == 1, ended
    assert "failed with RestartTimeout: " in ended.stdout, ended
    scene.check_runs(2, app="app:1")
    scene.check_no_orphans()


SLOW: dict[str, Any] = {"terminationGracePeriodSeconds": 40}


def slow_to_stop(scene: Scene, kind: str, seconds: int = 15, replicas: int = 2) -> list[Object]:
    app = container("app", scene.image("app:1"), pre_stop=f"sleep {seconds}")
    made = {
        "deploy": lambda: deployment("web", [app], replicas=replicas, **SLOW),
        "sts": lambda: statefulset("web", [app], replicas=replicas, **SLOW),
    }
    return [made[kind](), service("web")]


@pytest.mark.parametrize("kind", ["deploy", "sts"])
def test_an_old_container_may_take_longer_to_stop_than_a_restart(scene: Scene, kind: str) -> None:
    scene.deploy(*slow_to_stop(scene, kind), count=2)
    words = (f"{kind}/web", f"app={scene.image('app:2')}", "--settle", "1s")
    ended = scene.inplace("upgrade", *words, "--restart-timeout", "10s", "--max-unavailable", "1")
    assert ended.code == 0, ended
    assert "Restarting: stopping app, at most 40 s" in ended.stdout, ended
    assert scene.on_image("app:2") == set(scene.before)
    scene.check_same_pods()
    scene.check_no_orphans()


def test_abort_waits_for_an_old_container_that_is_slow_to_stop(scene: Scene) -> None:
    """Aborted while the old container stops: it is waited for there, too."""
    scene.deploy(*slow_to_stop(scene, "deploy"), count=2)
    options = ("--restart-timeout", "10s", "--max-unavailable", "1")
    run = scene.stage.start(*scene.command(*options, app="app:2"))
    scene.until_seen(any_patched(scene.image("app:2")), "an old container is told to stop")
    aborted = scene.inplace("abort", WEB)
    assert aborted.code == 0, aborted
    assert run.wait().code == 4
    assert scene.on_image("app:1") == set(scene.before)
    scene.check_same_pods()
    scene.check_no_orphans()


def test_a_pod_that_is_scaled_away_is_not_spoken_of(scene: Scene) -> None:
    """The pod that is closed is the first that a ReplicaSet takes; while it ends its record is on it."""
    scene.deploy(*slow_to_stop(scene, "deploy", seconds=20, replicas=3), count=3)
    run = scene.stage.start(*scene.command("--max-unavailable", "1", app="app:2"))
    scene.until_seen(any_closed, "a pod is closed")
    scene.scale(WEB, 2)
    ended = run.wait()
    assert ended.code == 0, ended
    assert "is still closed" not in ended.stdout + ended.stderr
    scene.check_runs(2, app="app:2")
