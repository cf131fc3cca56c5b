"""The main job for each kind that has a history, and what may happen to its pods meanwhile."""

from __future__ import annotations

import pytest

from tests.recorder import Rules
from tests.recorder.log import images
from tests.scenarios.facts import any_closed, any_patched, fewest_ready
from tests.scenarios.manifests import service, statefulset
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DAEMON_SET, DEPLOYMENT, KINDS, STATEFUL_SET, Kind, WorkloadScenario

pytestmark = pytest.mark.at_rest

WORKLOAD = {DEPLOYMENT.short: "Deployment/web", STATEFUL_SET.short: "StatefulSet/web", DAEMON_SET.short: "DaemonSet/web"}
TWO_OF_THEM = pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET], ids=lambda kind: kind.short)


@KINDS
def test_there_and_on(scene: Scene, kind: Kind) -> None:
    """Three writes per pod, one restart each, never more than one away; twice."""
    story = WorkloadScenario(scene, kind)
    for restarts, ref in enumerate(("app:2", "app:3"), 1):
        scene.witness.mark()
        story.upgrade(ref)
        story.check(ref)
        scene.check_restarts(*[{"app": restarts}] * kind.pods)
        scene.witness.check(Rules(1, WORKLOAD[kind.short], upgraded=kind.pods, writes_per_pod=3))
        assert fewest_ready(scene.witness.log(), scene.witness.since) == kind.pods - 1
    assert story.revisions() == {1: "app:1", 2: "app:2", 3: "app:3"}
    same = scene.inplace("upgrade", kind.web, f"app={scene.image('app:3')}")
    assert (same.code, same.stdout) == (0, f"{kind.web} runs app={scene.image('app:3')} already\n")


def test_an_ordered_stateful_set_goes_from_the_highest_ordinal(scene: Scene) -> None:
    made = statefulset("web", scene.image("app:1"), replicas=3, parallel=False)
    scene.deploy(made, service("web", headless=True), count=3)
    scene.upgrade(target="sts/web", app="app:2")
    scene.check_same_pods()
    assert scene.on_image("app:2") == set(scene.before)
    scene.witness.check(Rules(1, "StatefulSet/web", upgraded=3, writes_per_pod=3))
    new = scene.image("app:2")
    pods = [e for e in scene.witness.log() if e.kind == "Pod" and new in images(e.object).values()]
    order = dict.fromkeys(e.name for e in sorted(pods, key=lambda e: e.rv))
    assert list(order) == ["web-2", "web-1", "web-0"]
    scene.check_quiet()


@pytest.mark.sampled
@KINDS
def test_a_waiting_pod_is_deleted_in_the_middle(scene: Scene, kind: Kind) -> None:
    """Its replacement, however it comes up, ends on the new image and in service."""
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    upgrade = story.start("app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "the first is at work")
    (first,) = scene.on_image("app:2")
    victim = min(set(scene.before) - {first})
    scene.delete(f"pod/{victim}", grace=1)
    ended = upgrade.wait()
    assert ended.code == 0, ended
    assert scene.uids().get(victim) != scene.before[victim]
    scene.remember()
    story.check("app:2")


@pytest.mark.sampled
@TWO_OF_THEM
@pytest.mark.parametrize("last", [5, 2])
def test_scaled_in_the_middle(scene: Scene, kind: Kind, last: int) -> None:
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    upgrade = story.start("app:2")
    scene.until_seen(any_closed, "the first is closed")
    scene.scale(kind.web, last)
    ended = upgrade.wait()
    assert ended.code == 0, ended
    scene.until(lambda: len(scene.all("pod")) == last, "scaled, and the others gone")
    survivors = set(scene.uids().values()) & set(scene.before.values())
    assert len(survivors) == min(kind.pods, last)
    scene.remember()
    story.check("app:2")
