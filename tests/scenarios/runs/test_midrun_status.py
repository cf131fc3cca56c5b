"""A consistent middle: what `status` says of a paused run of each kind is so, and others who interfere are named."""

from __future__ import annotations

import pytest

from tests.recorder.log import condition
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DEPLOYMENT, KINDS, Kind, WorkloadScenario

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]


def now_of(story: WorkloadScenario) -> str:
    (line,) = [text for text in story.run("status").stdout.splitlines() if text.startswith("  now ")]
    return line


@KINDS
def test_status_tells_what_a_pod_that_dies_comes_back_as(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    scene.run_gates()
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    line, new, old = now_of(story), scene.image("app:2"), scene.image("app:1")
    (done,) = scene.on_image("app:2")
    (other, *_) = sorted(set(scene.before) - {done})
    match kind.short:
        case "deploy":
            assert f"its template still says app={old}" in line
        case "sts":
            assert "partition 2, set by the run (its owner's: 0)" in line
            assert f"starts with app={new} from ordinal 2 on, and below with what it ran before" in line
        case _:
            assert "updateStrategy OnDelete, set by the run (its owner's: RollingUpdate)" in line
            assert f"starts with app={new}" in line
    for name in (done, other):
        scene.delete(f"pod/{name}", grace=1)
    scene.until(lambda: is_whole(story, {scene.before[done], scene.before[other]}), "both came back")
    expected = {"deploy": [], "sts": [done], "ds": list(scene.images())}[kind.short]
    assert scene.on_image("app:2") == set(expected)
    scene.remember()
    story.run("resume")
    story.check("app:2")


def is_whole(story: WorkloadScenario, gone: set[str]) -> bool:
    found = story.scene.all("pod")
    serving = [p for p in found if condition(p, "Ready") == "True" and p["metadata"]["uid"] not in gone]
    return len(found) == len(serving) == story.kind.pods


@KINDS
def test_status_names_changes_by_others_in_the_middle_of_a_run(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    if kind is DEPLOYMENT:
        scene.merge(kind.web, {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}})
    upgrade = story.start("app:2", "--min-ready", "3s")
    story.one_is_done("app:2")
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": scene.image("app:3")}]}}}}
    scene.patch(kind.web, body, fieldManager="somebody-else")
    ended = upgrade.wait()
    assert ended.code == 1, ended
    assert "in the middle" in ended.stdout or "somebody started a rollout" in ended.stdout, ended
    assert "(field manager somebody-else, " in ended.stdout, ended
