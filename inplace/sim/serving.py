"""A cluster that is up: served on loopback, on the wall clock or faster, until it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from inplace.sim.clock import Pacer
from inplace.sim.cluster import Cluster
from inplace.sim.http import HttpServer


@dataclass(frozen=True)
class Served:
    """`pacer.turn()` gives the cluster to one thread."""

    cluster: Cluster
    pacer: Pacer
    url: str


@contextmanager
def serving(*, port: int = 0, speed: float = 1.0, nodes: int = 2, seed: int = 0) -> Iterator[Served]:
    """Timestamps begin now, and run `speed` times as fast as the wall clock."""
    cluster = Cluster(seed, nodes, epoch=datetime.now(UTC))
    pacer = Pacer(cluster.scheduler, speed)
    server = HttpServer(cluster, pacer, port)
    pacer.start()
    server.start()
    try:
        yield Served(cluster, pacer, server.url)
    finally:
        server.stop()
        pacer.stop()
