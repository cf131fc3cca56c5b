"""One run per target at a time: a living holder is never disturbed, a dead one is replaced, a lock belongs to its target."""

import json
import re

import pytest

from tests.recorder import Object
from tests.scenarios.cluster_under_test import kill
from tests.scenarios.facts import any_patched, holders, told_holder
from tests.scenarios.scene import LEASE, Scene

HISTORY = {1: "app:1", 2: "app:2"}


def lock(scene: Scene) -> Object:
    return scene.get(f"lease/{LEASE}")


def lease(annotations: dict[str, str]) -> Object:
    """One that nobody holds."""
    meta = {"name": LEASE, "annotations": annotations}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": {}}


def held_by(scene: Scene) -> str:
    """Whom the API server knows, where from, and since when, as people are told."""
    lease = lock(scene)
    said = told_holder(lease)
    assert re.fullmatch(r"\S*admin \(.+@.+\) since 20..-..-..T..:..:..Z, as \S+", said)
    return said


def test_a_second_run_is_refused(scene: Scene) -> None:
    """For the same images or others, and by name: it learns within 15 s that the holder lives."""
    scene.web(2)
    first = scene.stage.start(*scene.command("--steps", "50%,pause:30m,100%", "--max-unavailable", "1", app="app:2"))
    scene.until_seen(holders, "the lock is taken")
    holder = lock(scene)["spec"]["holderIdentity"]
    wrote: list[str] = []
    others = [
        scene.stage.start(*scene.command(app=ref), on_write=lambda _command, write, _moment: wrote.append(write))
        for ref in ("app:2", "app:3")
    ]
    for other in others:
        result = other.wait(60)
        assert result.code == 5, result
        last = result.stderr.splitlines()[-1]
        how = f"wait for it, or `inplace pause deploy/web -n {scene.ns}`"
        assert last == f"error: deploy/web is being upgraded by {held_by(scene)}: {how}"
    assert wrote == []
    scene.until(lambda: "pausing for 30m" in first.stdout, "the pause is reached", 60)
    assert scene.inplace("resume", "deploy/web").code == 0
    done = first.wait()
    assert done.code == 0, done
    assert holders(scene.witness.log()) == [holder]
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2)


def test_a_dead_holder_is_replaced_after_15_seconds(scene: Scene) -> None:
    """And no sooner."""
    scene.web(2)
    command = scene.command("--max-unavailable", "1", app="app:2")
    first = scene.stage.start(*command)
    scene.until_seen(any_patched(scene.image("app:2")), "the first is at work")
    kill(first)
    held = held_by(scene)
    began = scene.stage.now()
    second = scene.stage.start(*command)
    scene.until_seen(lambda log: len(holders(log)) == 2, "the lock is taken over")
    assert scene.stage.now() - began > 14.99
    done = second.wait()
    assert done.code == 0, done
    assert f"deploy/web is locked by {held}; watching" in done.stdout + done.stderr
    assert lock(scene)["spec"]["leaseTransitions"] == 1
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2)


@pytest.mark.parametrize("annotation", ["{garbage", json.dumps({"v": 99}), json.dumps({"v": 1, "id": 7})])
def test_a_run_that_cannot_be_read(scene: Scene, annotation: str) -> None:
    scene.web(1, serve=False)
    scene.create(lease({"inplace.dev/run": annotation}))
    scene.witness.mark()
    before = lock(scene)
    refused = scene.inplace(*scene.command(app="app:2"))
    scene.check_refused(refused, 5, "the stored run", f"if nothing upgrades this target, delete Lease {LEASE}")
    assert scene.inplace("pause", "deploy/web").code == 5
    assert scene.inplace("resume", "deploy/web").code == 5
    assert lock(scene) == before
    assert scene.our_writes() == []


def test_the_lock_goes_with_its_target(scene: Scene) -> None:
    """It is owned by the Deployment, and a Deployment made anew under the name knows nothing of the old run."""
    scene.web(1, serve=False)
    paused = scene.inplace(*scene.command("--steps", "pause,100%", app="app:2"))
    assert paused.code == 4, paused
    (owner,) = lock(scene)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Deployment", scene.get("deploy/web")["metadata"]["uid"])
    stale = lock(scene)
    scene.delete("deploy/web")
    scene.until(lambda: not scene.find(f"lease/{LEASE}") and not scene.all("pod"), "all is collected")

    scene.web(1, serve=False)
    scene.create(lease(stale["metadata"]["annotations"]))
    done = scene.inplace(*scene.command(app="app:2"))
    assert done.code == 0, done
    scene.check_consistent("app:2", HISTORY, replicas=1)
    assert scene.stored_run()["id"] not in stale["metadata"]["annotations"]["inplace.dev/run"]


def test_a_lock_that_is_deleted_under_the_run(scene: Scene) -> None:
    """Without it nobody could tell whose the pods are: the run stops at once, and the same command takes it up again."""
    scene.web(2)
    run = scene.stage.start(*scene.command("--steps", "50%,pause:30m,100%", "--max-unavailable", "1", app="app:2"))
    scene.until(lambda: "pausing for 30m" in run.stdout, "half of the pods are done", 60)
    scene.delete(f"lease/{LEASE}")
    stopped = run.wait(60)
    assert stopped.code == 1, stopped
    assert f"the Lease {LEASE} was deleted" in stopped.stderr, stopped
    done = scene.inplace(*scene.command("--max-unavailable", "1", app="app:2"))
    assert done.code == 0, done
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2)
