"""The stage on the embedded cluster: one thread at a time, virtual time, everything from one seed.

The command is the unmodified product from its command line down, put on the cluster by its own seams (`cli.world.World`): exit
codes and output are those of a process. A signal reaches it where it waits.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from inplace.cli.common.context import CliContext
from inplace.cli.common.signals import InterruptHandler
from inplace.cli.main import run
from inplace.kube.connection.config import Connection, ConnectOptions
from inplace.kube.errors import ConnectionFailed
from inplace.kube.protocols import Request, Response
from inplace.model.run import StopRequest
from inplace.runtime.foreground.session import Session
from inplace.sim import Cluster
from inplace.sim.api.server import ApiRequest, ApiResponse, WatchAnswer
from inplace.sim.kubelet.containers import Instance
from inplace.sim.objects.kinds import PODS
from inplace.sim.traffic import Backend, Proxy
from tests.deep import loads
from tests.recorder import Event, Object, Witness
from tests.recorder.log import event
from tests.recorder.witness import RESOURCES
from tests.scenarios.cluster_under_test import JSON, OnWrite, Probe, Result, Running
from tests.scenarios.policies import Policy, plugin
from tests.simulation.tasks import Task, TaskClock, TaskHost, TaskKilled, Tasks
from tests.simulation.threads import TaskBackend, TaskThreads
from tests.simulation.transport import SimTransport

T = TypeVar("T")

LAG_SECONDS = 0.02
ANSWER_SECONDS = 0.005


class EmbeddedCluster:
    """Implements `stage.Stage`."""

    registry = "reg"
    quiet_seconds = 30.0

    def __init__(self, namespace: str, dump: Path, seed: int = 1) -> None:
        self.cluster = Cluster(seed, nodes=2, events=False)
        self.namespace = namespace
        self.scheduler = self.cluster.scheduler
        self.tasks = Tasks(self.scheduler)
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        self.witness = InMemoryRecorder(self.cluster, namespace, dump)

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, **query: str) -> tuple[int, Object]:
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else b""
        answer = self.cluster.server.handle(ApiRequest(method, path, query, sent, content_type, "", "kubectl/test"))
        assert isinstance(answer, ApiResponse)
        return answer.status, loads(answer.body)

    def now(self) -> float:
        return self.scheduler.now

    def let_pass(self, seconds: float) -> None:
        self.scheduler.run_for(seconds)

    def until(self, predicate: Callable[[], T], what: str, seconds: float = 120, every: float = 0.1) -> T:
        """Asked again only when something was written, or a command has had its turn: `every` is not needed."""
        ends_at, checked, last = self.now() + seconds, (-1, -1), None
        while True:
            version = (self.cluster.store.version, self.tasks.turns)
            if version != checked or self.now() >= ends_at:
                checked = version
                try:
                    if value := predicate():
                        return value
                    last = repr(value)
                except AssertionError as error:
                    last = repr(error)
            at = self.scheduler.next_at
            assert at is not None, f"{what}: nothing will ever happen again; last: {last}"
            assert self.now() < ends_at, f"{what}: not within {seconds:g} s; last: {last}"
            if at > ends_at:
                self.scheduler.run_until(ends_at)
            else:
                self.scheduler.run_next()

    def start(self, *args: str, on_write: OnWrite | None = None) -> Running:
        return Command(self, args, on_write)

    def enforce(self, policy: Policy) -> Callable[[], None]:
        admission, enforced = self.cluster.registry.admission, plugin(policy, self.namespace)
        admission.append(enforced)
        return lambda: admission.remove(enforced)

    def digest(self, ref: str) -> str:
        return f"sha256:{self.cluster.catalog.find(f'{self.registry}/{ref}').digest}"

    def push(self, ref: str, version: str) -> None:
        """Every image is there."""

    def late_registry(self) -> VirtualRegistry:
        return VirtualRegistry(self.cluster)

    def client_of_service(self, service: str, interval: float) -> VirtualClient:
        proxy = Proxy(self.cluster, self.namespace, service, LAG_SECONDS)
        return VirtualClient(self.cluster, self.namespace, lambda: proxy.places, interval)

    def client_of_pod(self, pod: Object, interval: float) -> VirtualClient:
        place = Backend(pod["metadata"]["name"], pod["metadata"]["uid"])
        return VirtualClient(self.cluster, self.namespace, lambda: (place,), interval)

    def close(self) -> None:
        self.tasks.kill_all()


class VirtualRegistry:
    """Implements `stage.LateRegistry`, for `app:2`."""

    name = "late.example:5000"

    def __init__(self, cluster: Cluster) -> None:
        self._catalog, self._image = cluster.catalog, f"{self.name}/app:2"
        asked = f'Head "http://{self.name}/v2/app/manifests/2"'
        self._catalog.define(self._image, unreachable=f"failed to do request: {asked}: dial tcp: connect: connection refused")

    def come(self) -> None:
        self._catalog.define(self._image, unreachable="")


class InMemoryRecorder(Witness):
    """Sees every version at once, by the embedded cluster's own watches."""

    def __init__(self, cluster: Cluster, namespace: str, dump: Path) -> None:
        super().__init__(namespace, dump)
        self._cluster = cluster
        self._log: list[Event] = []
        for kind in RESOURCES:
            answer = cluster.server.handle(ApiRequest("GET", self.path(kind), {"watch": "1"}))
            if isinstance(answer, WatchAnswer):
                answer.start(lambda line, kind=kind: self._saw(kind, line))  # type: ignore[misc]

    def so_far(self) -> list[Event]:
        return list(self._log)

    def log(self) -> list[Event]:
        return self.so_far()

    def version(self) -> int:
        return self._cluster.store.version

    def _saw(self, kind: str, line: bytes | None) -> None:
        assert line is not None, f"the watch of {kind} ended"
        change = loads(line)
        if change["type"] != "BOOKMARK":
            self._log.append(event(kind, change["type"], change["object"], self._cluster.scheduler.now))


class Command:
    """One run of `inplace`. Implements `stage.Running`."""

    def __init__(self, stage: EmbeddedCluster, args: tuple[str, ...], on_write: OnWrite | None) -> None:
        self._stage = stage
        self._stopper: VirtualStopper | None = None
        self._stop: Callable[[], None] | None = None
        self._is_told_to_end = False
        self._killed_by: signal.Signals | None = None
        self._clock = TaskClock(stage.tasks)
        self.transport = CommandTransport(stage, self, on_write)
        self.host = TaskHost(stage.scheduler, self.transport)
        self.host.tasks = stage.tasks
        self._threads = TaskThreads(self.host, self._clock, lambda: self.task)
        world = CliContext(
            "inplace",
            args,
            self._connect,
            lambda: self._clock,
            lambda: self.host,
            self._make_stopper,
            lambda gates: self._run(gates.run, gates.stop),
            lambda manager: self._run(manager.run, manager.stop),
            lambda: TaskBackend(self.host, self._threads),
        )
        self.task: Task = stage.tasks.start(lambda: run(world), self.host.machine)

    @property
    def stdout(self) -> str:
        return self.task.stdout.text

    @property
    def stderr(self) -> str:
        return self.task.stderr.text

    @property
    def is_killed(self) -> bool:
        return self._killed_by is not None

    def send(self, number: signal.Signals) -> None:
        if self.task.is_over:
            return
        if number == signal.SIGKILL:
            self._kill(number)
        elif self._stopper is not None:
            self._stopper.deliver(number)
        elif self._is_told_to_end:
            self._kill(number)
        else:
            self._is_told_to_end = True
            if self._stop is not None:
                self._stop()
            elif number == signal.SIGINT:
                self.task.throw(KeyboardInterrupt())
            else:
                self._kill(number)

    def sleep(self, seconds: float) -> None:
        """Its machine does, from now on: with whatever it was about to send, and what is on its way to it."""
        self.host.machine.sleep(seconds)

    def wait(self, timeout: float = 300) -> Result:
        self._stage.until(lambda: self.task.is_over, f"the end of the command; so far: {self.stdout}{self.stderr}", timeout)
        code = self.task.ended()
        return Result(-(self._killed_by or 0) if code is None else code, self.stdout, self.stderr)

    def _kill(self, number: signal.Signals) -> None:
        self._killed_by = number
        self.task.throw(TaskKilled())
        self._threads.kill()

    def _connect(self, options: ConnectOptions) -> Connection:
        return Connection(
            transport=self.transport, namespace=options.namespace or self._stage.namespace, host="https://embedded"
        )

    def _make_stopper(self, timeout_seconds: float | None) -> InterruptHandler:
        self._stopper = VirtualStopper(self, timeout_seconds)
        return self._stopper

    def _run(self, run: Callable[[], None], stop: Callable[[], None]) -> None:
        """As `signals.run_until_signal`."""
        self._stop = stop
        run()


class VirtualStopper(InterruptHandler):
    """Signals come from the test, the timeout from the cluster's clock."""

    def __init__(self, command: Command, timeout_seconds: float | None) -> None:
        super().__init__(timeout_seconds)
        self._command = command
        self._scheduler = command.host.scheduler
        self._is_over = False

    def __enter__(self) -> VirtualStopper:
        if self.timeout_seconds is not None:
            self._scheduler.after(self.timeout_seconds, lambda: self.deliver(signal.SIGALRM))
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True

    def deliver(self, number: signal.Signals) -> None:
        if self._is_over:
            return
        try:
            self.handle(number)
        except BaseException as ending:
            self._command.task.throw(ending)

    def _deliver(self, session: Session, stop: StopRequest) -> None:
        session.request_stop(stop)


class CommandTransport(SimTransport):
    """A command's own way to the API server: it ends with the command."""

    def __init__(self, stage: EmbeddedCluster, command: Command, on_write: OnWrite | None) -> None:
        super().__init__(stage.cluster.server)
        self._command = command
        self._on_write = on_write

    def ask(self, request: Request) -> Response | WatchAnswer:
        if self._on_write is None or not request.persists:
            self._check_alive(request)
            return super().ask(request)
        text = f"{request.method} {request.path} {(request.body or b'').decode()}"
        self._check_alive(request)
        self._on_write(self._command, text, "before")
        self._check_alive(request)
        answer = super().ask(request)
        self._on_write(self._command, text, "after")
        self._check_alive(request)
        return answer

    def _check_alive(self, request: Request) -> None:
        if self._command.is_killed:
            raise ConnectionFailed("the process is gone") if request.method == "GET" else TaskKilled


class VirtualClient:
    """Implements `stage.Client`: a request fails where nothing answers, or where its container stops before it has."""

    def __init__(self, cluster: Cluster, namespace: str, places: Callable[[], tuple[Backend, ...]], interval: float) -> None:
        self.probes: list[Probe] = []
        self._cluster = cluster
        self._namespace = namespace
        self._places = places
        self._interval = interval
        self._ends_at = math.inf

    def __enter__(self) -> VirtualClient:
        self._send()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ends_at = self._cluster.scheduler.now

    @property
    def failures(self) -> list[Probe]:
        return [p for p in self.probes if not p.ok]

    @property
    def bodies(self) -> set[str]:
        return {p.body for p in self.probes if p.ok}

    def _send(self) -> None:
        scheduler = self._cluster.scheduler
        if scheduler.now >= self._ends_at:
            return
        scheduler.after(self._interval, self._send)
        places, at = self._places(), scheduler.now
        instance = self._instance(places[int(scheduler.random.random() * len(places))]) if places else None
        if instance is None or not instance.answers(at):
            self.probes.append(Probe(at, False, "refused"))
        else:
            scheduler.after(ANSWER_SECONDS, lambda: self._answered(at, instance))

    def _answered(self, at: float, instance: Instance) -> None:
        ok = instance.answers(self._cluster.scheduler.now)
        self.probes.append(Probe(at, ok, instance.image.rpartition(":")[2] if ok else "cut"))

    def _instance(self, place: Backend) -> Instance | None:
        pod = self._cluster.store.get(PODS, self._namespace, place.pod)
        kubelet = self._cluster.kubelet_of(pod.obj) if pod is not None and pod.uid == place.uid else None
        return kubelet.instance(place.uid) if kubelet is not None else None
