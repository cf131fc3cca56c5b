"""`inplace demo --controller`: the run in place is asked for by an InPlaceRollout, and carried out by a controller beside it.

The controller is the product's own, on one thread that keeps step with a clock that may be faster than the wall's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from inplace.cli.demo.cluster import DemoCluster, DemoError
from inplace.engine.runs.rollouts import rollout_from_run
from inplace.kube.errors import ApiError
from inplace.kube.protocols import Request
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.run import Run
from inplace.runtime.controller.controller import Controller
from inplace.runtime.controller.listeners import NullListener
from inplace.runtime.foreground.followed_run import FinishedUnseen, RolloutRun
from inplace.runtime.foreground.follower import Follower
from inplace.runtime.foreground.session import Session, identity
from inplace.runtime.lease.leader_election import LeaderElector
from inplace.runtime.lease.lock import LeaderRef
from inplace.runtime.manifests import definitions
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary

LOOK_SECONDS = 0.01
LONGEST_WAIT_SECONDS = 30.0


class DemoController:
    """Carries out the rollouts of one namespace, from `start` to `stop`."""

    def __init__(self, cluster: DemoCluster, namespace: str) -> None:
        api = cluster.product
        self._clock = api.clock
        self._leader = LeaderElector(api, namespace, "inplace-controller", identity())
        leads = LeaderRef(*self._leader.lease_ref, self._leader.identity)
        self._controller = Controller(api, (namespace,), leads, self._leader, NullListener())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-controller", daemon=True)
        self.crash: BaseException | None = None

    def start(self) -> None:
        self._controller.prepare(self._crashed)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(5.0)
        self._controller.stop()
        self._leader.stop()

    def _run(self) -> None:
        leader_at = 0.0
        try:
            while not self._stopped.wait(LOOK_SECONDS):
                now = self._clock.monotonic()
                if now >= leader_at:
                    leader_at = now + self._leader.step()
                while self._leader.is_safe and self._controller.step():
                    pass
        except BaseException as error:
            self._crashed(error)

    def _crashed(self, error: BaseException) -> None:
        self.crash = error


@contextmanager
def controlled(cluster: DemoCluster, namespace: str) -> Iterator[None]:
    """With InPlaceRollouts known to the cluster, and carried out."""
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


def follow(cluster: DemoCluster, session: Session, run: Run, told: Callable[[Frame], None]) -> Summary | FinishedUnseen:
    """Asks for the run, and looks on."""
    rollout = cluster.api.create(INPLACE_ROLLOUTS, run.target.namespace, rollout_from_run(run, run.target.name))
    return Follower(session, RolloutRun(cluster.product, rollout, lambda _line: None), told).follow()
