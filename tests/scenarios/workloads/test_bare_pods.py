"""Pods that nobody manages: by name and by label. Nothing is committed, and their lock goes when they are done."""

import json

import pytest

from tests.recorder import Object, Rules
from tests.recorder.history import end
from tests.recorder.log import RECORD, annotation, images
from tests.scenarios.cluster_under_test import Running
from tests.scenarios.facts import any_closed, any_patched, recorded
from tests.scenarios.manifests import pod, service
from tests.scenarios.scene import Scene

SELECTED = "pods -l app=cache"


def cache(scene: Scene, name: str) -> Object:
    """A pod behind Service cache."""
    made = pod(name, scene.image("app:1"))
    made["metadata"]["labels"] = {"app": "cache", "name": name}
    return made


def caches(scene: Scene, *names: str) -> None:
    scene.deploy(*[cache(scene, n) for n in names], service("cache"), count=len(names))


def ended(run: Running) -> None:
    done = run.wait()
    assert done.code == 0, done


@pytest.mark.parametrize("by", ["name", "names", "selector"])
def test_picked(scene: Scene, by: str) -> None:
    """One, two, or those with a label; the others are left alone."""
    caches(scene, "a", "b", "c")
    words = {"name": ["pod/b"], "names": ["pod/b", "pod/c"], "selector": ["pods", "-l", "app=cache,name in (b,c)"]}[by]
    command = ("upgrade", *words, f"app={scene.image('app:2')}", "--max-unavailable", "1", "--settle", "1s")
    picked = {"b"} if by == "name" else {"b", "c"}
    ended(scene.stage.start(*command))
    scene.check_same_pods()
    assert scene.on_image("app:2") == picked
    assert scene.restarts() == {n: {"app": int(n in picked)} for n in "abc"}
    scene.check_no_orphans()
    assert scene.all("lease") == []
    scene.witness.check(Rules(max_unavailable=1, upgraded=len(picked), writes_per_pod=3))
    assert any(e.kind == "Lease" and e.type == "DELETED" for e in scene.witness.log()), "there was a lock"
    again = scene.inplace(*command)
    assert again.code == 0, again
    assert "already" in again.stdout
    assert scene.all("lease") == []


def test_pods_of_different_images_have_no_common_way_back(scene: Scene) -> None:
    """So they are not begun with; those that run what is wanted do not count."""
    caches(scene, "a", "b", "c")
    ended(scene.stage.start("upgrade", "pod/a", f"app={scene.image('app:3')}", "--settle", "1s"))
    refused = scene.inplace("upgrade", *SELECTED.split(), f"app={scene.image('app:2')}")
    scene.check_refused(refused, 5, "pod/a", scene.image("app:3"), "pod/b", scene.image("app:1"), "one image at a time")
    scene.upgrade("--steps", "2,pause,100%", "--max-unavailable", "1", target=SELECTED, code=4, app="app:3")
    assert len(scene.on_image("app:3")) == 2, "one more"
    aborted = scene.inplace("abort", *SELECTED.split())
    assert aborted.code == 0, aborted
    assert len(scene.on_image("app:1")) == 3, "all go to the one image that the run has replaced (docs/workloads.md)"
    scene.check_same_pods()
    scene.check_no_orphans()


def test_evicted_in_the_middle(scene: Scene) -> None:
    """By label: those that are there are upgraded."""
    caches(scene, "a", "b", "c")
    run = scene.start("--max-unavailable", "1", target=SELECTED, app="app:2")
    scene.until_seen(any_patched(scene.image("app:2")), "the first is restarting")
    (first,) = scene.on_image("app:2")
    waiting = max({"a", "b", "c"} - {first})
    scene.evict(waiting)
    ended(run)
    assert scene.on_image("app:2") == {"a", "b", "c"} - {waiting}
    scene.check_no_orphans()
    assert scene.all("lease") == []
    scene.witness.check(Rules(max_unavailable=1, upgraded=2, writes_per_pod=3))


@pytest.mark.parametrize("stage_of_it", ["waiting", "in flight"])
def test_recreated_under_its_name_in_the_middle(scene: Scene, stage_of_it: str) -> None:
    """Another uid is another pod. Plans made for the old one never touch it; it is judged afresh, as it stands there now."""
    caches(scene, "a", "b")
    old = scene.before
    run = scene.start("--max-unavailable", "1", target="pod/a pod/b", settle="5s", app="app:2")
    scene.until_seen(any_closed, "the first is closed")
    (first,) = [p["metadata"]["name"] for p in recorded(scene.pods())]
    victim = first if stage_of_it == "in flight" else ({"a", "b"} - {first}).pop()
    scene.delete(f"pod/{victim}", grace=0)
    scene.create(cache(scene, victim))
    ended(run)
    uids = scene.uids()
    assert uids[victim] != old[victim]
    (other,) = {"a", "b"} - {victim}
    assert uids[other] == old[other]
    assert scene.on_image("app:2") == {"a", "b"}
    patched_old = [e for e in scene.witness.log() if e.uid == old[victim] and scene.image("app:2") in images(e.object).values()]
    assert not patched_old
    scene.check_no_orphans()
    assert scene.all("lease") == []
    # In the moment in which there is no such pod the other one may be closed: nobody knows that it will come back. The newcomer
    # may be met before it has a node, and need no restart.
    scene.witness.check(Rules(max_unavailable=1 if stage_of_it == "waiting" else 2))


def test_the_pod_in_flight_is_deleted(scene: Scene) -> None:
    """The only one of the run: there is nothing left to upgrade, and that is no success."""
    caches(scene, "a", "b")
    run = scene.stage.start(*scene.command(target="pod/a", app="app:2"))
    scene.until_seen(lambda log: recorded(end(log).all("Pod").values()), "it is closed")
    scene.delete("pod/a", grace=1)
    gone = run.wait()
    assert gone.code == 1, gone
    assert "pod/a" in gone.stdout, gone
    assert scene.on_image("app:2") == set()
    scene.witness.check(Rules(max_unavailable=1, upgraded=0))


def test_a_pod_of_another_run_is_refused(scene: Scene) -> None:
    """Two selections may overlap, and have two locks."""
    caches(scene, "a", "b")
    slow = scene.start(target="pod/a", settle="8s", app="app:2")
    scene.until_seen(lambda log: recorded(end(log).all("Pod").values()), "pod/a is closed")
    (held,) = recorded(scene.pods())
    lease = json.loads(annotation(held, RECORD) or "")["lease"]
    other = scene.inplace(*scene.command(target=SELECTED, app="app:2"))
    assert other.code == 5, other
    assert other.stderr.splitlines()[-1].startswith(f"error: pod/a is being upgraded by another run (Lease {lease})")
    ended(slow)
    assert scene.on_image("app:2") == {"a"}
    assert scene.all("lease") == []
    scene.witness.check(Rules(max_unavailable=1, upgraded=1, writes_per_pod=3))


def test_a_step_holds_bare_pods_too(scene: Scene) -> None:
    caches(scene, "a", "b")
    command = scene.command("--steps", "50%,pause,100%", "--max-unavailable", "1", target=SELECTED, app="app:2")
    paused = scene.inplace(*command)
    assert paused.code == 4, paused
    assert "inplace promote pods -l app=cache" in paused.stderr, paused
    assert len(scene.on_image("app:2")) == 1
    assert len(scene.all("lease")) == 1
    resumed = scene.inplace("resume", *SELECTED.split())
    assert resumed.code == 0, resumed
    assert scene.on_image("app:2") == {"a", "b"}
    assert scene.all("lease") == []
    scene.check_no_orphans()
    scene.witness.check(Rules(max_unavailable=1, upgraded=2, writes_per_pod=3))


def test_the_way_back(scene: Scene) -> None:
    """Only from the middle: their lock, and with it what they ran before, goes at the end."""
    caches(scene, "a", "b")
    command = scene.command("--steps", "50%,pause,100%", "--max-unavailable", "1", target=SELECTED, app="app:2")
    for verb in ("undo", "abort"):
        halfway = scene.inplace(*command)
        assert halfway.code == 4, halfway
        assert len(scene.on_image("app:2")) == 1
        went_back = scene.inplace(verb, *SELECTED.split())
        assert went_back.code == 0, went_back
        assert scene.on_image("app:1") == {"a", "b"}
        assert scene.all("lease") == []
    ended(scene.stage.start(*scene.command("--max-unavailable", "1", target=SELECTED, app="app:2")))
    for words in (["history", *SELECTED.split()], ["list"]):
        told = scene.inplace(*words)
        assert (told.code, told.stdout) == (0, ""), told
    refused = scene.inplace("undo", *SELECTED.split())
    assert refused.code == 5, refused
    assert "nothing is kept of a bare pod's run once it has ended: say the images, with `upgrade`" in refused.stderr
    scene.check_no_orphans()
    scene.check_quiet()
    scene.check_same_pods()
