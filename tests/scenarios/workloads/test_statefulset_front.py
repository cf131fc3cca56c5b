"""StatefulSets that move while their pods are worked on, from the highest ordinal down: above the front and below it."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.recorder import Object, Rules
from tests.recorder.log import condition, images
from tests.scenarios.cluster_under_test import Running
from tests.scenarios.facts import any_closed, back, is_observed, strategy_of
from tests.scenarios.manifests import ON_DELETE, partition, service, statefulset
from tests.scenarios.scene import Scene

pytestmark = pytest.mark.at_rest

DB = "sts/db"
LEASE = "inplace-statefulset-db"
FAST = ("--settle", "0s")


class Database:
    """StatefulSet db, whose pods find each other by a headless Service that publishes not-ready addresses."""

    def __init__(self, scene: Scene, replicas: int = 3, *, parallel: bool = True, **options: Any) -> None:
        self.scene = scene
        made = statefulset("db", scene.image("app:1"), replicas=replicas, parallel=parallel, **options)
        scene.deploy(made, service("db", headless=True, publishNotReadyAddresses=True), count=replicas)
        self.until_one_revision()
        self.kept = self.strategy

    @property
    def strategy(self) -> Object:
        return strategy_of(self.scene.get(DB))

    @property
    def partition(self) -> int:
        return int(self.strategy["rollingUpdate"]["partition"])

    @property
    def revisions(self) -> tuple[str, str]:
        """The current and the newest."""
        status = self.scene.get(DB)["status"]
        return status["currentRevision"], status["updateRevision"]

    def until_one_revision(self) -> None:
        self.scene.until(lambda: len(set(self.revisions)) == 1, "the newest revision is the current one")

    def start(self, ref: str, *options: str) -> Running:
        return self.scene.stage.start("upgrade", DB, f"app={self.scene.image(ref)}", *FAST, *options)

    def upgrade(self, ref: str = "", *options: str, code: int = 0) -> str:
        """Without `ref`, to its template. What it said."""
        words = [f"app={self.scene.image(ref)}"] if ref else []
        ended = self.scene.inplace("upgrade", DB, *words, *FAST, *options)
        assert ended.code == code, ended
        return ended.stdout + ended.stderr

    def on(self, ref: str) -> list[int]:
        """The ordinals whose spec asks for it."""
        return sorted(int(name.removeprefix("db-")) for name in self.scene.on_image(ref))

    def recreated(self, *ordinals: int) -> dict[int, str]:
        """Deletes these pods, and waits until others in their places serve: with which images they came."""
        before, seen = {n: self.scene.uids()[f"db-{n}"] for n in ordinals}, {}
        for n in ordinals:
            self.scene.delete(f"pod/db-{n}", grace=1)

        def serve() -> bool:
            for n in ordinals:
                found = self.scene.find(f"pod/db-{n}")
                if found is None or found["metadata"]["uid"] == before[n] or condition(found, "Ready") != "True":
                    return False
            return True

        self.scene.until(serve, "they serve again")
        for n in ordinals:
            seen[n] = self.first_image(n)
        return seen

    def first_image(self, ordinal: int) -> str:
        """What the latest pod of this ordinal was created with, without the registry."""
        uid = self.scene.uids()[f"db-{ordinal}"]
        first = min((e for e in self.scene.witness.log() if e.uid == uid), key=lambda e: e.rv)
        return images(first.object)["app"].removeprefix(f"{self.scene.stage.registry}/")

    def check(self, ref: str, count: int) -> None:
        """All pods run it and serve, the owner's strategy is his own, and nobody moves any more."""
        scene = self.scene
        scene.until(lambda: is_observed(scene.get(DB)), "the controller has seen it")
        first = int((scene.get(DB)["spec"].get("ordinals") or {}).get("start") or 0)
        assert self.on(ref) == list(range(first, first + count))
        assert self.strategy == self.kept
        scene.check_no_orphans()
        assert not scene.holder(LEASE)
        scene.check_quiet()

    def rules(self, max_unavailable: int = 1, **more: Any) -> Rules:
        return self.scene.rules(max_unavailable, "StatefulSet/db", undrainable=frozenset({"db"}), **more)


def test_on_both_sides_of_the_front(scene: Scene) -> None:
    """In the middle one above the front is deleted, and comes back new; one below, old, and is upgraded then. Meanwhile it is
    scaled up, and down."""
    db = Database(scene, 5)
    scene.run_gates()
    upgrade = db.start("app:2", "--max-unavailable", "2")
    scene.until(lambda: 0 < db.partition <= 4, "the partition is behind the first pods", every=0.01)
    assert db.recreated(4, 0) == {4: "app:2", 0: "app:1"}
    scene.scale(DB, 6)
    scene.until(lambda: scene.find("pod/db-5"), "there are more")
    assert db.first_image(5) == "app:2"
    scene.scale(DB, 4)
    ended = upgrade.wait()
    assert ended.code == 0, ended
    scene.until(lambda: len(scene.all("pod")) == 4, "the others are gone")
    db.until_one_revision()
    db.check("app:2", 4)
    kept = {name: uid for name, uid in scene.before.items() if name in ("db-1", "db-2", "db-3")}
    assert scene.uids().items() >= kept.items()
    scene.witness.check(Rules(one_restart=False, undrainable=frozenset({"db"})))


def test_a_middle_with_ordinals_from_five(scene: Scene) -> None:
    """Left by Ctrl-C, with no process of ours: what dies comes back as its place calls for, and it can be scaled."""
    db = Database(scene, 3, first_ordinal=5)
    scene.run_gates()
    upgrade = db.start("app:2", "--max-unavailable", "1")
    scene.until_seen(back(scene.image("app:2"), 1), "the highest is done")
    upgrade.send(signal.SIGINT)
    ended = upgrade.wait()
    assert ended.code == 130, ended
    done = db.on("app:2")
    front = min(done)
    assert db.strategy == partition(front - 5)
    scene.check_no_orphans()
    assert DB in scene.inplace("list").stdout
    assert db.recreated(7, 5) == {7: "app:2", 5: "app:1"}
    scene.scale(DB, 4)
    scene.until(lambda: len(scene.pods()) == 4 and db.on("app:2") == [*done, 8], "the new one is new")
    scene.scale(DB, 3)
    scene.until(lambda: len(scene.all("pod")) == 3, "it is scaled down")
    scene.check_quiet()
    scene.remember()
    db.upgrade("app:2", "--max-unavailable", "2")
    db.until_one_revision()
    scene.check_same_pods()
    db.check("app:2", 3)
    scene.witness.check(db.rules(2, writes_per_pod=3))


def test_a_higher_one_dies_while_one_is_closed_and_order_counts(scene: Scene) -> None:
    """It is not recreated before the closed one serves again: that is seen through, and not waited for the wrong way round."""
    db = Database(scene, 3, parallel=False)
    scene.run_gates()
    upgrade = db.start("app:2")
    scene.until_seen(back(scene.image("app:2"), 1), "the highest is done")
    scene.until_seen(any_closed, "the next is closed")
    # The partition is lowered and the next pod closed by one plan: either write may be the first to arrive.
    scene.until(lambda: db.partition <= 2, "the highest would come back new")
    scene.delete("pod/db-2", grace=1)
    ended = upgrade.wait()
    assert ended.code == 0, ended
    assert db.first_image(2) == "app:2"
    db.until_one_revision()
    db.check("app:2", 3)
    assert scene.uids().items() >= {name: scene.before[name] for name in ("db-0", "db-1")}.items()


@pytest.mark.proof
def test_on_delete_and_half_of_the_pods_deleted(scene: Scene) -> None:
    """A template that was changed, and one pod that has it: without images the others are brought to it in place."""
    db = Database(scene, 3, strategy=ON_DELETE)
    scene.run_gates()
    scene.set_images(DB, app=scene.image("app:2"))
    scene.until(lambda: is_observed(scene.get(DB)), "the template is seen")
    assert db.recreated(1) == {1: "app:2"}
    scene.remember()
    db.upgrade("", "--max-unavailable", "2")
    db.check("app:2", 3)
    scene.check_same_pods()
    assert [r["app"] for r in scene.restarts().values()] == [1, 0, 1]


def test_set_image_behind_a_partition(scene: Scene) -> None:
    """Its controller has recreated what is above; the others are brought along in place, and the partition stays."""
    db = Database(scene, 3, strategy=partition(2))
    scene.run_gates()
    scene.set_images(DB, app=scene.image("app:2"))
    scene.until(lambda: db.on("app:2") == [2] and len(scene.pods()) == 3, "the canary is there")
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "it serves")
    scene.remember()
    db.upgrade("", "--max-unavailable", "2")
    db.until_one_revision()
    db.check("app:2", 3)
    scene.check_same_pods()
    scene.witness.check(db.rules(2, upgraded=2, writes_per_pod=3))
