"""The unmodified product in an embedded cluster: one thread, virtual time, everything from one seed.

`SimulatedCluster` makes apps, opens their gates and drives upgrades; the product runs through its own seams (`kube.seam`,
`runtime.host`), and time jumps from event to event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.limiter import RateLimiter
from inplace.model.constants import DEFAULT_GATE
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from inplace.runtime.foreground.session import Result, Session
from inplace.runtime.observability.frames import Frame
from inplace.sim import Cluster
from inplace.sim.api.server import ApiRequest, ApiResponse
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoredObject
from tests.simulation.host import SimulatedBackend
from tests.simulation.transport import SimTransport, VirtualClock

Json = dict[str, Any]
STRATEGIC = "application/strategic-merge-patch+json"


class SimulatedCluster:
    """`namespace` is where everything happens. `limiter`: of the product's own requests."""

    def __init__(
        self,
        seed: int = 0,
        *,
        nodes: int = 2,
        namespace: str = "shop",
        events: bool = False,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.cluster = Cluster(seed, nodes, events=events)
        self.scheduler = self.cluster.scheduler
        self.clock = VirtualClock(self.scheduler)
        self.transport = SimTransport(self.cluster.server)
        self.host = SimulatedBackend(self.scheduler, self.transport, limiter)
        self.api = ApiClient(transport=self.transport, clock=self.clock)
        self.namespace = namespace
        self.said: list[str] = []
        self._sessions = 0
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str) -> Json:
        """As some client; fails on a refusal."""
        sent = msgspec.json.encode(body) if body is not None else b""
        answer = self.cluster.server.handle(ApiRequest(method, path, query, sent, content_type, "", "kubectl/test"))
        assert isinstance(answer, ApiResponse)
        assert answer.status < 300, answer.body
        found: Json = json.loads(answer.body)
        return found

    def path(self, group: str, plural: str, name: str = "", subresource: str = "") -> str:
        root = f"/apis/{group}/v1" if group else "/api/v1"
        return "/".join(filter(None, (root, "namespaces", self.namespace, plural, name, subresource)))

    def service(self, name: str, **spec: Any) -> Json:
        body = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
        return self.request("POST", self.path("", "services"), {"metadata": {"name": name}, "spec": body})

    def deployment(
        self, name: str, image: str, *, replicas: int = 10, boot: float = 0, gate: str | None = DEFAULT_GATE, **spec: Any
    ) -> Json:
        """With one container `app`, which has a readiness probe each second."""
        probe = {"httpGet": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
        container = {"name": "app", "image": image, "env": [{"name": "BOOT", "value": str(boot)}], "readinessProbe": probe}
        gates = {"readinessGates": [{"conditionType": gate}]} if gate else {}
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **gates}}
        body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}
        return self.request("POST", self.path("apps", "deployments"), {"metadata": {"name": name}, "spec": body})

    def pods(self, **labels: str) -> list[StoredObject]:
        """In the order of their names, terminating ones too."""
        found = self.cluster.store.ordered(kinds.PODS, self.namespace)
        return [pod for pod in found if labels.items() <= (pod.meta.get("labels") or {}).items()]

    def keep_gates_open(self, gate: str = DEFAULT_GATE) -> None:
        """From now on the gate of every new pod is opened, as a gate controller does."""

        def opened(pod: StoredObject) -> None:
            has = any(c["type"] == gate for c in pod.obj["status"].get("conditions") or ())
            if not has and self.cluster.store.get(kinds.PODS, pod.namespace, pod.name) is not None:
                body = {"status": {"conditions": [{"type": gate, "status": "True"}]}}
                self.request("PATCH", self.path("", "pods", pod.name, "status"), body, STRATEGIC)

        def saw(event: Any) -> None:
            if event.old is None and any(g["conditionType"] == gate for g in event.new.obj["spec"].get("readinessGates") or ()):
                pod = event.new
                self.scheduler.after(0.05, lambda: opened(pod))

        self.cluster.store.listen((kinds.PODS,), saw)
        for pod in self.pods():
            opened(pod)

    def wait(self, is_there: Callable[[], bool], seconds: float = 120.0) -> None:
        """Lets time pass until it is so."""
        ends_at = self.scheduler.now + seconds
        while not is_there():
            at = self.scheduler.next_at
            assert at is not None, "nothing will ever happen again"
            assert at <= ends_at, f"not so after {seconds} s"
            self.scheduler.run_next()

    def ready(self, name: str) -> int:
        """How many pods of a Deployment are ready, by its own status."""
        item = self.cluster.store.get(kinds.DEPLOYMENTS, self.namespace, name)
        return int(item.obj["status"].get("readyReplicas", 0)) if item else 0

    def app(self, name: str, image: str, *, replicas: int = 10, **more: Any) -> None:
        """A Service and a gated Deployment, up and quiet for a while."""
        self.service(name)
        self.deployment(name, image, replicas=replicas, **more)
        self.keep_gates_open()
        self.wait(lambda: self.ready(name) == replicas)
        self.scheduler.run_for(5)

    def session(self, name: str, kind: str = "Deployment", **target: Any) -> Session:
        ref = TargetRef(kind=kind, namespace=self.namespace, name=name, **target)  # type: ignore[arg-type]
        self._sessions += 1
        return Session(self.api, ref, f"holder-{self._sessions}", "upgrade", self.said.append, backend=self.host)

    def upgrade(
        self,
        name: str,
        images: Mapping[str, str],
        *,
        on_frame: Callable[[Frame], None] = lambda _frame: None,
        run_id: str = "run-1",
        **options: Any,
    ) -> Result:
        """`inplace upgrade deploy/NAME`, to its end."""
        with self.session(name) as session:
            asked = Run(
                id=run_id, target=session.view.target, images=dict(images), options=RunOptions(**options), created_by="test"
            )
            return session.upgrade(asked, options, on_frame)
