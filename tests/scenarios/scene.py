"""A workload and its upgrade, as a test tells the story: deploy, upgrade, what happens meanwhile, and the witness's verdict.

It is written once over `ClusterUnderTest`, so that it means the same on both clusters. Images have no registry: `app:2`.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.recorder import Event, Object, Rules, active_replicasets
from tests.recorder.history import replay
from tests.recorder.log import RECORD, annotation, condition
from tests.recorder.witness import is_heartbeat
from tests.recorder.writers import written_by
from tests.scenarios.cluster_under_test import ClusterUnderTest, Moment, Result, Running
from tests.scenarios.facts import LogPredicate, differences, images_in, is_observed, turned
from tests.scenarios.manifests import GATE, deployment, service
from tests.scenarios.objects import Objects

T = TypeVar("T")

WEB = "deploy/web"
SETTLE = ("--settle", "1s")  # free, and enough for kube-proxy (design, section 9)
LEASE = "inplace-deployment-web"
LIMITS = "status.resources.limits"
REVISION = "deployment.kubernetes.io/revision"
WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Ended:
    """An upgrade that has ended: `said` is its progress and warnings, `report` its summary."""

    code: int
    said: str
    report: Object


class Scene(Objects):
    """A namespace under the witness, mostly with `deploy/web` in it."""

    def __init__(self, stage: ClusterUnderTest) -> None:
        super().__init__(stage)
        self.ns, self.witness = stage.namespace, stage.witness
        self.before: dict[str, str] = {}  # uids by pod name, as of the last `remember`
        self.addresses: dict[str, str] = {}

    def image(self, ref: str) -> str:
        return f"{self.stage.registry}/{ref}"

    # Beginning

    def deploy(self, *objects: Object, count: int, gate: str | None = GATE) -> None:
        """Until `count` pods are Ready and every Service's slices say so; from here on the witness judges."""
        self.create(*objects)
        services = sum(1 for o in objects if o["kind"] == "Service")
        workloads = [f"{o['kind']}/{o['metadata']['name']}" for o in objects if o["kind"] in WORKLOADS]

        def ready() -> bool:
            if gate:
                self.open_gates(gate=gate)
            pods = self.pods()
            sent_to = sum(1 for e in self.endpoints() if e["conditions"].get("ready") is not False)
            serves = sum(1 for p in pods if condition(p, "Ready") == "True") == len(pods) == count
            return serves and sent_to >= count * bool(services) and all(is_observed(self.get(w)) for w in workloads)

        self.until(ready, f"{count} pods Ready", 120 + 3 * count)
        self.remember()

    def web(self, replicas: int = 3, *, ref: str = "app:1", serve: bool = True, **options: Any) -> None:
        """Deployment web, with a Service of the same name if `serve`."""
        served = [service("web")] if serve else []
        self.deploy(deployment("web", self.image(ref), replicas=replicas, **options), *served, count=replicas)

    def remember(self) -> None:
        self.before, self.addresses = self.uids(), self.ips()
        self.witness.mark()

    # Commands

    def inplace(self, *args: str) -> Result:
        return self.stage.start(*args).wait()

    def start(self, *options: str, target: str = WEB, settle: str | None = "1s", **images: str) -> Running:
        """`app="app:2"` for container app. `settle=None` leaves it to its default."""
        words = [f"{name}={self.image(ref)}" for name, ref in images.items()]
        settling = ["--settle", settle] if settle else []
        return self.stage.start("upgrade", *target.split(), *words, "-o", "json", *settling, *options)

    def end(self, command: Running, code: int = 0) -> Ended:
        result = command.wait()
        assert result.code == code, result
        report = json.loads(result.stdout)
        print(f"{result.stderr}{figures(self.ns, report)}")
        return Ended(result.code, result.stderr, report)

    def upgrade(self, *options: str, target: str = WEB, settle: str | None = "1s", code: int = 0, **images: str) -> Ended:
        return self.end(self.start(*options, target=target, settle=settle, **images), code)

    def command(self, *options: str, target: str = WEB, **images: str) -> tuple[str, ...]:
        """The words of an upgrade with lines for a person, for `inplace(*words)`."""
        words = [f"{name}={self.image(ref)}" for name, ref in images.items()]
        return ("upgrade", *target.split(), *words, *SETTLE, *options)

    def killed_at(self, pattern: str, nth: int, moment: Moment, *args: str) -> None:
        """Runs the command until SIGKILL at its nth write that matches."""
        wanted, times = re.compile(pattern), 0

        def met(command: Running, write: str, when: Moment) -> None:
            nonlocal times
            if when == moment and wanted.match(write):
                times += 1
                if times == nth:
                    command.send(signal.SIGKILL)

        ended = self.stage.start(*args, on_write=met).wait()
        assert ended.code == -signal.SIGKILL, ended
        assert times >= nth

    def run_gates(self, gate: str = GATE, label: str = "inplace.dev/serve", *options: str) -> Running:
        """`inplace gate run`, until the test ends, and watching."""
        started = self.stage.start("gate", "run", "--condition", gate, "--label", label, *options)
        self.until(lambda: "watching pods" in started.stdout, "the controller watches", 30)
        return started

    # Waiting

    def until(self, predicate: Callable[[], T], what: str, seconds: float = 120, every: float = 0.1) -> T:
        return self.stage.until(predicate, what, seconds, every)

    def until_seen(self, happened: LogPredicate, what: str, seconds: float = 60) -> None:
        """Until the log shows it, looking often."""
        self.until(lambda: happened(self.witness.so_far()), what, seconds, every=0.01)

    def until_all_serve(self, selector: str = "") -> None:
        """At once, but for a probe that a busy machine has let fail."""
        self.until(lambda: all(condition(p, "Ready") == "True" for p in self.pods(selector)), "every pod serves")

    def until_rolled_out(self, reference: str = WEB) -> None:
        """As `kubectl rollout status` sees it, and the old pods are gone."""

        def rolled_out() -> bool:
            found = self.get(reference)
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
            return is_observed(found) and counts == [wanted] * 3 and len(self.all("pod")) == wanted

        self.until(rolled_out, f"{reference} is rolled out")

    # Judging

    def rules(self, max_unavailable: int | None = 1, workload: str | None = "Deployment/web", **more: Any) -> Rules:
        return Rules(max_unavailable=max_unavailable, workload=workload, **more)

    def crash_rules(self, max_unavailable: int = 1, upgraded: int | None = None) -> Rules:
        """As `rules`, but restarts are not counted: images that crash restart again and again."""
        return self.rules(max_unavailable, upgraded=upgraded, one_restart=False)

    def check(
        self, *, upgraded: int | None, max_unavailable: int = 1, writes: int | None = 3, undrainable: Iterable[str] = ()
    ) -> None:
        """Every promise to Deployment web held, as the witness saw it; and only one ReplicaSet ever had pods."""
        rules = self.rules(max_unavailable, upgraded=upgraded, writes_per_pod=writes, undrainable=frozenset(undrainable))
        self.witness.check(rules)
        log = [e for e in self.witness.log() if e.rv > self.witness.since]
        assert len({names for _, names in active_replicasets(log) if names}) <= 1, active_replicasets(log)

    def check_same_pods(self) -> None:
        assert self.uids() == self.before
        assert self.ips() == self.addresses
        assert self.witness.survivors() == set(self.before.values())

    def check_runs(self, count: int, **images: str) -> None:
        """All pods run these images in service, and the Deployment and its only ReplicaSet with pods ask for them."""
        wanted = {name: self.image(ref) for name, ref in images.items()}
        self.until_all_serve("app=web")
        found = self.pods("app=web")
        assert len(found) == count
        for pod in found:
            assert images_in(pod["spec"]).items() >= wanted.items(), pod["metadata"]["name"]
        assert images_in(self.get(WEB)["spec"]["template"]["spec"]).items() >= wanted.items()
        active = [rs for rs in self.all("rs") if rs["spec"]["replicas"]]
        assert len(active) == min(1, count)
        for rs in active:
            assert images_in(rs["spec"]["template"]["spec"]).items() >= wanted.items()

    def check_restarts(self, *each: dict[str, int]) -> None:
        assert list(self.restarts().values()) == list(each)

    def check_each_restarted_once(self) -> None:
        """But for newcomers that were met before they had a node: those come up new, and need no restart."""
        for name, counts in self.restarts().items():
            assert counts == {"app": 1} or (counts == {"app": 0} and name not in self.before), (name, counts)

    def check_quiet(self) -> None:
        """Once the last status has got round nobody writes to workloads, pods, slices and lock: nothing is left to do. But for
        one thing that a kubelet tells of a pod once, when it gets round to it: the limits of its cgroup (measured, 1.36.3)."""
        self.stage.let_pass(2)
        mark = self.witness.version()
        self.stage.let_pass(self.stage.quiet_seconds)
        noise = {e.rv for e in self.witness.writes_after(mark)}
        written = [
            (s.event, differences(s.before or {}, s.event.object)) for s in replay(self.witness.log()) if s.event.rv in noise
        ]
        told = [
            f"{e.kind} {e.name} {e.type} {e.rv}: {'; '.join(d)}" for e, d in written if not d or not all(LIMITS in x for x in d)
        ]
        assert not told, f"not quiet: {', '.join(told)}"

    def check_no_orphans(self, gate: str = GATE) -> None:
        """No pod is closed or carries a record."""
        for pod in self.pods():
            name = pod["metadata"]["name"]
            assert not annotation(pod, RECORD), f"{name} still carries a record"
            assert condition(pod, gate) == "True", f"{name} was left closed"

    def check_consistent(self, ref: str, history: dict[int, str], replicas: int = 3, *, outcome: str = "Succeeded") -> None:
        """Deployment web is as a classic rollout would have left it, every pod serves, and the lock is free."""
        found = self.get(WEB)
        assert "paused" not in found["spec"]
        assert is_observed(found)
        counts = ("replicas", "updatedReplicas", "readyReplicas")
        self.until(lambda: [self.get(WEB)["status"].get(k) for k in counts] == [replicas] * 3, "the controller counts", 60)
        self.check_runs(replicas, app=ref)
        assert self.history() == history
        self.check_no_orphans()
        assert not self.holder()
        assert self.stored_run()["outcome"] == outcome

    def check_refused(self, result: Result, code: int, *words: str) -> None:
        """One clear line, the code, and nothing on stdout."""
        lines = result.stderr.splitlines()
        assert result.code == code, result
        assert len(lines) == 1, result
        assert lines[0].startswith("error: "), result
        assert result.stdout == "", result
        for word in words:
            assert word in lines[0], f"{word!r} is not in: {lines[0]}"

    # Looking

    def history(self) -> dict[int, str]:
        """Revision to the image of container app, as `kubectl rollout history` finds it: in the ReplicaSets."""
        found = {int(rs["metadata"]["annotations"][REVISION]): rs for rs in self.all("rs")}
        images = {n: images_in(rs["spec"]["template"]["spec"])["app"] for n, rs in sorted(found.items())}
        return {n: image.removeprefix(f"{self.stage.registry}/") for n, image in images.items()}

    def stored_run(self, lease: str = LEASE) -> Object:
        run: Object = json.loads(self.get(f"lease/{lease}")["metadata"]["annotations"]["inplace.dev/run"])
        return run

    def holder(self, lease: str = LEASE) -> str:
        """Of the target's lock; empty: it is free."""
        return self.get(f"lease/{lease}")["spec"].get("holderIdentity") or ""

    def request_on(self, reference: str) -> str:
        """Empty: nothing is asked, or it was taken in."""
        return annotation(self.get(reference), "inplace.dev/request") or ""

    def on_image(self, ref: str, container: str = "app") -> set[str]:
        """The names of the pods whose spec asks for it."""
        return {name for name, images in self.images().items() if images.get(container) == self.image(ref)}

    def versions(self, uid: str) -> list[Event]:
        """All versions of a pod from the mark on, in their order."""
        log = sorted((e for e in self.witness.log() if e.uid == uid and e.type != "DELETED"), key=lambda e: e.rv)
        at_mark = max(0, sum(e.rv <= self.witness.since for e in log) - 1)
        return log[at_mark:]

    def opening(self, uid: str) -> Event:
        """The version of a pod with which its gate was opened, the only one since the mark."""
        turns = turned(self.versions(uid), GATE)
        assert len(turns) == 1, turns
        return turns[0]

    def our_writes(self, since: int = 0) -> list[str]:
        """Everything that `inplace` wrote after `since`, or after the last mark: what a person can read."""
        found = []
        for step in replay(self.witness.log()):
            event = step.event
            if event.rv <= (since or self.witness.since) or is_heartbeat(event):
                continue
            if event.type == "DELETED":
                ours = event.kind == "Lease" and event.name.startswith("inplace-")
            elif step.before is None:
                ours = any(
                    e.get("manager", "").startswith("inplace") for e in event.object["metadata"].get("managedFields") or []
                )
            else:
                ours = written_by(step.before, event.object, GATE)
            if ours:
                found.append(f"{event.type} {event.kind} {event.name} at {event.rv}")
        return found


def figures(namespace: str, report: Object) -> str:
    out = report.get("phases", {}).get("out")
    if out is None:
        return f"FIGURES {namespace}: {report['outcome']}"
    return (
        f"FIGURES {namespace}: {report['touched']} pods in {report['seconds']:.1f} s,"
        f" out of service median {out['median']} worst {out['worst']} s, {report['restarts']} restarts"
    )
