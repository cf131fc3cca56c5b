"""A cluster and a client of it, without the product."""

from __future__ import annotations

from typing import Any

import msgspec

from inplace.sim import Cluster
from inplace.sim.api.server import ApiRequest, ApiResponse, WatchAnswer
from inplace.sim.api.watching import Watch
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoredObject

Json = dict[str, Any]
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
GATE = "inplace.dev/ready"


class Lines:
    """What a watch has sent."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.has_ended = False

    def __call__(self, line: bytes | None) -> None:
        if line is None:
            self.has_ended = True
        else:
            self.raw.append(line)

    def take(self) -> list[tuple[str, Json]]:
        """Type and object of each line since the last time."""
        found = [msgspec.json.decode(line) for line in self.raw]
        self.raw.clear()
        return [(event["type"], event["object"]) for event in found]

    def names(self) -> list[str]:
        return [f"{kind} {obj['metadata'].get('name', '')}".strip() for kind, obj in self.take()]


class Client:
    """In namespace `shop` of a cluster of its own."""

    def __init__(self, seed: int = 0, *, events: bool = False, window: int = 20_000, nodes: int = 2) -> None:
        self.cluster = Cluster(seed, nodes, events=events, window=window)
        self.scheduler = self.cluster.scheduler
        self.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})

    def send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str
    ) -> tuple[int, Json]:
        sent = msgspec.json.encode(body) if body is not None else b""
        accept = query.pop("accept", "")
        answer = self.cluster.server.handle(
            ApiRequest(method, self.path(path), query, sent, content_type, accept, "kubectl/test")
        )
        assert isinstance(answer, ApiResponse)
        return answer.status, msgspec.json.decode(answer.body)

    def ok(self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str) -> Json:
        status, found = self.send(method, path, body, content_type, **query)
        assert status < 300, found
        return found

    def refused(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str
    ) -> tuple[int, str]:
        """Code and message."""
        status, found = self.send(method, path, body, content_type, **query)
        assert status >= 400, found
        assert found["kind"] == "Status"
        assert found["code"] == status
        return status, found["message"]

    def watch(self, path: str, **query: str) -> tuple[Lines, Watch]:
        answer = self.cluster.server.handle(ApiRequest("GET", self.path(path), {"watch": "1", **query}))
        assert isinstance(answer, WatchAnswer)
        lines = Lines()
        return lines, answer.start(lines)

    def path(self, path: str) -> str:
        """`pods/web-1/status`, in the namespace; or a whole path."""
        if path.startswith("/"):
            return path
        groups = {
            "deployments": "apps",
            "replicasets": "apps",
            "statefulsets": "apps",
            "daemonsets": "apps",
            "controllerrevisions": "apps",
            "endpointslices": "discovery.k8s.io",
            "leases": "coordination.k8s.io",
        }
        groups["poddisruptionbudgets"] = "policy"
        group = groups.get(path.partition("/")[0])
        return f"/{f'apis/{group}' if group else 'api'}/v1/namespaces/shop/{path}"

    def run(self, seconds: float) -> None:
        self.scheduler.run_for(seconds)

    def pod(
        self, name: str, image: str = "reg/app:1", *, gate: bool = False, boot: float = 0, readiness: bool = True, **more: Any
    ) -> Json:
        """A bare pod with one container, running after a moment."""
        container = app(image, boot=boot, readiness=readiness, **more.pop("container", {}))
        spec = {"containers": [container], **({"readinessGates": [{"conditionType": GATE}]} if gate else {}), **more}
        return self.ok("POST", "pods", {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})

    def deployment(
        self, name: str = "web", image: str = "reg/app:1", *, replicas: int = 3, gate: bool = False, **spec: Any
    ) -> Json:
        body = {"replicas": replicas, **self._workload(name, image, gate), **spec}
        return self.ok("POST", "deployments", {"metadata": {"name": name}, "spec": body})

    def stateful_set(
        self, name: str = "db", image: str = "reg/app:1", *, replicas: int = 3, gate: bool = False, **spec: Any
    ) -> Json:
        body = {"replicas": replicas, "serviceName": name, **self._workload(name, image, gate), **spec}
        return self.ok("POST", "statefulsets", {"metadata": {"name": name}, "spec": body})

    def daemon_set(self, name: str = "agent", image: str = "reg/app:1", *, gate: bool = False, **spec: Any) -> Json:
        body = {**self._workload(name, image, gate), **spec}
        return self.ok("POST", "daemonsets", {"metadata": {"name": name}, "spec": body})

    def _workload(self, name: str, image: str, gate: bool) -> Json:
        gates = {"readinessGates": [{"conditionType": GATE}]} if gate else {}
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [app(image)], **gates}}
        return {"selector": {"matchLabels": {"app": name}}, "template": template}

    def service(self, name: str = "web", **spec: Any) -> Json:
        body = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
        return self.ok("POST", "services", {"metadata": {"name": name}, "spec": body})

    def set_image(self, path: str, image: str) -> Json:
        """Of container `app`, in a pod or a template."""
        spec: Json = {"spec": {"containers": [{"name": "app", "image": image}]}}
        body = spec if path.startswith("pods/") else {"spec": {"template": spec}}
        return self.ok("PATCH", path, body, STRATEGIC)

    def set_gate(self, pod: str, status: str) -> Json:
        body = {"status": {"conditions": [{"type": GATE, "status": status}]}}
        return self.ok("PATCH", f"pods/{pod}/status", body, STRATEGIC)

    def get(self, path: str) -> Json:
        return self.ok("GET", path)

    def all(self, plural: str) -> list[Json]:
        items: list[Json] = self.ok("GET", plural)["items"]
        return items

    def live(self) -> list[Json]:
        return [pod for pod in self.all("pods") if "deletionTimestamp" not in pod["metadata"]]

    def item(self, name: str) -> StoredObject:
        item = self.cluster.store.get(kinds.PODS, "shop", name)
        assert item is not None
        return item


def app(image: str, *, boot: float = 0, readiness: bool = True, **more: Any) -> Json:
    probe = {"readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}} if readiness else {}
    return {"name": "app", "image": image, "env": [{"name": "BOOT", "value": str(boot)}], **probe, **more}


def condition(obj: Json, kind: str) -> str:
    return next((str(c["status"]) for c in obj["status"].get("conditions") or () if c["type"] == kind), "")


def container(pod: Json, name: str = "app") -> Json:
    statuses = [*(pod["status"].get("containerStatuses") or ()), *(pod["status"].get("initContainerStatuses") or ())]
    found: Json = next((status for status in statuses if status["name"] == name), {"state": {}})
    return found


def waiting(pod: Json, name: str = "app") -> str:
    return str(container(pod, name)["state"].get("waiting", {}).get("reason", ""))
