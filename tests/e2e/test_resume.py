"""Killed or interrupted anywhere, the same command goes on, and ends as if nothing had happened."""

import re
import signal

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Background, Inplace
from tests.e2e.mishaps import (
    LEASE,
    SETTLE,
    any_closed,
    any_patched,
    app,
    back,
    consistent,
    living,
    no_orphans,
    recorded,
    revisions,
    stored_run,
    until,
    web,
    with_image,
)
from tests.e2e.proxy import Moment, Proxy, Request
from tests.recorder import Recorder, Rules

POD = r"PATCH .*/pods/[^/ ]+"
# The write at which the command dies: a pattern, the how manieth of its kind, and whether the API server still gets it.
MOMENTS: dict[str, tuple[str, int, Moment]] = {
    "the lock is taken, nothing else": (r"POST .*/leases", 1, "after"),
    "a pod is closed": (rf"{POD}/status .*Upgrading", 1, "after"),
    "drained and settled, the image not yet written": (f"{POD} ", 1, "before"),
    "the image is written, its answer lost": (f"{POD} ", 1, "after"),
    "restarted, the gate not yet opened": (rf"{POD}/status .*Upgraded", 1, "before"),
    "the last gate is opened, its answer lost": (rf"{POD}/status .*Upgraded", 3, "after"),
    "the Deployment is paused": (r"PATCH .*/deployments/web .*paused", 1, "after"),
    "the ReplicaSet has the new template": (r"PATCH .*/replicasets/", 1, "after"),
    "both templates are new, the old one is not buried": (r"POST .*/replicasets", 1, "before"),
    "the old template is buried, the Deployment still paused": (r"POST .*/replicasets", 1, "after"),
    "the Deployment is unpaused, its answer lost": (r"PATCH .*/deployments/web .*paused", 2, "after"),
}


class Killer:
    """Sends SIGKILL to a command at an exact write."""

    def __init__(self, pattern: str, nth: int, moment: Moment) -> None:
        self.pattern, self.nth, self.moment = re.compile(pattern), nth, moment
        self.command: Background | None = None
        self.times = 0

    def __call__(self, request: Request, moment: Moment) -> None:
        if moment != self.moment or not self.pattern.match(f"{request.method} {request.path} {request.body}"):
            return
        self.times += 1
        if self.times == self.nth:
            assert self.command is not None
            self.command.process.kill()
            self.command.process.wait()
            raise ConnectionError("killed")  # nothing more is passed on

    @property
    def is_done(self) -> bool:
        return self.times >= self.nth


def killed_at(inplace: Inplace, cluster: Cluster, moment: str, *command: str) -> Proxy:
    """Runs the command until it is killed there."""
    killer = Killer(*MOMENTS[moment])
    with Proxy(cluster, killer) as proxy:
        killer.command = inplace.start(*command, "--server", proxy.url)
        ended = killer.command.wait()
    assert ended.code == -signal.SIGKILL, ended
    assert killer.is_done
    return proxy


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, moment: str) -> None:
    """One restart per container, three writes per pod in all, and the history of a clean run."""
    web(cluster, ns)
    before = support.uids(cluster, ns), support.ips(cluster, ns)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--max-unavailable", "2", *SETTLE)
    killed_at(inplace, cluster, moment, *command)
    dead = support.get(cluster, ns, f"lease/{LEASE}")["spec"]["holderIdentity"]

    resumed = inplace(*command)
    assert resumed.code == 0, resumed
    assert f"deploy/web is locked by {dead}; watching for 15s whether that is alive" in resumed.stdout + resumed.stderr
    assert (support.uids(cluster, ns), support.ips(cluster, ns)) == before
    assert support.restarts(cluster, ns) == {name: {"app": 1} for name in before[0]}
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(Rules(max_unavailable=2, workload="Deployment/web", upgraded=3, writes_per_pod=3))
    again = inplace(*command)
    assert (again.code, again.stdout) == (0, f"deploy/web runs app={app(cluster, '2')} already\n")


def test_killed_twice_in_one_upgrade(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--max-unavailable", "1", *SETTLE)
    killed_at(inplace, cluster, "the image is written, its answer lost", *command)
    killed_at(inplace, cluster, "the ReplicaSet has the new template", *command)
    assert inplace(*command).code == 0
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=3, writes_per_pod=3))


@pytest.mark.parametrize(
    "moment", ["the ReplicaSet has the new template", "the old template is buried, the Deployment still paused"]
)
def test_a_half_done_commit_is_finished_before_other_images(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, moment: str
) -> None:
    """So that the history has all three revisions, and each pod was restarted twice."""
    web(cluster, ns)
    before = support.uids(cluster, ns)
    recorder.mark()
    options = ("--max-unavailable", "2", *SETTLE)
    killed_at(inplace, cluster, moment, "upgrade", "deploy/web", f"app={app(cluster, '2')}", *options)
    third = inplace("upgrade", "deploy/web", f"app={app(cluster, '3')}", *options)
    assert third.code == 0, third
    assert f"finishing the commit of app={app(cluster, '2')} first" in third.stdout + third.stderr
    assert support.uids(cluster, ns) == before
    assert support.restarts(cluster, ns) == {name: {"app": 2} for name in before}
    consistent(cluster, ns, "3", {1: "1", 2: "2", 3: "3"})
    recorder.check(Rules(max_unavailable=2, workload="Deployment/web", upgraded=3))


@pytest.mark.parametrize("moment", ["a pod is closed", "the image is written, its answer lost"])
def test_other_images_adopt_the_pods_of_a_dead_run(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, moment: str
) -> None:
    """No pod ends on the images of the dead run, and `undo` goes from the new ones to the first."""
    web(cluster, ns)
    before = support.uids(cluster, ns)
    recorder.mark()
    options = ("--max-unavailable", "1", *SETTLE)
    killed_at(inplace, cluster, moment, "upgrade", "deploy/web", f"app={app(cluster, '2')}", *options)
    other = inplace("upgrade", "deploy/web", f"app={app(cluster, '3')}", *options)
    assert other.code == 0, other
    assert support.uids(cluster, ns) == before
    consistent(cluster, ns, "3", {1: "1", 2: "3"})
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=3))


@pytest.mark.parametrize(
    ("stage", "number"),
    [("closing", signal.SIGINT), ("between", signal.SIGINT), ("restarting", signal.SIGINT), ("restarting", signal.SIGTERM)],
)
def test_interrupted_once(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, stage: str, number: signal.Signals
) -> None:
    """Pods in flight are finished, or reopened where their image is the old one; the lock is free at once."""
    web(cluster, ns)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    run = inplace.start(*command)
    happened = {"closing": any_closed, "restarting": any_patched(new), "between": back(new, 1)}[stage]
    until(recorder, happened, stage)
    run.send(number)
    ended = run.wait(60)
    assert ended.code == 130, ended
    assert f"interrupted by {'SIGTERM' if number == signal.SIGTERM else 'Ctrl-C'}" in ended.stdout, ended
    assert f"go on with:  inplace upgrade deploy/web app={new}" in ended.stderr, ended
    no_orphans(cluster, ns)
    assert len(with_image(cluster, ns, new)) < 3
    ready = lambda: all(support.condition(p, "Ready") == "True" for p in support.pods(cluster, ns))  # noqa: E731
    support.eventually(ready, "the kubelet follows the gates", 30)
    assert revisions(cluster, ns) == {1: "1"}
    assert not support.get(cluster, ns, f"lease/{LEASE}")["spec"].get("holderIdentity")
    assert stored_run(cluster, ns)["outcome"] == "Interrupted"

    resumed = inplace(*command)
    assert resumed.code == 0, resumed
    assert "watching for 15s" not in resumed.stdout + resumed.stderr
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=3))


def test_interrupted_twice_leaves_at_once(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """While a pod takes its time to come back; its record says whose it is, and the same command finishes it."""
    containers = [support.container("app", app(cluster, "1"), boot=8)]
    support.deploy(cluster, ns, support.deployment("web", containers, replicas=2), support.service("web"), count=2)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    run = inplace.start(*command)
    until(recorder, any_patched(new), "a pod is restarting")
    run.send(signal.SIGINT)
    support.eventually(lambda: "Ctrl-C leaves at once" in run.stdout + run.stderr, "the first is heard", 30, every=0.01)
    run.send(signal.SIGINT)
    left = run.wait(30)
    assert left.code == 130, left
    assert "left in the middle, with 1 pod in flight; go on with: inplace upgrade deploy/web" in left.stderr, left
    assert any(support.condition(p, "Ready") != "True" for p in support.pods(cluster, ns)), "it did not wait for the pod"
    for pod in recorded(living(recorder.log())):
        assert stored_run(cluster, ns)["id"] in pod["metadata"]["annotations"]["inplace.dev/upgrade"]

    resumed = inplace(*command)
    assert resumed.code == 0, resumed
    assert "watching for 15s" not in resumed.stdout + resumed.stderr, "the lock was let go of"
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))


def test_a_commit_is_finished_on_ctrl_c(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=2)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--max-unavailable", "2", *SETTLE)
    interrupted: list[Background] = []

    def interrupt(request: Request, moment: Moment) -> None:
        if moment == "after" and "/replicasets/" in request.path:
            interrupted[0].send(signal.SIGINT)

    with Proxy(cluster, interrupt) as proxy:
        interrupted.append(inplace.start(*command, "--server", proxy.url))
        ended = interrupted[0].wait()
    assert ended.code == 0, ended
    assert "interrupted by Ctrl-C" in ended.stdout + ended.stderr, "it was heard"
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    recorder.check(Rules(max_unavailable=2, workload="Deployment/web", upgraded=2, writes_per_pod=3))
