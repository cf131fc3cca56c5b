"""InPlaceRollouts and their controller, for scenarios: applied as a person would, watched by their status."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import yaml

from tests.recorder import Object
from tests.scenarios.cluster_under_test import OnWrite, Result, Running
from tests.scenarios.scene import Scene

CRD = Path(__file__).parents[2] / "deploy/crds/inplace.dev_inplacerollouts.yaml"
PODS = "/api/v1/namespaces/inplace-system/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/inplace-system/leases"
OVER = ("Succeeded", "Failed", "RolledBack", "Aborted", "Refused")
ONE: Object = {"maxUnavailable": 1}
ONE_PAUSE: list[Object] = [{"pods": 1}, {"pause": {}}, {"pods": "100%"}]
"""What most of them ask for: one pod at a time, and the steps that stand after the first until somebody says more."""
TARGETS = {"deploy": "Deployment", "sts": "StatefulSet", "ds": "DaemonSet", "rs": "ReplicaSet"}


IN_CLUSTER = os.environ.get("INPLACE_CONTROLLER") == "cluster"
"""By hand (docs/proof.md): the same scenarios under the controller of all namespaces that `inplace install` has put there."""


class Rollouts:
    """Of one namespace, whose controller is `inplace controller` with no rival."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._install()

    def control(self, *options: str, on_write: OnWrite | None = None) -> Running:
        """Until the test ends, and leading. Its own Lease is elsewhere, since it is renewed for ever."""
        if IN_CLUSTER:
            return InCluster(self.scene)
        lease = ("--lease-namespace", "default", "--lease-name", self.scene.ns, "--listen", "")
        started = self.scene.stage.start("controller", *lease, *options, on_write=on_write)
        self.scene.until(lambda: "leading" in started.stdout, f"the controller leads: {started.stdout}{started.stderr}", 60)
        return started

    def apply(self, name: str, target: str = "deploy/web", **spec: Any) -> Object:
        """`app="app:2"` for the image of container app; anything else is of the spec. Bare pods: `pods/SELECTOR`, `pod/a,b`."""
        images = [{"container": key, "image": self.scene.image(spec.pop(key))} for key in ("app", "side") if key in spec]
        kind, _, called = target.partition("/")
        which = {"selector": called} if kind == "pods" else {"podNames": called.split(",")}
        aim = {"kind": TARGETS[kind], "name": called} if kind in TARGETS else {"kind": "Pods", **which}
        whole = {"target": aim, "images": images, "drain": {"settleSeconds": 1}, **spec}
        body = {k: v for k, v in whole.items() if v not in (None, [])}
        (made,) = self.scene.create(
            {"apiVersion": "inplace.dev/v1alpha1", "kind": "InPlaceRollout", "metadata": {"name": name}, "spec": body}
        )
        return made

    def status(self, name: str) -> Object:
        found: Object = self.scene.get(f"ipr/{name}").get("status", {})
        return found

    def phase(self, name: str) -> str:
        return str(self.status(name).get("phase", ""))

    def until(self, name: str, phase: str, seconds: float = 180) -> Object:
        """Fails at once where it has ended in another way."""

        def is_so() -> bool:
            found = self.phase(name)
            if found in OVER and found != phase:
                raise Unexpected(self.status(name))
            return found == phase

        self.scene.until(is_so, f"{name} is {phase}", seconds)
        return self.status(name)

    def edit(self, name: str, **spec: Any) -> None:
        self.scene.merge(f"ipr/{name}", {"spec": spec})

    def ask(self, name: str, verb: str) -> None:
        """As `kubectl annotate ipr/NAME inplace.dev/request=VERB`."""
        self.scene.merge(f"ipr/{name}", {"metadata": {"annotations": {"inplace.dev/request": verb}}})

    def check_conditions(self, name: str, *true: str) -> None:
        conditions = self.status(name)["conditions"]
        assert {c["type"] for c in conditions if c["status"] == "True"} == set(true), conditions
        generation = self.scene.get(f"ipr/{name}")["metadata"]["generation"]
        assert {c["observedGeneration"] for c in conditions} == {generation} == {self.status(name)["observedGeneration"]}

    def _install(self) -> None:
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        code, answer = self.scene.stage.request("POST", root, yaml.safe_load(CRD.read_text()))
        assert code in (201, 409), answer
        self.scene.until(lambda: self.scene.all("ipr") is not None, "InPlaceRollouts are served", 60)


class InCluster:
    """The installed controller, in place of a process. Implements `stage.Running`: who would kill it kills its leader's pod."""

    stdout = stderr = ""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.leader = scene.until(self._leads, "the installed controller leads", 90)

    def _leads(self) -> str:
        _, lease = self._scene.stage.request("GET", f"{LEASES}/inplace-controller")
        holder = str(lease.get("spec", {}).get("holderIdentity") or "")
        pods = self._scene.send("GET", f"{PODS}", labelSelector="app.kubernetes.io/component=controller")["items"]
        return next((pod["metadata"]["name"] for pod in pods if holder.startswith(pod["metadata"]["name"])), "")

    def send(self, number: signal.Signals) -> None:
        grace = 0 if number == signal.SIGKILL else 30
        self._scene.stage.request("DELETE", f"{PODS}/{self.leader}", {"gracePeriodSeconds": grace})

    def wait(self, timeout: float = 300) -> Result:
        self._scene.until(lambda: self._leads() not in ("", self.leader), "another leads", timeout)
        return Result(0, "", "")


class Unexpected(Exception):
    """A rollout has ended otherwise than the test says."""
