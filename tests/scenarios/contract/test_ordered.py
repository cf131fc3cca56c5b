"""What the controllers of StatefulSets and DaemonSets do: facts that "template first" is built on (design, section 5)."""

from __future__ import annotations

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import images_in, is_observed
from tests.scenarios.manifests import daemonset, service, statefulset
from tests.scenarios.scene import Scene

HASH = "controller-revision-hash"
STS, DS = "sts/db", "ds/log"


def db(scene: Scene, *, parallel: bool) -> None:
    made = statefulset("db", scene.image("app:1"), replicas=3, parallel=parallel)
    scene.deploy(made, service("db", headless=True), count=3)
    scene.until(lambda: revisions(scene)["currentRevision"] == revisions(scene)["updateRevision"], "one revision")


def revisions(scene: Scene) -> Object:
    status: Object = scene.get(STS)["status"]
    return status


def until_observed(scene: Scene, reference: str) -> None:
    scene.until(lambda: is_observed(scene.get(reference)), f"{reference} is observed")


def change(scene: Scene, name: str, revision: str) -> None:
    """Image and label in one patch."""
    containers = [{"name": "app", "image": scene.image("app:2")}]
    scene.patch(f"pod/{name}", {"metadata": {"labels": {HASH: revision}}, "spec": {"containers": containers}})
    scene.until(lambda: scene.restarts()[name] == {"app": 1}, f"{name} is restarted")
    scene.until(lambda: condition(scene.get(f"pod/{name}"), "Ready") == "True", f"{name} is Ready")


def partition(scene: Scene, ordinal: int) -> None:
    scene.merge(STS, {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": ordinal}}}})
    until_observed(scene, STS)


def test_a_stateful_set_by_hand_behind_its_partition(scene: Scene) -> None:
    """Pods labelled with the ControllerRevision's name count as updated; what is recreated below the partition comes up old."""
    db(scene, parallel=True)
    old = revisions(scene)["updateRevision"]
    assert {p["metadata"]["labels"][HASH] for p in scene.pods()} == {old}
    partition(scene, 1000)
    scene.set_images(STS, app=scene.image("app:2"))
    until_observed(scene, STS)
    new = revisions(scene)["updateRevision"]
    assert new != old
    assert {r["metadata"]["name"] for r in scene.all("ControllerRevision")} == {old, new}

    change(scene, "db-2", new)
    scene.until(lambda: revisions(scene).get("updatedReplicas") == 1, "it counts as updated")
    partition(scene, 2)
    scene.delete("pod/db-0", grace=1)
    scene.until(lambda: scene.uids().get("db-0") not in (None, scene.before["db-0"]), "it is recreated")
    assert scene.images()["db-0"] == {"app": scene.image("app:1")}
    scene.open_gates()
    scene.until(lambda: {condition(p, "Ready") for p in scene.pods()} == {"True"}, "all are Ready")
    for name in ("db-1", "db-0"):
        change(scene, name, new)
    scene.until(lambda: revisions(scene).get("updatedReplicas") == 3, "all count")
    partition(scene, 0)
    scene.until(lambda: revisions(scene)["currentRevision"] == new, "the revision is current")
    scene.stage.let_pass(3)
    now = scene.uids()
    assert {name: now[name] for name in ("db-1", "db-2")} == {name: scene.before[name] for name in ("db-1", "db-2")}


def test_above_the_partition_a_pod_is_recreated_new(scene: Scene) -> None:
    db(scene, parallel=True)
    scene.merge(STS, {"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}})
    until_observed(scene, STS)
    scene.run_gates()
    scene.set_images(STS, app=scene.image("app:2"))
    scene.until(lambda: scene.images().get("db-2") == {"app": scene.image("app:2")}, "the controller recreates db-2")
    for name in ("db-0", "db-1"):
        assert scene.uids()[name] == scene.before[name]


def test_a_closed_pod_holds_up_higher_ordinals_if_order_counts(scene: Scene) -> None:
    db(scene, parallel=False)
    scene.set_gate("db-0", "False")
    scene.until(lambda: condition(scene.get("pod/db-0"), "Ready") == "False", "closed")
    scene.delete("pod/db-2", grace=1)
    scene.until(lambda: not scene.find("pod/db-2"), "it is gone")
    scene.stage.let_pass(5)
    assert not scene.find("pod/db-2")
    scene.set_gate("db-0", "True")
    scene.until(lambda: scene.find("pod/db-2"), "it is recreated", 20)


def test_a_daemon_set_by_hand_on_delete(scene: Scene) -> None:
    """Pods labelled with the bare hash of the newest ControllerRevision count as updated, and are left alone afterwards."""
    scene.deploy(daemonset("log", scene.image("app:1")), count=len(scene.send("GET", "/api/v1/nodes")["items"]))
    scene.merge(DS, {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}})
    until_observed(scene, DS)
    scene.set_images(DS, app=scene.image("app:2"))
    until_observed(scene, DS)
    newest = max(scene.all("ControllerRevision"), key=lambda r: int(r["revision"]))
    bare = newest["metadata"]["labels"][HASH]
    assert newest["metadata"]["name"] == f"log-{bare}"
    for name in scene.before:
        change(scene, name, bare)

    def counts() -> list[int]:
        status = scene.get(DS)["status"]
        return [status.get(k, 0) for k in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")]

    scene.until(lambda: counts() == [len(scene.before)] * 3, "all count")
    scene.merge(DS, {"spec": {"updateStrategy": {"type": "RollingUpdate"}}})
    until_observed(scene, DS)
    scene.stage.let_pass(3)
    scene.check_same_pods()


def test_a_daemon_set_replaces_closed_old_pods_beyond_its_budget(scene: Scene) -> None:
    """Why its strategy is changed first: a drained pod of the old template would be deleted at once."""
    scene.deploy(daemonset("log", scene.image("app:1")), count=len(scene.send("GET", "/api/v1/nodes")["items"]))
    for name in scene.before:
        scene.set_gate(name, "False")
    scene.until(lambda: scene.get(DS)["status"].get("numberReady", 0) == 0, "none is ready")
    scene.set_images(DS, app=scene.image("app:2"))

    def all_new() -> bool:
        found = scene.pods()
        return len(found) == len(scene.before) and {images_in(p["spec"])["app"] for p in found} == {scene.image("app:2")}

    scene.until(all_new, "all are replaced, though one at a time would be allowed", 60)
    assert not set(scene.uids().values()) & set(scene.before.values())
