"""A cluster that is up: served on loopback, on the wall clock or faster, until it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from inplace.sim.clock import RealTimePacer
from inplace.sim.cluster import Cluster
from inplace.sim.http import HttpServer


@dataclass(frozen=True)
class RunningCluster:
    """`pacer.turn()` gives the cluster to one thread."""

    cluster: Cluster
    pacer: RealTimePacer
    url: str


@contextmanager
def serve(*, port: int = 0, speed: float = 1.0, nodes: int = 2, seed: int = 0) -> Iterator[RunningCluster]:
    """Timestamps begin now, and run `speed` times as fast as the wall clock."""
    cluster = Cluster(seed, nodes, epoch=datetime.now(UTC))
    pacer = RealTimePacer(cluster.scheduler, speed)
    server = HttpServer(cluster, pacer, port)
    pacer.start()
    server.start()
    try:
        yield RunningCluster(cluster, pacer, server.url)
    finally:
        server.stop()
        pacer.stop()
