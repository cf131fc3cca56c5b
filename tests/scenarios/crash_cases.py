"""Targets of every kind whose upgrade dies at some write, and what must be true of each when all is over.

Several stand side by side in one namespace, each with a name of its own, so that a real cluster can watch many dead locks at
once. A DaemonSet has two pods, one for each node.
"""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

from tests.recorder import Object
from tests.recorder.log import RECORD, Event, annotation, condition
from tests.recorder.rules import validate
from tests.recorder.writers import writes_by_us
from tests.scenarios.cluster_under_test import Moment, Running
from tests.scenarios.facts import images_in, strategy_of
from tests.scenarios.manifests import container, daemonset, deployment, pod, replicaset, service, statefulset
from tests.scenarios.scene import REVISION, Scene

HASH = "controller-revision-hash"


@dataclass(frozen=True)
class Case:
    """So many pods of an app, and the command's words for them. `writes`: of ours to each pod, in a run that nobody kills."""

    make: Callable[[str, str], list[Object]]
    target: str
    options: tuple[str, ...] = ()
    writes: int = 3
    gate: str | None = "inplace.dev/ready"
    pods: int = 3


def bare(name: str, image: str) -> list[Object]:
    pods = [pod(f"{name}-{letter}", image) for letter in "abc"]
    for made in pods:
        made["metadata"]["labels"] = {"app": name}
    return pods


def plain(image: str) -> Object:
    """As `kubectl create deployment` makes it."""
    return container("app", image, readiness=False)


CASES = {
    "deploy": Case(lambda name, image: [deployment(name, image)], "deploy/{}"),
    "rs": Case(lambda name, image: [replicaset(name, image)], "rs/{}"),
    "pods": Case(bare, "pods -l app={}"),
    "sts": Case(lambda name, image: [statefulset(name, image, parallel=True)], "sts/{}"),
    "ds": Case(lambda name, image: [daemonset(name, image)], "ds/{}", pods=2),
    "without gate": Case(
        lambda name, image: [deployment(name, [plain(image)], gate=None)], "deploy/{}", ("--without-gate",), 2, None
    ),
}


class CrashedTarget:
    """One target of a case, from image `app:1` to `app:2`."""

    def __init__(self, scene: Scene, case: Case, name: str) -> None:
        self.scene, self.case, self.name = scene, case, name
        self.target = case.target.format(name).split()
        self.selector = f"app={name}"
        options = ("--max-unavailable", str(case.pods - 1), "--settle", "0s", *case.options)
        self.words = scene.command(*options, target=case.target.format(name), app="app:2")
        self.uids: dict[str, str] = {}
        self.ips: dict[str, str] = {}

    def start(self) -> Running:
        return self.scene.stage.start(*self.words)

    def start_and_die(self, number: int, moment: Moment, pattern: str = "") -> Running:
        """Dies at its so manieth write that matches, renewals of the lock not counted; or ends before it comes to that."""
        counted = count(1)

        def met(command: Running, write: str, when: Moment) -> None:
            if when == moment and re.match(pattern, write) and not is_renewal(write) and next(counted) == number:
                command.send(signal.SIGKILL)

        return self.scene.stage.start(*self.words, on_write=met)

    def repair(self) -> Running:
        return self.scene.stage.start("repair", *self.target)

    def delete(self) -> None:
        """Without waiting for it."""
        references = [self.target[0]] if "/" in self.target[0] else [f"pod/{name}" for name in self.uids]
        for reference in (*references, f"svc/{self.name}"):
            self.scene.delete(reference)

    # Judging

    def check_safe(self) -> None:
        """Every pod serves, on one image or the other; nothing of ours is on it, nobody holds the lock."""
        self.scene.until(self._serves, f"every pod of {self.name} serves")
        assert self.scene.uids(self.selector) == self.uids
        for found in self.scene.pods(self.selector):
            assert not annotation(found, RECORD)
            assert self.case.gate is None or condition(found, self.case.gate) == "True"
        for lease in self._leases():
            assert not lease["spec"].get("holderIdentity")
        for workload in self._workloads("deploy"):
            assert "paused" not in workload["spec"]

    def check_ended(self, log: list[Event], *, was_repaired: bool = False) -> None:
        """As a run that nobody killed leaves it: the same pods, restarted and written as often; nothing of ours is left.
        Whoever was repaired may have been closed, opened, and closed again."""
        self.check_safe()
        scene, new = self.scene, self.scene.image("app:2")
        assert scene.ips(self.selector) == self.ips
        assert scene.images(self.selector) == {name: {"app": new} for name in self.uids}
        assert scene.restarts(self.selector) == {name: {"app": 1} for name in self.uids}
        for name, uid in self.uids.items():
            writes = writes_by_us(log, uid, since=scene.witness.since)
            assert writes in {self.case.writes, self.case.writes + 2 * was_repaired}, f"{name} was written {writes} times"
        for workload in (*self._workloads("deploy"), *self._workloads("rs")):
            if workload["spec"]["replicas"]:
                assert images_in(workload["spec"]["template"]["spec"]) == {"app": new}
        if self.target[0].startswith("deploy/"):
            assert self._history() == {"1": scene.image("app:1"), "2": new}
        for workload in (*self._workloads("sts"), *self._workloads("ds")):
            self._check_revisions(workload)
        if self.case.gate is not None:
            writes_per_pod = None if was_repaired else 3
            rules = scene.rules(self.case.pods - 1, None, upgraded=self.case.pods, writes_per_pod=writes_per_pod)
            assert validate(self._own(log), dataclasses.replace(rules, since=scene.witness.since)) == []

    def _serves(self) -> bool:
        found = self.scene.pods(self.selector)
        return sum(condition(p, "Ready") == "True" for p in found) == len(found) == self.case.pods

    def _own(self, log: Iterable[Event]) -> list[Event]:
        return [e for e in log if e.name == self.name or e.name.startswith(f"{self.name}-")]

    def _workloads(self, kind: str) -> list[Object]:
        found = self.scene.all(kind)
        return [o for o in found if o["spec"]["selector"]["matchLabels"]["app"] == self.name]

    def _leases(self) -> list[Object]:
        """Of bare pods there is none in the end."""
        found = self.scene.all("lease")
        return [o for o in found if o["metadata"]["name"].endswith(f"-{self.name}") or "-pods-" in o["metadata"]["name"]]

    def _history(self) -> dict[str, str]:
        sets = self._workloads("rs")
        return {rs["metadata"]["annotations"][REVISION]: images_in(rs["spec"]["template"]["spec"])["app"] for rs in sets}

    def _check_revisions(self, workload: Object) -> None:
        """As a classic rollout leaves them; and the update strategy is its owner's own again, which is the default one."""
        scene, is_ordered = self.scene, "replicas" in workload["spec"]
        strategy = {"partition": 0} if is_ordered else {"maxSurge": 0, "maxUnavailable": 1}
        assert strategy_of(workload) == {"type": "RollingUpdate", "rollingUpdate": strategy}
        assert images_in(workload["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}
        revisions = sorted(scene.all("ControllerRevision", self.selector), key=lambda found: int(found["revision"]))
        told = [(r["revision"], images_in(r["data"]["spec"]["template"]["spec"])["app"]) for r in revisions]
        assert told == [(1, scene.image("app:1")), (2, scene.image("app:2"))]
        newest = revisions[-1]["metadata"]
        label = newest["name"] if is_ordered else newest["labels"][HASH]
        assert {p["metadata"]["labels"][HASH] for p in scene.pods(self.selector)} == {label}
        assert workload["status"].get("currentRevision", newest["name"]) == newest["name"]


def is_renewal(write: str) -> bool:
    """Of the lock: those come by the clock."""
    return "/leases/" in write and not any(word in write for word in ("annotations", "holderIdentity", "DELETE"))


def deploy(scene: Scene, case: Case, names: Iterable[str]) -> list[CrashedTarget]:
    victims = [CrashedTarget(scene, case, name) for name in names]
    objects = [o for v in victims for o in (*case.make(v.name, scene.image("app:1")), service(v.name))]
    scene.deploy(*objects, count=case.pods * len(victims), gate=case.gate)
    for victim in victims:
        victim.uids, victim.ips = scene.uids(victim.selector), scene.ips(victim.selector)
    return victims
