"""`inplace demo --controller`: an InPlaceRollout requests the run, and a controller beside the demo carries it out.

The controller is the one that `inplace controller` runs, on threads that keep step with the demo's faster clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from inplace.cli.demo.cluster import DemoCluster, DemoError
from inplace.cli.demo.scaled_time import ScaledThreads
from inplace.engine.runs.rollouts import rollout_from_run
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Request
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.run import Run
from inplace.runtime.caller import new_identity
from inplace.runtime.controller.manager import build_manager
from inplace.runtime.foreground.followed_run import FinishedUnseen, RolloutRun
from inplace.runtime.foreground.follower import Follower
from inplace.runtime.foreground.session import Session
from inplace.runtime.manifests import definitions
from inplace.runtime.observability.event_recorder import EventRecorder
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.backend import Runnable, ThreadControllerBackend
from inplace.runtime.settings import Settings

LONGEST_WAIT_SECONDS = 30.0
STOP_SECONDS = 10.0


class DemoController:
    """Runs the controller of one namespace from `start` to `stop`; `crash` is what it died of."""

    def __init__(self, cluster: DemoCluster, namespace: str) -> None:
        settings = Settings(namespaces=(namespace,), listen="", gate_rules=())
        backend = _DemoBackend(cluster.speed)
        self._manager = build_manager(cluster.product, "demo", new_identity(), settings, (namespace,), namespace, backend)
        self._thread = threading.Thread(target=self._run, name="demo-controller", daemon=True)
        self.crash: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._manager.stop()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._manager.run()
        except BaseException as error:
            self.crash = error


class _DemoBackend(ThreadControllerBackend):
    """Threads in step with the demo's clock. Events are not written: the demo counts writes, and nobody reads these."""

    def __init__(self, speed: float) -> None:
        super().__init__(ScaledThreads(speed))

    def event_recorder(self, events: EventRecorder) -> Runnable:  # noqa: ARG002
        return _Nothing()


class _Nothing:
    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextmanager
def controlled(cluster: DemoCluster, namespace: str) -> Iterator[None]:
    """Installs the InPlaceRollout CRD, and runs a controller during the block. Raises what the controller died of."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for definition in definitions():
        cluster.api.raw(Request(method="POST", path=path, body=msgspec.json.encode(definition.body)), retries=False)
    ends_at = cluster.clock.monotonic() + LONGEST_WAIT_SECONDS
    while not _is_served(cluster, namespace):
        if cluster.clock.monotonic() > ends_at:
            raise DemoError("the cluster does not serve InPlaceRollouts")
        cluster.clock.sleep(0.1)
    controller = DemoController(cluster, namespace)
    controller.start()
    try:
        yield
    finally:
        controller.stop()
    if controller.crash is not None:
        raise controller.crash


def _is_served(cluster: DemoCluster, namespace: str) -> bool:
    try:
        cluster.api.list(INPLACE_ROLLOUTS, namespace)
    except ApiError:
        return False
    return True


def follow(cluster: DemoCluster, session: Session, run: Run, on_frame: Callable[[Frame], None]) -> Summary | FinishedUnseen:
    """Creates the rollout that requests the run, and follows it to its end."""
    rollout = cluster.api.create(INPLACE_ROLLOUTS, run.target.namespace, rollout_from_run(run, run.target.name))
    return Follower(session.view, RolloutRun(cluster.product, rollout, lambda _line: None), on_frame).follow()
