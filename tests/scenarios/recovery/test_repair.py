"""`repair` after a death: nothing is left closed without an owner, and the same command then ends as if nothing had been."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.facts import images_in, is_observed
from tests.scenarios.manifests import GATE, pod, service
from tests.scenarios.scene import Scene
from tests.scenarios.workload_scenario import DAEMON_SET, DEPLOYMENT, FAST, KINDS, STATEFUL_SET, Kind, WorkloadScenario

pytestmark = [pytest.mark.sampled, pytest.mark.at_rest]

POD = r"PATCH .*/pods/[^/ ]+"
MOMENTS: dict[str, tuple[str, int, Moment]] = {
    "a pod is closed": (rf"{POD}/status .*Upgrading", 1, "after"),
    "the image is written, its answer lost": (f"{POD} ", 1, "after"),
    "restarted, the gate not yet opened": (rf"{POD}/status .*Upgraded", 2, "before"),
}
OF_DEPLOYMENT: dict[str, tuple[str, int, Moment]] = {
    "the Deployment is paused": (r"PATCH .*/deployments/web .*paused", 1, "after"),
    "both templates are new, the old one is not buried": (r"POST .*/replicasets", 1, "before"),
}
Then = Callable[[WorkloadScenario], bool]
STRATEGY = r"PATCH .*(statefulsets|daemonsets)/web .*updateStrategy"
OF_REVISIONED: dict[str, tuple[str, Moment, Then]] = {
    "the pods are held back, the template is old": (STRATEGY, "after", lambda story: is_held(story)),
    "the template is new": (r"PATCH .*(statefulsets|daemonsets)/web .*template", "after", lambda story: is_ahead(story)),
    "all is done but the strategy is not given back": (STRATEGY, "before", lambda story: all_done(story)),
}


def is_held(story: WorkloadScenario) -> bool:
    return bool(story.kind.kept(story.scene.get(story.kind.web)) != story.kept)


def is_ahead(story: WorkloadScenario) -> bool:
    template = story.scene.get(story.kind.web)["spec"]["template"]["spec"]
    return images_in(template) == {"app": story.scene.image("app:2")}


def all_done(story: WorkloadScenario) -> bool:
    """No pod needs to be held back."""
    return story.scene.on_image("app:2") == set(story.scene.before)


def killed(story: WorkloadScenario, moment: tuple[str, int, Moment]) -> tuple[str, ...]:
    words = upgrade_of(story)
    story.scene.killed_at(*moment, *words)
    return words


def killed_when(story: WorkloadScenario, moment: tuple[str, Moment, Then]) -> tuple[str, ...]:
    """Not at a write that was refused because the object had moved."""
    pattern, moment_, then = moment

    def met(command: Running, write: str, when: Moment) -> None:
        if when == moment_ and re.match(pattern, write) and then(story):
            command.send(signal.SIGKILL)

    words = upgrade_of(story)
    ended = story.scene.stage.start(*words, on_write=met).wait()
    assert ended.code == -signal.SIGKILL, ended
    return words


def upgrade_of(story: WorkloadScenario) -> tuple[str, ...]:
    return ("upgrade", story.kind.web, f"app={story.scene.image('app:2')}", *FAST)


def check_repaired(story: WorkloadScenario, words: tuple[str, ...]) -> None:
    """First in words, then in deed; and then the upgrade goes on to its end."""
    scene, mark = story.scene, story.scene.witness.version()
    foretold = scene.inplace("repair", "--dry-run")
    assert scene.our_writes(mark) == []
    repaired = scene.inplace("repair")
    assert repaired.code == 0, (foretold, repaired)
    assert ("would " in foretold.stdout) == (" would " not in repaired.stdout and repaired.stdout != "nothing to repair\n")
    at_rest(story)
    again = scene.inplace("repair")
    assert again.code == 0, again
    resumed = scene.inplace(*words)
    assert resumed.code == 0, resumed
    story.check("app:2")
    assert set(map(tuple, (r.items() for r in scene.restarts().values()))) == {(("app", 1),)}


def at_rest(story: WorkloadScenario) -> None:
    """Every pod serves, none carries a record, nobody holds the lock, and nobody moves."""
    scene = story.scene
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "every pod serves")
    for found in scene.pods():
        assert not annotation(found, RECORD)
        assert condition(found, GATE) == "True"
    assert not scene.get(f"lease/{story.kind.lease}")["spec"].get("holderIdentity")
    if story.kind is DEPLOYMENT:
        assert not scene.get("deploy/web")["spec"].get("paused")
    scene.check_quiet()
    scene.check_same_pods()


@pytest.mark.parametrize("moment", MOMENTS)
@KINDS
def test_killed_while_pods_were_in_flight(scene: Scene, kind: Kind, moment: str) -> None:
    story = WorkloadScenario(scene, kind)
    check_repaired(story, killed(story, MOMENTS[moment]))


@pytest.mark.parametrize("moment", OF_DEPLOYMENT)
def test_a_half_done_commit_is_finished(scene: Scene, moment: str) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    killed(story, OF_DEPLOYMENT[moment])
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    assert "deploy/web in" in repaired.stdout
    assert f"finish its commit of app={scene.image('app:2')}, and unpause the Deployment" in repaired.stdout
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})
    story.check("app:2")


@pytest.mark.parametrize("moment", OF_REVISIONED)
@pytest.mark.parametrize("kind", [STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)
def test_strategies_are_given_back_where_nothing_needs_them(scene: Scene, kind: Kind, moment: str) -> None:
    """Where pods of two revisions live, the controller would recreate some: it is left, and named."""
    story = WorkloadScenario(scene, kind)
    words = killed_when(story, OF_REVISIONED[moment])
    repaired = scene.inplace("repair", kind.web)
    assert repaired.code == 0, repaired
    is_kept = moment == "the template is new"
    assert ("restore its updateStrategy" in repaired.stdout) == (not is_kept), repaired
    assert ("`inplace upgrade`, `undo` or `abort` ends that" in repaired.stdout) == is_kept, repaired
    assert (kind.kept(scene.get(kind.web)) == story.kept) == (not is_kept)
    scene.check_same_pods()
    resumed = scene.inplace(*words)
    assert resumed.code == 0, resumed
    story.check("app:2")


@KINDS
def test_repair_leaves_a_living_holder_alone(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    upgrade = story.start("app:2", "--min-ready", "10s")
    story.scene.until(lambda: scene.find(f"lease/{kind.lease}"), "it has begun")
    repaired = story.run("repair")
    assert "is at work: left alone" in repaired.stdout
    assert upgrade.wait().code == 0
    story.check("app:2")


@KINDS
def test_pods_whose_lease_is_gone_are_freed(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    killed(story, MOMENTS["the image is written, its answer lost"])
    scene.delete(f"lease/{kind.lease}")
    repaired = scene.inplace("repair")
    assert repaired.code == 0, repaired
    assert "(its run is gone)" in repaired.stdout
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "every pod serves")
    assert not any(annotation(p, RECORD) for p in scene.pods())
    assert len(scene.on_image("app:2")) == 1
    assert [o for o in scene.all("lease") if o["metadata"]["name"].startswith("inplace-")] == []
    scene.check_same_pods()


@pytest.mark.parametrize("kind", [STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)
@pytest.mark.parametrize("images", [(), ("app:3",)], ids=["the template's", "others"])
def test_a_strategy_without_its_lease_is_named_then_given_back(scene: Scene, kind: Kind, images: tuple[str, ...]) -> None:
    """Nobody knows any more what it was; but what it is now can only be a run's."""
    story = WorkloadScenario(scene, kind)
    killed_when(story, OF_REVISIONED["the template is new"])
    scene.delete(f"lease/{kind.lease}")
    status = story.run("status").stdout
    assert "has no run" in status
    assert "by a run whose Lease is gone" in status
    repaired = story.run("repair")
    assert f"since pods of two revisions live: `inplace upgrade {kind.web}`" in repaired.stdout, repaired
    assert kind.kept(scene.get(kind.web)) != story.kept
    upgraded = story.run("upgrade", *[f"app={scene.image(ref)}" for ref in images], "--settle", "0s")
    assert f"the updateStrategy of {kind.web} was left so by a run; at the end it is RollingUpdate with" in upgraded.stderr
    story.check(*(images or ("app:2",)))


@pytest.mark.parametrize("kind", [STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)
def test_a_strategy_without_its_lease_is_given_back_if_unneeded(scene: Scene, kind: Kind) -> None:
    story = WorkloadScenario(scene, kind)
    killed_when(story, OF_REVISIONED["the pods are held back, the template is old"])
    scene.delete(f"lease/{kind.lease}")
    scene.until(lambda: is_observed(scene.get(kind.web)), "its controller has seen it")
    foretold = story.run("repair", "--dry-run")
    assert "would restore its updateStrategy: to RollingUpdate with" in foretold.stdout, foretold
    assert kind.kept(scene.get(kind.web)) != story.kept
    story.run("repair")
    assert kind.kept(scene.get(kind.web)) == story.kept
    assert scene.find(f"lease/{kind.lease}") is None
    assert story.run("repair").stdout == "nothing to repair\n"
    story.upgrade("app:2")
    story.check("app:2")


def test_a_lock_that_outlived_its_pods_is_deleted(scene: Scene) -> None:
    scene.deploy(pod("web-a", scene.image("app:1"), terminationGracePeriodSeconds=1), service("web-a"), count=1)
    words = ("upgrade", "pod/web-a", f"app={scene.image('app:2')}", *FAST, "--allow-outage")
    scene.killed_at(rf"{POD}/status .*Upgrading", 1, "after", *words)
    scene.delete("pod/web-a", grace=0)
    scene.until(lambda: not scene.all("pod"), "the pod is gone")
    foretold = scene.inplace("repair", "--dry-run")
    assert "would delete Lease inplace-pods-" in foretold.stdout, foretold
    assert len(scene.all("lease")) == 1
    assert scene.inplace("repair").code == 0
    assert scene.all("lease") == []
    nothing = scene.inplace("repair")
    assert (nothing.code, nothing.stdout) == (0, "nothing to repair\n")


def test_a_lock_of_a_run_that_is_over_is_freed(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    story.upgrade("app:2")
    scene.merge(f"lease/{DEPLOYMENT.lease}", {"spec": {"holderIdentity": "dead-1"}})
    repaired = scene.inplace("repair", "deploy/web")
    assert repaired.code == 0
    assert "free the lock that dead-1 has left" in repaired.stdout
    story.check("app:2")


def test_a_paused_run_is_in_order(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    story.upgrade("app:2", "--steps", "1,pause,100%", code=4)
    repaired = scene.inplace("repair")
    assert (repaired.code, repaired.stdout) == (0, "nothing to repair\n")
    assert story.outcome == "Paused"


def test_what_cannot_be_freed_is_named(scene: Scene) -> None:
    story = WorkloadScenario(scene, DEPLOYMENT)
    first = sorted(scene.before)[0]
    scene.annotate(f"pod/{first}", {RECORD: "{"})
    repaired = story.run("repair", code=1)
    assert f"pod/{first} in {scene.ns}: left as it is: annotation {RECORD} cannot be read" in repaired.stdout
