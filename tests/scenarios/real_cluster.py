"""The stage on a real cluster: the installed program in a process of its own, the recorder's watches, the wall clock."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster import Cluster, images
from tests.cluster.wait import eventually
from tests.deep import loads
from tests.e2e.command import Background, Inplace
from tests.e2e.prober import Prober
from tests.e2e.proxy import Proxy, Request
from tests.recorder import Object, Recorder
from tests.scenarios.cluster_under_test import JSON, Moment, OnWrite, Running
from tests.scenarios.policies import Policy, manifests

T = TypeVar("T")


class RealCluster:
    """Implements `stage.Stage`. `inplace` and `cluster` are for tests that are for the real cluster alone."""

    def __init__(self, cluster: Cluster, namespace: str, recorder: Recorder, inplace: Inplace, quiet_seconds: float) -> None:
        self.quiet_seconds = quiet_seconds
        self.cluster, self.namespace, self.witness, self.inplace = cluster, namespace, recorder, inplace
        self.registry = cluster.registry
        self._context = ssl.create_default_context(cafile=cluster.ca)
        self._connection: http.client.HTTPSConnection | None = None
        self._ends = ExitStack()

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, **query: str) -> tuple[int, Object]:
        target = f"{path}?{urllib.parse.urlencode({'fieldManager': 'kubectl', **query} if method != 'GET' else query)}"
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.cluster.token}", "Content-Type": content_type, "Accept": JSON}
        is_reused = self._connection is not None
        if self._connection is None:
            address = urllib.parse.urlsplit(self.cluster.server).netloc
            self._connection = http.client.HTTPSConnection(address, timeout=60, context=self._context)
        try:
            self._connection.request(method, target, sent, headers)
            response = self._connection.getresponse()
            return response.status, _decoded(response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            if not is_reused:
                raise
            return self.request(method, path, body, content_type, **query)  # the server had closed it meanwhile

    def now(self) -> float:
        return time.monotonic()

    def let_pass(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        eventually(lambda: time.monotonic() >= end, f"{seconds:g} s", seconds + 60)

    def until(self, predicate: Callable[[], T], what: str, seconds: float = 120, every: float = 0.1) -> T:
        return eventually(predicate, what, seconds, every)

    def start(self, *args: str, on_write: OnWrite | None = None) -> Running:
        if on_write is None:
            return self.inplace.start(*args)
        started: list[Background] = []

        def meets(request: Request, moment: Moment) -> None:
            command = started[0]
            on_write(command, f"{request.method} {request.path} {request.body}", moment)
            if command.was_sent == signal.SIGKILL:
                command.process.wait()
                raise ConnectionError("killed")

        proxy = self._ends.enter_context(Proxy(self.cluster, meets))
        started.append(self.inplace.start(*args, "--server", proxy.url))
        return started[0]

    def enforce(self, policy: Policy) -> Callable[[], None]:
        """By policies of a name that begins with the namespace's, and that look at it alone."""
        objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*manifests(policy, self.namespace)]})
        self.cluster.kubectl("create", "-f-", input=objects)

        def lift() -> None:
            self.cluster.kubectl("delete", "--ignore-not-found", "-f-", input=objects)

        self._ends.callback(lift)
        return lift

    def digest(self, ref: str) -> str:
        return images.digest_of(self.registry, ref)

    def push(self, ref: str, version: str) -> None:
        self.cluster.image(ref, version)

    def late_registry(self) -> Forwarder:
        forwarder = Forwarder(self.registry)
        self._ends.callback(forwarder.close)
        return forwarder

    def client_of_service(self, service: str, interval: float) -> Prober:
        _, found = self.request("GET", f"/api/v1/namespaces/{self.namespace}/services/{service}")
        return Prober(found["spec"]["clusterIP"], interval=interval)

    def client_of_pod(self, pod: Object, interval: float) -> Prober:
        return Prober(pod["status"]["podIP"], 8080, interval=interval)

    def close(self) -> None:
        self._ends.close()
        if self._connection is not None:
            self._connection.close()


class Forwarder:
    """Implements `stage.LateRegistry`: a port that refuses, and from `come` on leads to the registry."""

    def __init__(self, registry: str) -> None:
        host, _, port = registry.partition(":")
        self._to = (host, int(port))
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def come(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed at the end of the test
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=_relay, args=(client, self._to), daemon=True).start()


def _relay(client: socket.socket, to: tuple[str, int]) -> None:
    """Until both sides have ended; neither socket outlives it, which Python would charge to a later test."""
    with client, suppress(OSError), socket.create_connection(to) as server:
        back = threading.Thread(target=_pour, args=(server, client), daemon=True)
        back.start()
        _pour(client, server)
        back.join()


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)


def _decoded(text: bytes) -> Object:
    """What is no object, such as the 404 of a kind that is not served yet, is a message."""
    try:
        found: Object = loads(text)
    except ValueError:
        return {"message": text.decode()}
    return found if isinstance(found, dict) else {"message": text.decode()}


@contextmanager
def real_stage(cluster: Cluster, namespace: str, folder: Path, quiet_seconds: float) -> Iterator[RealCluster]:
    """Whatever is started on it ends with it."""
    inplace = Inplace(cluster, namespace, folder)
    with Recorder(cluster, namespace, folder / "recorder.jsonl") as recorder:
        stage = RealCluster(cluster, namespace, recorder, inplace, quiet_seconds)
        try:
            yield stage
        finally:
            inplace.stop_all()
            stage.close()
