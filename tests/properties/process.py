"""One process of the product in the embedded cluster, which can die at any moment: with its clock, its connections and the
network's whims. What it has sent may still arrive."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from inplace.kube.api import ApiClient
from inplace.kube.protocols import Request, Response
from inplace.model.refs import TargetRef
from inplace.runtime.foreground.session import Session
from inplace.sim import Cluster
from tests.properties.scenarios import Death, Network
from tests.simulation.host import SimulatedBackend
from tests.simulation.transport import Lost, SimTransport, VirtualClock

FAULTS = 60
"""So many in all: in the end the network works."""
IN_A_ROW = 3
"""And no more for one and the same request."""


class ProcessKilled(BaseException):
    """The process is gone, in the middle of whatever it did."""


class NetworkFaults:
    """The network, shared by all processes. `now` 0 is when the first begins."""

    def __init__(self, cluster: Cluster, network: Network, rng: random.Random) -> None:
        self.network = network
        self._scheduler = cluster.scheduler
        self._began_at = cluster.scheduler.now
        self._rng = rng
        self._left = FAULTS
        self._row: dict[str, int] = {}

    def round_trip_seconds(self) -> float:
        return self._rng.uniform(0.001, self.network.round_trip_seconds)

    def late_seconds(self, plural: str) -> float:
        most = {"pods": self.network.pods_late_seconds, "endpointslices": self.network.slices_late_seconds}
        late = self._rng.uniform(0.0, most.get(plural, self.network.others_late_seconds))
        now = self._scheduler.now - self._began_at
        return max([late, *(begun + lasts - now for begun, lasts in self.network.stalls if begun <= now)])

    def fault(self, request: Request) -> Lost | Response | None:
        what = f"{request.method} {request.path}"
        row = self._row.get(what, 0)
        if self._rng.random() >= self.network.fault_rate or self._left <= 0 or row == IN_A_ROW:
            self._row[what] = 0
            return None
        self._left -= 1
        self._row[what] = row + 1
        if not is_write(request):
            return Lost()
        conflict = _refusal(409, "Conflict", "the object has been modified")
        busy = _refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        faults: list[Lost | Response] = [Lost(), Lost(is_performed=True), conflict, busy]
        return self._rng.choice(faults)

    def arrives(self) -> bool:
        """Whether what a dead process had sent does."""
        return self._rng.random() < 0.5


def is_write(request: Request) -> bool:
    return request.method != "GET" and not request.is_review


def _refusal(code: int, reason: str, message: str) -> Response:
    body = f'{{"kind":"Status","code":{code},"reason":"{reason}","message":"{message}"}}'
    return Response(status=code, body=body.encode())


class Process:
    """`writes` counts what reached the API server; `acts` what was tried, but for the Lease."""

    def __init__(self, cluster: Cluster, name: str, whims: NetworkFaults, death: Death | None) -> None:
        self.is_dead = False
        self.is_told_to_stop = False
        self.writes = 0
        self.acts = 0
        self._name = name
        self._whims = whims
        self._death = death
        self._tried = 0
        self._transport = SimTransport(cluster.server)
        self._transport.interfere = self._interfere
        self._clock = _MortalClock(cluster.scheduler, lambda: self.is_dead)
        self.host = SimulatedBackend(cluster.scheduler, self._transport)
        self.host.rtt_seconds = whims.round_trip_seconds
        self.host.watch_seconds = whims.late_seconds

    def session(self, target: TargetRef, said: Callable[[str], None]) -> Session:
        api = ApiClient(transport=self._transport, clock=self._clock)
        return Session(api, target, self._name, "upgrade", said, backend=self.host)

    def die(self) -> None:
        """Call it from an event: whoever waits there is gone."""
        self.is_dead = True
        raise ProcessKilled

    def _interfere(self, request: Request) -> Any:
        if self.is_dead:
            # The renewer and the driver are gone; what workers had sent is on its way.
            if "leases" in request.path or not self._whims.arrives():
                raise ProcessKilled
            return None
        self._tried += is_write(request)
        self.acts += is_write(request) and "leases" not in request.path
        if self._death is not None and is_write(request) and self._tried == self._death.write:
            self.is_dead = True
            if self._death.is_performed:
                self._transport.interfere = lambda _request: None
                self._transport.ask(request)
                self._transport.interfere = self._interfere
            raise ProcessKilled
        fault = self._whims.fault(request)
        self.writes += is_write(request) and fault is None
        return fault


class _MortalClock(VirtualClock):
    """Nobody waits in a dead process, not to try again either."""

    def __init__(self, scheduler: Any, is_dead: Callable[[], bool]) -> None:
        super().__init__(scheduler)
        self._is_dead = is_dead

    def sleep(self, seconds: float) -> None:
        if self._is_dead():
            raise ProcessKilled
        super().sleep(seconds)
        if self._is_dead():
            raise ProcessKilled
