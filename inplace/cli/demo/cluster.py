"""Runs the embedded cluster of the demo: two apps under traffic, gates that open, and API access for the product.

The product and its user send everything over HTTP, as on any other cluster. Only the measurements are taken from within.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from inplace.cli.demo.meter import NAMESPACE, CountingTransport, DowntimeMeter, Measurement, is_of
from inplace.cli.demo.scaled_time import ScaledBackend, ScaledClock, ScaledThreads
from inplace.engine.gate_rules import GateRule
from inplace.kube.api import ApiClient
from inplace.kube.connection.config import ConnectOptions, connect
from inplace.kube.limiter import RateLimiter
from inplace.kube.paging import ListOptions
from inplace.kube.protocols import STRATEGIC_MERGE, Request
from inplace.model.constants import DEFAULT_GATE, DEFAULT_LABEL
from inplace.runtime.caller import new_identity
from inplace.runtime.gates.access import leader_for
from inplace.runtime.gates.controller import GateController
from inplace.sim.kubeconfig import write_kubeconfig
from inplace.sim.objects import kinds
from inplace.sim.serving import RunningCluster, serve
from inplace.sim.traffic import Traffic

BOOT_SECONDS = 3
OLD, NEW = "demo/app:1", "demo/app:2"
RATE, ANSWER_SECONDS = 100.0, 0.02
"""New connections per second, each with one request; seconds that a request takes."""
KEPT_ALIVE, KEPT_ALIVE_SECONDS = 20, 0.1
"""Clients that keep a connection, and the seconds between two requests of each."""
AFTERMATH_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0
LOOK_SECONDS = 0.1


class DemoError(Exception):
    """The demo failed; `str()` is one line for a person."""


class DemoCluster:
    """The cluster, with two clients: `api` acts for a person, `product` for inplace; `transport` counts what that writes."""

    def __init__(self, served: RunningCluster, speed: float, kubeconfig: Path) -> None:
        self.served = served
        self.speed = speed
        self.kubeconfig = kubeconfig
        with served.pacer.turn():
            self.clock = ScaledClock(speed, served.cluster.scheduler.utcnow())
        self.host = ScaledBackend(speed)
        options = ConnectOptions(kubeconfig=str(kubeconfig))
        self.transport = CountingTransport(connect(options).transport)
        self.product = ApiClient(transport=self.transport, clock=self.clock, limiter=RateLimiter(self.clock))
        self.api = ApiClient(transport=connect(options).transport, clock=self.clock, field_manager="kubectl")
        self._changed = threading.Event()
        served.cluster.store.listen((kinds.PODS, kinds.DEPLOYMENTS), lambda _event: self._changed.set())

    def create_app(self, name: str, replicas: int, *, gated: bool) -> None:
        self._post("/api/v1", "services", _service(name))
        self._post("/apis/apps/v1", "deployments", _deployment(name, replicas, gated=gated))

    def set_image(self, name: str, image: str) -> None:
        """Does what `kubectl set image` does."""
        template = {"spec": {"containers": [{"name": "app", "image": image}]}}
        self.api.raw(
            Request(
                method="PATCH",
                path=f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}",
                body=msgspec.json.encode({"spec": {"template": template}}),
                content_type=STRATEGIC_MERGE,
            )
        )

    def wait(self, is_so: Callable[[], bool], what: str, refresh: Callable[[], None] = lambda: None) -> None:
        """Waits until `is_so`, and calls `refresh` each time it is not. Raises `DemoError` if it takes too long."""
        ends_at = self.clock.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            self._changed.clear()
            with self.served.pacer.turn():
                if is_so():
                    return
            refresh()
            if self.clock.monotonic() > ends_at:
                raise DemoError(f"{what} took more than {LONGEST_WAIT_SECONDS:.0f} simulated seconds")
            self._changed.wait(LOOK_SECONDS)

    def is_rolled_out(self, name: str, replicas: int) -> bool:
        """True if `kubectl rollout status` would be done. To be called in the cluster's turn."""
        item = self.served.cluster.store.get(kinds.DEPLOYMENTS, NAMESPACE, name)
        if item is None:
            return False
        status = item.obj.get("status") or {}
        counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
        return status.get("observedGeneration", 0) >= item.meta["generation"] and counts == [replicas] * 3

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Returns the app's pods as they are now, by name. To be called in the cluster's turn."""
        return [pod.obj for pod in self.served.cluster.store.ordered(kinds.PODS, NAMESPACE) if is_of(pod, name)]

    @contextmanager
    def traffic(self, app: str) -> Iterator[Traffic]:
        """Sends traffic during the block and for `AFTERMATH_SECONDS` more, since requests also fail late."""
        with self.served.pacer.turn():
            traffic = Traffic(
                self.served.cluster, NAMESPACE, app, RATE, KEPT_ALIVE, KEPT_ALIVE_SECONDS, answer_seconds=ANSWER_SECONDS
            )
        try:
            yield traffic
            self.clock.sleep(AFTERMATH_SECONDS)
        finally:
            with self.served.pacer.turn():
                traffic.stop()

    def start_meter(self, name: str, replicas: int) -> DowntimeMeter:
        with self.served.pacer.turn():
            meter = DowntimeMeter(self.served, name, replicas)
            meter.begin()
            return meter

    def stop_meter(self, meter: DowntimeMeter) -> Measurement:
        with self.served.pacer.turn():
            return meter.end()

    def _post(self, root: str, plural: str, body: dict[str, Any]) -> None:
        path = f"{root}/namespaces/{NAMESPACE}/{plural}"
        self.api.raw(Request(method="POST", path=path, body=msgspec.json.encode(body)), retries=False)


@contextmanager
def embedded(speed: float, seed: int) -> Iterator[DemoCluster]:
    """Starts the cluster, with a namespace whose gates are opened as by `inplace gate run`. Stops and removes it in the end."""
    with tempfile.TemporaryDirectory(prefix="inplace-demo-") as folder, serve(speed=speed, seed=seed) as served:
        path = Path(folder) / "kubeconfig"
        write_kubeconfig(path, served.url, NAMESPACE)
        cluster = DemoCluster(served, speed, path)
        space = {"metadata": {"name": NAMESPACE}}
        cluster.api.raw(Request(method="POST", path="/api/v1/namespaces", body=msgspec.json.encode(space)), retries=False)
        with _gates_open(cluster.api, speed):
            yield cluster


@contextmanager
def _gates_open(api: ApiClient, speed: float) -> Iterator[None]:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), logger_factory=structlog.ReturnLoggerFactory()
    )
    rule, scope, threads = GateRule(DEFAULT_GATE, DEFAULT_LABEL, "open"), ListOptions(namespace=NAMESPACE), ScaledThreads(speed)
    leader = leader_for(api, rule, scope, NAMESPACE, new_identity(), threads)
    controller = GateController(api, rule, scope, leader=leader, threads=threads)
    thread = threading.Thread(target=controller.run, name="gate-run", daemon=True)
    thread.start()
    try:
        yield
    finally:
        controller.stop()
        thread.join(5.0)


def _service(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}}


def _deployment(name: str, replicas: int, *, gated: bool) -> dict[str, Any]:
    """An app that takes time to boot, beside a sidecar, with a cache on a pod-local volume; rolled out with 30% surge."""
    app = {
        "name": "app",
        "image": OLD,
        "env": [{"name": "BOOT", "value": str(BOOT_SECONDS)}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    }
    pod: dict[str, Any] = {
        "containers": [app, {"name": "agent", "image": "demo/agent:1"}],
        "volumes": [{"name": "cache", "emptyDir": {}}],
    }
    if gated:
        pod["readinessGates"] = [{"conditionType": DEFAULT_GATE}]
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "30%", "maxSurge": "30%"}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }
