"""One Deployment `web` and its upgrade, as a test tells the story: deploy, upgrade, and the witness's verdict."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Background, Inplace
from tests.e2e.support import GATE, Object, condition, eventually
from tests.recorder import Event, Recorder, Rules, active_replicasets

WEB = "deploy/web"


@dataclass(frozen=True)
class Ended:
    """A command that has ended: `said` is its progress and warnings, `report` its summary."""

    code: int
    said: str
    report: Object


class Scene:
    """A namespace with `deploy/web` in it, under the recorder. Images are named without the registry: `app:2`."""

    def __init__(self, cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
        self.cluster, self.ns, self.recorder, self.inplace = cluster, ns, recorder, inplace
        self.before: dict[str, str] = {}  # uids by pod name, as of `deploy`
        self.addresses: dict[str, str] = {}

    def image(self, ref: str) -> str:
        return f"{self.cluster.registry}/{ref}"

    def kubectl(self, *args: str, manifest: Object | None = None) -> str:
        return self.cluster.kubectl("-n", self.ns, *args, input=json.dumps(manifest) if manifest else None)

    def deploy(self, *objects: Object, count: int, gate: str | None = GATE) -> None:
        """Until `count` pods serve; from here on the recorder judges."""
        support.deploy(self.cluster, self.ns, *objects, count=count, gate=gate)
        self.remember()

    def remember(self) -> None:
        eventually(lambda: is_observed(self.web()), "the controller has seen the Deployment")
        self.before, self.addresses = support.uids(self.cluster, self.ns), support.ips(self.cluster, self.ns)
        self.recorder.mark()

    def start(self, *options: str, target: str = WEB, settle: str | None = "1s", **images: str) -> Background:
        """`app="app:2"` for container app. `settle=None` leaves it to its default."""
        words = [f"{name}={self.image(ref)}" for name, ref in images.items()]
        settling = ["--settle", settle] if settle else []
        return self.inplace.start("upgrade", target, *words, "-o", "json", *settling, *options)

    def end(self, command: Background, code: int = 0) -> Ended:
        result = command.wait()
        assert result.code == code, f"exit code {result.code}\n{result.stdout}\n{result.stderr}"
        report = json.loads(result.stdout)
        print(f"{result.stderr}{self.figures(report)}")
        return Ended(result.code, result.stderr, report)

    def upgrade(self, *options: str, target: str = WEB, settle: str | None = "1s", code: int = 0, **images: str) -> Ended:
        return self.end(self.start(*options, target=target, settle=settle, **images), code)

    def check(
        self, *, upgraded: int | None, max_unavailable: int = 1, writes: int | None = 3, undrainable: Iterable[str] = ()
    ) -> None:
        """Every promise held, as the recorder saw it; and only one ReplicaSet ever had pods."""
        rules = Rules(max_unavailable, "Deployment/web", GATE, upgraded, writes, undrainable=frozenset(undrainable))
        self.recorder.check(rules)
        log = [e for e in self.recorder.log() if e.rv > self.recorder.since]
        assert len({names for _, names in active_replicasets(log) if names}) <= 1, active_replicasets(log)

    def check_same_pods(self) -> None:
        assert support.uids(self.cluster, self.ns) == self.before
        assert support.ips(self.cluster, self.ns) == self.addresses
        assert self.recorder.survivors() == set(self.before.values())

    def check_runs(self, count: int, **images: str) -> None:
        """All pods run these images in service, and the Deployment and its only ReplicaSet with pods ask for them."""
        wanted = {name: self.image(ref) for name, ref in images.items()}
        found = support.pods(self.cluster, self.ns, "app=web")
        assert len(found) == count
        for pod in found:
            assert images_in(pod["spec"]).items() >= wanted.items(), pod["metadata"]["name"]
            assert condition(pod, "Ready") == "True", pod["metadata"]["name"]
        assert images_in(self.web()["spec"]["template"]["spec"]).items() >= wanted.items()
        active = [rs for rs in self.replica_sets() if rs["spec"]["replicas"]]
        assert len(active) == min(1, count)
        for rs in active:
            assert images_in(rs["spec"]["template"]["spec"]).items() >= wanted.items()

    def check_quiet(self, seconds: float = 30) -> None:
        """From now on nobody writes to the Deployment, its ReplicaSets, pods, slices and lock: nothing is left to do."""
        mark, until = self.recorder.version(), time.monotonic() + seconds

        def over() -> bool:
            if noise := self.recorder.writes_after(mark):
                self.recorder.save(self.inplace.folder / "recorder.jsonl")
                pytest.fail(f"not quiet: {', '.join(f'{e.kind} {e.name} {e.type} {e.rv}' for e in noise)}")
            return time.monotonic() >= until

        eventually(over, "quiet", seconds + 60, every=2)

    def web(self) -> Object:
        """Field managers included."""
        found: Object = json.loads(self.kubectl("get", WEB, "-o", "json", "--show-managed-fields"))
        return found

    def replica_sets(self) -> list[Object]:
        items: list[Object] = json.loads(self.kubectl("get", "rs", "-o", "json"))["items"]
        return items

    def history(self) -> dict[int, str]:
        """Revision to the image of container app, as `kubectl rollout history` tells it."""
        listed = self.kubectl("rollout", "history", WEB).splitlines()
        revisions = [int(line.split()[0]) for line in listed if line[:1].isdigit()]
        return {n: self._image_at(n) for n in revisions}

    def _image_at(self, revision: int) -> str:
        told = self.kubectl("rollout", "history", WEB, f"--revision={revision}").split()
        return told[told.index("Image:") + 1].removeprefix(f"{self.cluster.registry}/")

    def on_image(self, ref: str, container: str = "app") -> list[str]:
        """Pods whose spec asks for it, by name."""
        found = support.images(self.cluster, self.ns)
        return sorted(name for name, images in found.items() if images.get(container) == self.image(ref))

    def versions(self, uid: str) -> list[Event]:
        """All versions of a pod from the mark on, in their order."""
        log = sorted((e for e in self.recorder.log() if e.uid == uid and e.type != "DELETED"), key=lambda e: e.rv)
        at_mark = max(0, sum(e.rv <= self.recorder.since for e in log) - 1)
        return log[at_mark:]

    def opening(self, uid: str) -> Event:
        """The version of a pod with which its gate was opened, the only one since the mark."""
        turns = turned(self.versions(uid), GATE)
        assert len(turns) == 1, turns
        return turns[0]

    def run_gates(self) -> Background:
        """`inplace gate run`, until the test ends: opens the gates of new pods."""
        return self.inplace.start("gate", "run", "--condition", GATE, "--label", "inplace.dev/serve")

    def figures(self, report: Object) -> str:
        out = report.get("phases", {}).get("out")
        if out is None:
            return f"FIGURES {self.ns}: {report['outcome']}"
        return (
            f"FIGURES {self.ns}: {report['touched']} pods in {report['seconds']:.1f} s,"
            f" out of service median {out['median']} worst {out['worst']} s, {report['restarts']} restarts"
        )


def turned(versions: list[Event], kind: str) -> list[Event]:
    """Those at which a condition became True."""
    return [
        new
        for old, new in pairwise(versions)
        if condition(new.object, kind) == "True" and condition(old.object, kind) != "True"
    ]


def is_observed(workload: Object) -> bool:
    return bool(workload["status"].get("observedGeneration") == workload["metadata"]["generation"])


def images_in(pod_spec: Object) -> dict[str, str]:
    return {c["name"]: c["image"] for c in [*pod_spec["containers"], *pod_spec.get("initContainers", [])]}


def since(pod: Object, kind: str) -> datetime:
    """When a condition last changed, as the API server tells it: in whole seconds."""
    told = next(c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == kind)
    return datetime.fromisoformat(told)
