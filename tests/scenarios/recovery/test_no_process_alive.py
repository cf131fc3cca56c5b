"""`pause` and `abort` in each stage of a run of each kind; then no process of ours lives, and pods are deleted.

Nothing moves by itself; what is deleted comes back as its place calls for; and the same pods go on, or have gone back.
"""

from __future__ import annotations

import pytest

from tests.recorder.log import condition
from tests.scenarios.facts import LogPredicate, any_closed, any_patched, back, images_in
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DEPLOYMENT, KINDS, STATEFUL_SET, Kind, WorkloadScenario

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]

MOMENTS = ("closed", "restarting", "one is back")


def asked_in(story: WorkloadScenario, moment: str, verb: str) -> None:
    """Its holder obeys, and ends."""
    new = story.scene.image("app:2")
    happened: LogPredicate = {"closed": any_closed, "restarting": any_patched(new), "one is back": back(new, 1)}[moment]
    upgrade = story.start("app:2", *(("--settle", "5s") if moment == "closed" else ()))
    story.scene.until_seen(happened, moment)
    story.run(verb)
    ended = upgrade.wait()
    assert ended.code == 4, ended
    assert not story.scene.get(f"lease/{story.kind.lease}")["spec"].get("holderIdentity")
    story.scene.until(lambda: all_ready(story), "the kubelet follows the gates", 30)


def all_ready(story: WorkloadScenario) -> bool:
    return all(condition(p, "Ready") == "True" for p in story.scene.pods())


def deleted(story: WorkloadScenario, *names: str) -> None:
    """Until others have come in their places. No gate controller runs: their gates are opened by hand."""
    scene = story.scene
    for name in names:
        scene.delete(f"pod/{name}", grace=1)

    def is_whole() -> bool:
        scene.open_gates()
        found = scene.all("pod")
        new = [p for p in found if condition(p, "Ready") == "True" and p["metadata"]["uid"] not in gone]
        return len(new) == len(found) == story.kind.pods

    gone = {scene.before[name] for name in names}
    scene.until(is_whole, "every pod serves again")


@pytest.mark.parametrize("moment", MOMENTS)
@KINDS
def test_paused(scene: Scene, kind: Kind, moment: str) -> None:
    story = WorkloadScenario(scene, kind)
    asked_in(story, moment, "pause")
    done, old = scene.on_image("app:2"), scene.on_image("app:1")
    assert done or moment == "closed"
    scene.check_quiet()
    scene.check_same_pods()
    lost = [*sorted(done)[:1], *sorted(old)[:1]]
    deleted(story, *lost)
    expected = {DEPLOYMENT: len(done) - len(sorted(done)[:1]), STATEFUL_SET: len(done)}
    assert len(scene.on_image("app:2")) == expected.get(kind, len(done | set(lost)))
    scene.remember()
    story.run("resume")
    story.check("app:2")


@pytest.mark.parametrize("moment", MOMENTS)
@KINDS
def test_aborted(scene: Scene, kind: Kind, moment: str) -> None:
    story = WorkloadScenario(scene, kind)
    asked_in(story, moment, "abort")
    story.check("app:1")
    assert story.outcome == "Aborted"
    deleted(story, sorted(scene.before)[-1])
    assert images_in(scene.get(kind.web)["spec"]["template"]["spec"]) == {"app": scene.image("app:1")}
    scene.remember()
    story.check("app:1")
