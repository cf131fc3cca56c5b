"""Steps and pauses: the only barriers, kept exactly; and the verbs `pause` and `resume`."""

from tests.recorder.history import replay
from tests.recorder.log import condition, images
from tests.scenarios.facts import any_closed, back
from tests.scenarios.manifests import GATE
from tests.scenarios.scene import Scene


def test_a_pause_after_20_percent_of_10_pods(scene: Scene) -> None:
    scene.web(10)
    since = scene.witness.since
    command = scene.command("--steps", "20%,pause,100%", "--max-unavailable", "3", app="app:2")

    paused = scene.inplace(*command)
    assert paused.code == 4, paused
    assert "2 of 10 pods updated" in paused.stdout
    assert "inplace promote deploy/web" in paused.stderr
    assert len(scene.on_image("app:2")) == 2
    scene.check(upgraded=2, max_unavailable=3)
    scene.check_no_orphans()

    here = scene.witness.version()
    again = scene.inplace(*command)
    assert again.code == 4, again
    assert "inplace promote deploy/web" in again.stderr
    assert scene.our_writes(here) == []

    resumed = scene.inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    scene.check_same_pods()
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=10)
    assert scene.witness.since == since
    scene.check(upgraded=10, max_unavailable=3)
    assert scene.inplace("resume", "deploy/web").code == 5, "there is nothing to resume any more"


def test_a_pause_with_a_time_passes_by_itself(scene: Scene) -> None:
    scene.web(2)
    new = scene.image("app:2")
    scene.upgrade("--steps", "50%,pause:6s,100%", "--max-unavailable", "1", app="app:2")
    scene.check(upgraded=2)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)
    # Both instants are arrivals on one watch; without the pause they would be a tenth of a second apart.
    pods = [s for s in replay(scene.witness.log()) if s.event.kind == "Pod" and s.event.rv > scene.witness.since and s.before]
    ready = min(
        s.event.arrival for s in pods if new in images(s.event.object).values() and condition(s.event.object, "Ready") == "True"
    )
    last_close = max(
        s.event.arrival for s in pods if condition(s.event.object, GATE) == "False" and condition(s.before, GATE) == "True"
    )
    assert last_close - ready > 3


def test_pause_and_resume_of_a_living_run(scene: Scene) -> None:
    """The holder finishes the pods in flight, and exits 4; then nobody holds the run, and `resume` drives it itself."""
    scene.web(4)
    command = scene.command("--max-unavailable", "1", "--settle", "3s", app="app:2")
    upgrade = scene.stage.start(*command)
    scene.until_seen(back(scene.image("app:2"), 1), "the first pod is back")
    scene.until_seen(any_closed, "the second is closed")
    asked = scene.inplace("pause", "deploy/web")
    assert asked.code == 0, asked
    assert "is paused" in asked.stdout
    held = upgrade.wait()
    assert held.code == 4, held
    assert "inplace resume deploy/web" in held.stderr
    scene.check_no_orphans()
    assert 1 <= len(scene.on_image("app:2")) < 4
    assert scene.stored_run()["outcome"] == "Paused"

    here = scene.witness.version()
    again = scene.inplace(*command)
    assert again.code == 4, "a pause made by hand is passed only by `resume`"
    assert scene.our_writes(here) == []

    resumed = scene.inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    scene.check(upgraded=4, writes=None)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=4)


def test_resume_cuts_a_long_pause_of_a_living_run_short(scene: Scene) -> None:
    scene.web(2)
    upgrade = scene.stage.start(*scene.command("--steps", "50%,pause:30m,100%", "--max-unavailable", "1", app="app:2"))
    scene.until(lambda: "pausing for 30m" in upgrade.stdout, "the pause is reached", 60)
    resumed = scene.inplace("resume", "deploy/web")
    assert resumed.code == 0, resumed
    done = upgrade.wait(60)
    assert done.code == 0, done
    scene.check(upgraded=2)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)


def test_promote_passes_pauses_by_hand_and_for_a_time(scene: Scene) -> None:
    """The first where nobody lives, the second with the holder that stands at it; elsewhere there is nothing to pass."""
    scene.web(3)
    steps = scene.command("--steps", "1,pause,2,pause:30m,100%", "--max-unavailable", "1", app="app:2")
    paused = scene.inplace(*steps)
    assert paused.code == 4, paused
    promote = scene.stage.start("promote", "deploy/web")
    scene.until(lambda: "pausing for 30m" in promote.stdout, "the second pause is reached", 60)
    assert len(scene.on_image("app:2")) == 2
    second = scene.inplace("promote", "deploy/web")
    assert second.code == 0, second
    assert "deploy/web resumed (run by " in second.stdout
    done = promote.wait(60)
    assert done.code == 0, done
    refused = scene.inplace("promote", "deploy/web")
    assert refused.code == 5, refused
    scene.check(upgraded=3)
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"})


def test_pause_and_resume_without_a_run(scene: Scene) -> None:
    scene.web(1, serve=False)
    for verb in ("pause", "resume"):
        result = scene.inplace(verb, "deploy/web")
        assert result.code == 5, result
        assert result.stderr == f"error: deploy/web in {scene.ns} has no run to {verb}\n"
    assert scene.our_writes() == []
