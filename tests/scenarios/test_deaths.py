"""Death before and after every write of a run on three pods, then the same command: as if nothing had happened.

A DaemonSet has two, one for each node. All moments on the embedded cluster with every `make test`, and on a real one with
`make proof`; one of each kind of write on a real one with `make e2e`, here and in `test_resume`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.facts import images_in
from tests.scenarios.manifests import container, daemonset, deployment, pod, replicaset, service, statefulset
from tests.scenarios.scene import Scene
from tests.scenarios.stage import Moment, Running

LEFT = ("rs", "slice", "ControllerRevision")
HASH = "controller-revision-hash"
NAMES = ("web-a", "web-b", "web-c")


def bare(image: str) -> list[Object]:
    pods = [pod(name, image) for name in NAMES]
    for made in pods:
        made["metadata"]["labels"] = {"app": "web"}
    return pods


@dataclass(frozen=True)
class Case:
    """So many pods of app `web`, and the command's words for them. `writes`: of ours to each pod."""

    make: Callable[[str], list[Object]]
    target: str
    options: tuple[str, ...] = ()
    writes: int = 3
    gate: str | None = "inplace.dev/ready"
    pods: int = 3


PLAIN = ("--without-gate",)
CASES = {
    "deploy": Case(lambda image: [deployment("web", image)], "deploy/web"),
    "rs": Case(lambda image: [replicaset("web", image)], "rs/web"),
    "pods": Case(bare, "pods -l app=web"),
    "sts": Case(lambda image: [statefulset("web", image, parallel=True)], "sts/web"),
    "ds": Case(lambda image: [daemonset("web", image)], "ds/web", pods=2),
    "without gate": Case(lambda image: [deployment("web", [plain(image)], gate=None)], "deploy/web", PLAIN, 2, None),
}


def plain(image: str) -> Object:
    """As `kubectl create deployment` makes it."""
    return container("app", image, readiness=False)


def words(scene: Scene, case: Case) -> tuple[str, ...]:
    options = ("--max-unavailable", str(case.pods - 1), "--settle", "0s", *case.options)
    return scene.command(*options, target=case.target, app="app:2")


def deploy(scene: Scene, case: Case) -> None:
    scene.deploy(*case.make(scene.image("app:1")), service("web"), count=case.pods, gate=case.gate)


def killed_at(scene: Scene, case: Case, number: int, moment: Moment) -> bool:
    """False: it ended before it came to that write, renewals of the lock not counted."""
    times = 0

    def met(command: Running, write: str, when: Moment) -> None:
        nonlocal times
        if when == moment and not is_renewal(write):
            times += 1
            if times == number:
                command.send(signal.SIGKILL)

    return scene.stage.start(*words(scene, case), on_write=met).wait().code == -signal.SIGKILL


def is_renewal(write: str) -> bool:
    """Of the lock: those come by the clock."""
    return "/leases/" in write and not any(word in write for word in ("annotations", "holderIdentity", "DELETE"))


def check_ended(scene: Scene, case: Case) -> None:
    """The same command: the same pods serve, restarted and written as in a run that nobody killed; nothing of ours is left."""
    again = scene.inplace(*words(scene, case))
    assert again.code == 0, again
    scene.until(lambda: all(condition(p, "Ready") == "True" for p in scene.pods()), "every pod serves")
    scene.check_same_pods()
    assert scene.on_image("app:2") == set(scene.before)
    scene.check_restarts(*[{"app": 1}] * case.pods)
    for found in scene.pods():
        assert not annotation(found, RECORD)
        assert case.gate is None or condition(found, case.gate) == "True"
        assert scene.witness.writes_by_us(found["metadata"]["uid"]) == case.writes
    assert not any(lease["spec"].get("holderIdentity") for lease in scene.all("lease"))
    for workload in (*scene.all("deploy"), *scene.all("rs")):
        assert "paused" not in workload["spec"]
        if workload["spec"]["replicas"]:
            assert images_in(workload["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}
    if case.target == "deploy/web":
        assert scene.history() == {1: "app:1", 2: "app:2"}
    for workload in (*scene.all("sts"), *scene.all("ds")):
        check_revisions(scene, workload)
    if case.gate is not None:
        scene.witness.check(scene.rules(case.pods - 1, workload=None, upgraded=case.pods, writes_per_pod=3))


def check_revisions(scene: Scene, workload: Object) -> None:
    """As a classic rollout leaves them; and the update strategy is its owner's own again, which is the default one."""
    strategy = {"partition": 0} if "replicas" in workload["spec"] else {"maxSurge": 0, "maxUnavailable": 1}
    assert workload["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": strategy}
    assert images_in(workload["spec"]["template"]["spec"]) == {"app": scene.image("app:2")}
    revisions = sorted(scene.all("ControllerRevision"), key=lambda found: int(found["revision"]))
    told = [(r["revision"], images_in(r["data"]["spec"]["template"]["spec"])["app"]) for r in revisions]
    assert told == [(1, scene.image("app:1")), (2, scene.image("app:2"))]
    newest = revisions[-1]["metadata"]
    label = newest["name"] if "replicas" in workload["spec"] else newest["labels"][HASH]
    assert {p["metadata"]["labels"][HASH] for p in scene.pods()} == {label}
    assert workload["status"].get("currentRevision", newest["name"]) == newest["name"]


def clear(scene: Scene, case: Case) -> None:
    if "/" in case.target:
        scene.delete(case.target)
    else:
        for name in NAMES:
            scene.delete(f"pod/{name}", grace=0)
    scene.delete("svc/web")
    scene.until(lambda: not scene.all("pod") and not any(scene.all(kind) for kind in LEFT), "all is gone")
    for lease in scene.all("lease"):
        scene.delete(f"lease/{lease['metadata']['name']}")


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("case", CASES)
def test_at_every_write(scene: Scene, case: str, moment: Moment) -> None:
    number, made = 1, CASES[case]
    deploy(scene, made)
    while killed_at(scene, made, number, moment):
        check_ended(scene, made)
        clear(scene, made)
        number += 1
        deploy(scene, made)
    assert number > 10


STS, DS = "PATCH .*/statefulsets/", "PATCH .*/daemonsets/"
AT: dict[str, tuple[str, str, int, Moment]] = {
    "rs, the template is new, its answer lost": ("rs", "PATCH .*/replicasets/", 1, "after"),
    "pods, the lock is not deleted yet": ("pods", "DELETE .*/leases/", 1, "before"),
    "sts, the template is new, its answer lost": ("sts", f"{STS}.*template", 1, "after"),
    "sts, the partition is behind the first, the answer lost": ("sts", f"{STS}.*updateStrategy", 2, "after"),
    "ds, held back, the answer lost": ("ds", f"{DS}.*updateStrategy", 1, "after"),
    "ds, the strategy is not given back yet": ("ds", f"{DS}.*updateStrategy", 2, "before"),
    "without gate, a record is dropped, the answer lost": ("without gate", r"PATCH .*/pods/\S+ .*null", 1, "after"),
}


@pytest.mark.parametrize("at", AT)
def test_at_one_write_of_each_kind(scene: Scene, at: str) -> None:
    name, pattern, nth, moment = AT[at]
    case = CASES[name]
    deploy(scene, case)
    scene.killed_at(pattern, nth, moment, *words(scene, case))
    check_ended(scene, case)
