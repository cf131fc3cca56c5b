"""A workload `web` of each kind that has a history, upgraded, and what must be true of it at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.recorder import Object
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.cluster_under_test import Result, Running
from tests.scenarios.facts import back, images_in, is_observed
from tests.scenarios.manifests import daemonset, deployment, service, statefulset
from tests.scenarios.scene import Scene

FAST = ("--settle", "0s", "--max-unavailable", "1")


@dataclass(frozen=True)
class Kind:
    """A workload `web` of this kind. `kept`: what its owner has chosen, and must find again."""

    short: str
    lease: str
    pods: int
    make: Callable[[str], Object]
    kept: Callable[[Object], Any]

    @property
    def web(self) -> str:
        return f"{self.short}/web"


DEPLOYMENT = Kind("deploy", "inplace-deployment-web", 3, lambda i: deployment("web", i), lambda o: o["spec"].get("paused"))
STATEFUL_SET = Kind(
    "sts",
    "inplace-statefulset-web",
    3,
    lambda image: statefulset("web", image, parallel=True),
    lambda o: o["spec"]["updateStrategy"],
)
DAEMON_SET = Kind(
    "ds", "inplace-daemonset-web", 2, lambda image: daemonset("web", image), lambda o: o["spec"]["updateStrategy"]
)
KINDS = pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET, DAEMON_SET], ids=lambda kind: kind.short)


class WorkloadScenario:
    """One workload of a kind, upgraded and brought back."""

    def __init__(self, scene: Scene, kind: Kind) -> None:
        self.scene, self.kind = scene, kind
        scene.deploy(kind.make(scene.image("app:1")), service("web"), count=kind.pods)
        self.kept = kind.kept(scene.get(kind.web))

    def start(self, ref: str, *options: str) -> Running:
        return self.scene.stage.start("upgrade", self.kind.web, f"app={self.scene.image(ref)}", *FAST, *options)

    def run(self, verb: str, *options: str, code: int = 0) -> Result:
        result = self.scene.inplace(verb, self.kind.web, *options)
        assert result.code == code, result
        return result

    def upgrade(self, ref: str, *options: str, code: int = 0) -> None:
        result = self.start(ref, *options).wait()
        assert result.code == code, result

    def one_is_done(self, ref: str) -> None:
        self.scene.until_seen(back(self.scene.image(ref), 1), f"one pod on {ref}")

    def check(self, ref: str) -> None:
        """The same pods run the image in service, the template asks for it, the owner's choices are his own, no record, no
        lock; and nobody moves any more."""
        scene, image = self.scene, self.scene.image(ref)
        scene.until(lambda: is_observed(scene.get(self.kind.web)), "the controller has seen it")
        scene.check_same_pods()
        assert scene.on_image(ref) == set(scene.before)
        found = scene.get(self.kind.web)
        assert images_in(found["spec"]["template"]["spec"]) == {"app": image}
        assert self.kind.kept(found) == self.kept
        scene.until_all_serve()
        assert not any(annotation(pod, RECORD) for pod in scene.pods())
        lease = scene.get(f"lease/{self.kind.lease}")
        assert not lease["spec"].get("holderIdentity")
        assert "inplace.dev/request" not in lease["metadata"]["annotations"]
        scene.check_quiet()
        scene.check_same_pods()

    def is_rolled_out(self, ref: str) -> bool:
        """Whether a classic rollout to the image has ended: all pods run it and are ready, and no other pods are left."""
        pods = self.scene.pods()
        ready = sum(condition(p, "Ready") == "True" for p in pods)
        return len(pods) == len(self.scene.all("pod")) == ready == len(self.scene.on_image(ref)) == self.kind.pods

    @property
    def outcome(self) -> str:
        return str(self.scene.stored_run(self.kind.lease)["outcome"])

    def revisions(self) -> dict[int, str]:
        if self.kind is DEPLOYMENT:
            return self.scene.history()
        prefix = f"{self.scene.stage.registry}/"
        found = {r["revision"]: r["data"]["spec"]["template"]["spec"] for r in self.scene.all("ControllerRevision")}
        return {number: images_in(spec)["app"].removeprefix(prefix) for number, spec in sorted(found.items())}
