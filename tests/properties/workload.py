"""The workload of a scenario in the embedded cluster, of any kind: built, looked at, and held against its goal."""

from __future__ import annotations

import json
from typing import Any

from inplace.model.constants import DEFAULT_GATE
from inplace.model.refs import TargetRef
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoredObject
from tests.properties.scenarios import App, Container, Tag
from tests.simulation.simulated_cluster import STRATEGIC, SimulatedCluster

Json = dict[str, Any]
NAME = "web"
HOLDS = "inplace.dev/holds"
RECORD = "inplace.dev/upgrade"
REVISION_HASH = "controller-revision-hash"
PROBE: Json = {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
PLURALS = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
}


class Workload:
    """`later`: the tag of the revision that an earlier rollout left, where the app has such a twin. `closed`: the names of the
    pods that others keep closed to the end."""

    def __init__(self, app: App, world: SimulatedCluster, later: Tag) -> None:
        self.app = app
        self.world = world
        self.target = TargetRef(kind=app.kind, namespace=world.namespace, name=NAME)
        self.path = world.path("apps", PLURALS[app.kind], NAME)
        self._build(later)
        self.closed = {pod.name for pod in world.pods()[: app.by_hand + app.held]}
        self.strategy = self.get()["spec"].get("updateStrategy")

    def images(self, tag: Tag) -> dict[str, str]:
        return {name: image(name, tag) for name, container in self._named().items() if container.is_changed}

    def get(self) -> Json:
        return self.world.request("GET", self.path)

    def close(self, pod: StoredObject, *, is_held: bool) -> None:
        """By hand, or with a hold that is written down, as the gate controller does."""
        notes = {"annotations": {HOLDS: json.dumps({f"label@{DEFAULT_GATE}": "by label"})}} if is_held else {}
        body = {"metadata": notes, "status": {"conditions": [{"type": DEFAULT_GATE, "status": "False"}]}}
        self.world.request("PATCH", self.world.path("", "pods", pod.name, "status"), body, STRATEGIC)

    def is_kept(self, pod: StoredObject) -> bool:
        """Behind the owner's own partition."""
        return self.app.partition > 0 and int(pod.name.rpartition("-")[2]) < self.app.partition

    # Building
    def _named(self) -> dict[str, Container]:
        return {"app" if i == 0 else f"c{i}": container for i, container in enumerate(self.app.containers)}

    def _build(self, later: Tag) -> None:
        app, world = self.app, self.world
        for number in range(app.services):
            world.service(f"{NAME}-{number}" if number else NAME, selector={"app": NAME})
        spec: Json = {
            "minReadySeconds": app.min_ready_seconds,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": self._pod_spec(later if app.has_twin else "1")},
        }
        if app.kind != "DaemonSet":
            spec["replicas"] = app.replicas
        if app.kind == "StatefulSet":
            spec |= {"serviceName": NAME, "podManagementPolicy": "Parallel" if app.is_parallel else "OrderedReady"}
        world.request("POST", self.path.removesuffix(f"/{NAME}"), {"metadata": {"name": NAME}, "spec": spec})
        world.keep_gates_open()
        world.wait(self._is_rolled_out, 600.0)
        if app.has_twin:
            self._patch({"template": {"spec": self._pod_spec("1")}})
            world.wait(self._is_rolled_out, 600.0)
        if app.is_paused:
            self._patch({"paused": True})
        if app.partition:
            self._patch({"updateStrategy": {"rollingUpdate": {"partition": app.partition}}})
        if app.is_on_delete:
            self._patch({"updateStrategy": {"$retainKeys": ["type"], "type": "OnDelete"}})
        if app.budget is not None:
            # Pods that are closed already have used it up in part.
            most = app.budget + app.by_hand + app.held
            body = {"maxUnavailable": most, "selector": {"matchLabels": {"app": NAME}}}
            path = world.path("policy", "poddisruptionbudgets")
            world.request("POST", path, {"metadata": {"name": NAME}, "spec": body})
        for number, pod in enumerate(world.pods()[: app.by_hand + app.held]):
            self.close(pod, is_held=number >= app.by_hand)
        world.scheduler.run_for(15)

    def _pod_spec(self, tag: Tag) -> Json:
        made: dict[str, list[Json]] = {"containers": [], "initContainers": []}
        for name, container in self._named().items():
            ref = image(name, tag if container.is_changed else "1")
            one: Json = {"name": name, "image": ref, "env": [{"name": "BOOT", "value": str(container.boot_seconds)}]}
            if container.probe in ("readiness", "both"):
                one["readinessProbe"] = PROBE
            if container.probe in ("startup", "both"):
                one["startupProbe"] = {**PROBE, "failureThreshold": 60}
            if container.is_sidecar:
                one["restartPolicy"] = "Always"
            made["initContainers" if container.is_sidecar else "containers"].append(one)
        filled = {group: listed for group, listed in made.items() if listed}
        return {"readinessGates": [{"conditionType": DEFAULT_GATE}], "terminationGracePeriodSeconds": 2, **filled}

    def _patch(self, spec: Json) -> None:
        self.world.request("PATCH", self.path, {"spec": spec}, STRATEGIC)

    def _is_rolled_out(self) -> bool:
        """Every pod is there, of the newest template, available, and seen so by the controller."""
        found, pods = self.get(), self.world.pods()
        status, wanted = found.get("status", {}), self.app.replicas
        is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
        ready = [pod for pod in pods if _conditions(pod).get("Ready") == "True"]
        is_available = status.get("numberAvailable" if self.app.kind == "DaemonSet" else "availableReplicas", 0) == wanted
        current = images_in(found["spec"]["template"]["spec"])
        is_new = all(images_in(pod.obj["spec"]) == current for pod in pods)
        is_current = status.get("currentRevision") == status.get("updateRevision")
        return is_seen and is_available and is_new and is_current and len(pods) == len(ready) == wanted

    # The goal
    def check_goal(self, tag: Tag) -> None:
        """Every pod runs these images and serves, but for those that others keep closed; the workload is consistent."""
        wanted, pods, found = self.images(tag), self.world.pods(), self.get()
        desired = self.app.replicas if self.app.kind == "DaemonSet" else found["spec"]["replicas"]
        assert len(pods) == desired, [pod.name for pod in pods]
        for pod in pods:
            expected = self.images("1") if self.is_kept(pod) else wanted
            assert expected.items() <= images_in(pod.obj["spec"]).items(), (pod.name, images_in(pod.obj["spec"]))
            conditions = _conditions(pod)
            assert RECORD not in (pod.meta.get("annotations") or {}), pod.name
            assert conditions["ContainersReady"] == "True", (pod.name, conditions)
            assert conditions["Ready"] == conditions[DEFAULT_GATE], (pod.name, conditions)
            assert conditions[DEFAULT_GATE] == ("False" if pod.name in self.closed else "True"), (pod.name, conditions)
        spec, status = found["spec"], found["status"]
        assert status["observedGeneration"] == found["metadata"]["generation"]
        assert wanted.items() <= images_in(spec["template"]["spec"]).items(), spec["template"]
        match self.app.kind:
            case "Deployment":
                self._check_deployment(found, wanted)
            case "StatefulSet":
                self._check_stateful_set(found, pods)
            case "DaemonSet":
                assert spec["updateStrategy"] == self.strategy
                assert status["updatedNumberScheduled"] == status["desiredNumberScheduled"] == desired, status
            case "ReplicaSet":
                pass

    def _check_deployment(self, found: Json, wanted: dict[str, str]) -> None:
        spec, status = found["spec"], found["status"]
        assert spec.get("paused", False) == self.app.is_paused
        assert status.get("updatedReplicas", 0) == spec["replicas"], status
        listed = self.world.cluster.store.all(kinds.REPLICA_SETS)
        sets = {int(rs.meta["annotations"]["deployment.kubernetes.io/revision"]): rs for rs in listed}
        live = sets[max(sets)]
        assert live.obj["spec"]["replicas"] == spec["replicas"]
        assert [rs.name for rs in sets.values() if rs.obj["spec"]["replicas"]] == [live.name][: spec["replicas"]]
        have = images_in(live.obj["spec"]["template"]["spec"])
        assert wanted.items() <= have.items(), have

    def _check_stateful_set(self, found: Json, pods: list[StoredObject]) -> None:
        spec, status = found["spec"], found["status"]
        assert spec["updateStrategy"] == self.strategy
        of_run = [pod for pod in pods if not self.is_kept(pod)]
        assert {pod.meta["labels"][REVISION_HASH] for pod in of_run} <= {status["updateRevision"]}
        if len(of_run) == len(pods):
            assert status["updatedReplicas"] == len(pods), status
            if not self.app.is_on_delete and not self.closed:
                assert status["currentRevision"] == status["updateRevision"], status


def image(container: str, tag: Tag) -> str:
    return f"reg/{container}:{tag}"


def images_in(pod_spec: Json) -> dict[str, str]:
    return {c["name"]: c["image"] for c in [*pod_spec["containers"], *(pod_spec.get("initContainers") or ())]}


def _conditions(pod: StoredObject) -> dict[str, str]:
    return {c["type"]: c["status"] for c in pod.obj["status"].get("conditions") or ()}
