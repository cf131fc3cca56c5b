"""The objects of one namespace, over the few REST verbs that a stage has: `get("deploy/web")`, `patch("pod/a", ...)`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.recorder import Object
from tests.recorder.log import condition, terminating
from tests.scenarios import manifests
from tests.scenarios.cluster_under_test import APPLY, JSON_PATCH, MERGE, STRATEGIC, ClusterUnderTest
from tests.scenarios.facts import container_statuses, images_in
from tests.scenarios.manifests import GATE
from tests.scenarios.policies import Policy, Refuses, Rewrites, images_of

GROUPS = {
    "Pod": ("", "pods"),
    "Service": ("", "services"),
    "ConfigMap": ("", "configmaps"),
    "Endpoints": ("", "endpoints"),
    "ResourceQuota": ("", "resourcequotas"),
    "Deployment": ("apps", "deployments"),
    "ReplicaSet": ("apps", "replicasets"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
    "ControllerRevision": ("apps", "controllerrevisions"),
    "EndpointSlice": ("discovery.k8s.io", "endpointslices"),
    "Lease": ("coordination.k8s.io", "leases"),
    "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
    "Event": ("events.k8s.io", "events"),
    "InPlaceRollout": ("inplace.dev", "inplacerollouts"),
}
SHORT = {
    "po": "Pod",
    "pod": "Pod",
    "svc": "Service",
    "cm": "ConfigMap",
    "deploy": "Deployment",
    "rs": "ReplicaSet",
    "sts": "StatefulSet",
    "ds": "DaemonSet",
    "lease": "Lease",
    "pdb": "PodDisruptionBudget",
    "quota": "ResourceQuota",
    "slice": "EndpointSlice",
    "endpoints": "Endpoints",
    "ipr": "InPlaceRollout",
}


class ApiRefused(AssertionError):
    """The API server said no. `code` and `message` are its own."""

    def __init__(self, code: int, answer: Object) -> None:
        super().__init__(f"{code} {answer.get('reason')}: {answer.get('message')}")
        self.code = code
        self.message = str(answer.get("message"))


class Objects:
    """References are kubectl's, such as `rs/web`, and may end in a subresource: `pod/web-1/status`."""

    def __init__(self, stage: ClusterUnderTest) -> None:
        self.stage = stage

    def path(self, kind: str, name: str = "", subresource: str = "") -> str:
        group, plural = GROUPS[SHORT.get(kind, kind)]
        version = "v1alpha1" if group == "inplace.dev" else "v1"
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        return "/".join(filter(None, (root, "namespaces", self.stage.namespace, plural, name, subresource)))

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str) -> Object:
        """Raises `ApiRefused`."""
        code, answer = self.stage.request(method, path, body, content_type, **query)
        if code >= 300:
            raise ApiRefused(code, answer)
        return answer

    def get(self, reference: str) -> Object:
        return self.send("GET", self.path(*reference.split("/")))

    def find(self, reference: str) -> Object | None:
        """None where there is none."""
        code, answer = self.stage.request("GET", self.path(*reference.split("/")))
        if code == 404:
            return None
        assert code == 200, answer
        return answer

    def all(self, kind: str, selector: str = "") -> list[Object]:
        items: list[Object] = self.send("GET", self.path(kind), **({"labelSelector": selector} if selector else {}))["items"]
        return items

    def create(self, *objects: Object) -> list[Object]:
        return [self.send("POST", self.path(o["kind"]), o) for o in objects]

    def patch(self, reference: str, body: Any, content_type: str = STRATEGIC, **query: str) -> Object:
        return self.send("PATCH", self.path(*reference.split("/")), body, content_type, **query)

    def merge(self, reference: str, body: Object) -> Object:
        return self.patch(reference, body, MERGE)

    def apply(self, obj: Object, manager: str, **query: str) -> Object:
        """Server-side."""
        reference = f"{obj['kind']}/{obj['metadata']['name']}"
        return self.patch(reference, obj, APPLY, fieldManager=manager, **query)

    def delete(self, reference: str, grace: int | None = None) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **({} if grace is None else {"gracePeriodSeconds": grace})}
        self.send("DELETE", self.path(*reference.split("/")), body)

    def evict(self, pod: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        self.send("POST", self.path("pod", pod, "eviction"), body)

    def scale(self, reference: str, replicas: int) -> None:
        self.merge(f"{reference}/scale", {"spec": {"replicas": replicas}})

    def enforce(self, policy: Policy) -> Callable[[], None]:
        """Until what is returned is called, or the test ends. In force when this returns, and no longer when that does."""
        lift = self.stage.enforce(policy)
        self.stage.until(lambda: self._holds(policy), f"{policy.name} is in force", 30)

        def end() -> None:
            lift()
            self.stage.until(lambda: not self._holds(policy), f"{policy.name} is lifted", 30)

        return end

    def _holds(self, policy: Policy) -> bool:
        """Whether a dry run of what it judges meets it."""
        plural, _, subresource = policy.resource.partition("/")
        kind = next(kind for kind, (_, known) in GROUPS.items() if known == plural)
        found = next(iter(self.all(kind)), None) if "UPDATE" in policy.operations else None
        image = policy.image or "probe:1"
        try:
            if found is None:
                made = manifests.pod("probe", image)
                if kind != "Pod":
                    made = manifests.workload(kind, "probe", image, None, {}, {})
                answer = self.send("POST", self.path(kind), made, dryRun="All")
            elif policy.image:
                answer = self.set_images(f"{kind}/{found['metadata']['name']}", dry_run=True, app=policy.image)
            else:
                reference = f"{kind}/{found['metadata']['name']}/{subresource}"
                answer = self.patch(reference, {"metadata": {"annotations": {"probe": "1"}}}, MERGE, dryRun="All")
        except ApiRefused as refused:
            if isinstance(policy, Refuses) and policy.message in refused.message:
                return True
            raise
        return isinstance(policy, Rewrites) and policy.becomes in images_of(answer)

    def undo(self, reference: str, revision: int) -> None:
        """As `kubectl rollout undo deploy/... --to-revision`."""
        key = "deployment.kubernetes.io/revision"
        (old,) = [rs for rs in self.all("rs") if rs["metadata"]["annotations"][key] == str(revision)]
        template = json.loads(json.dumps(old["spec"]["template"]))
        del template["metadata"]["labels"]["pod-template-hash"]
        self.patch(reference, [{"op": "replace", "path": "/spec/template", "value": template}], JSON_PATCH)

    def set_images(self, reference: str, *, dry_run: bool = False, **images: str) -> Object:
        """Of containers, in a pod or in a workload's template."""
        spec: Object = {"spec": {"containers": [{"name": name, "image": image} for name, image in images.items()]}}
        body = spec if reference.lower().startswith("pod/") else {"spec": {"template": spec}}
        return self.patch(reference, body, **({"dryRun": "All"} if dry_run else {}))

    def set_gate(self, pod: str, status: str, gate: str = GATE, **annotations: str | None) -> Object:
        meta = {"metadata": {"annotations": annotations}} if annotations else {}
        body = {**meta, "status": {"conditions": [{"type": gate, "status": status}]}}
        return self.patch(f"pod/{pod}/status", body)

    def label(self, reference: str, **labels: str | None) -> None:
        self.merge(reference, {"metadata": {"labels": labels}})

    def annotate(self, reference: str, annotations: dict[str, str | None]) -> None:
        self.merge(reference, {"metadata": {"annotations": annotations}})

    def pods(self, selector: str = "") -> list[Object]:
        """The living ones."""
        return [p for p in self.all("pod", selector) if not terminating(p)]

    def of_each(self, fact: Callable[[Object], Any], selector: str = "") -> dict[str, Any]:
        """By pod name."""
        return {p["metadata"]["name"]: fact(p) for p in self.pods(selector)}

    def uids(self, selector: str = "") -> dict[str, str]:
        return self.of_each(lambda p: p["metadata"]["uid"], selector)

    def ips(self, selector: str = "") -> dict[str, str]:
        return self.of_each(lambda p: p["status"].get("podIP"), selector)

    def images(self, selector: str = "") -> dict[str, dict[str, str]]:
        """What each pod's spec asks for."""
        return self.of_each(lambda p: images_in(p["spec"]), selector)

    def restarts(self, selector: str = "") -> dict[str, dict[str, int]]:
        """Restart counts by pod name and container name, sidecars included."""
        return self.of_each(lambda p: {n: s["restartCount"] for n, s in container_statuses(p).items()}, selector)

    def endpoints(self) -> list[Object]:
        return [e for s in self.all("slice") for e in s.get("endpoints") or []]

    def open_gates(self, selector: str = "", gate: str = GATE) -> None:
        """By hand."""
        for pod in self.pods(selector):
            if condition(pod, gate) != "True":
                self.set_gate(pod["metadata"]["name"], "True", gate)
