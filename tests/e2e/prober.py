"""A client outside the cluster that notices every request that an upgrade hurts."""

import http.client
import ipaddress
import threading
import time
from types import TracebackType

from tests.cluster.network import PODS, SERVICES
from tests.scenarios.cluster_under_test import Probe


class Prober(threading.Thread):
    """Requests http://ADDRESS:PORT every interval, each on a new connection, while its `with` block runs.

    Bounded in count and time, and only for addresses of the test cluster, which cannot leave the machine.
    """

    def __init__(
        self, address: str, port: int = 80, *, interval: float = 0.05, max_requests: int = 20_000, max_seconds: float = 600
    ) -> None:
        super().__init__(name=f"prober {address}", daemon=True)
        if not any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in (PODS, SERVICES)):
            raise ValueError(f"{address} is not an address of the test cluster")
        self.address, self.port, self.interval = address, port, interval
        self.max_requests, self.max_seconds = max_requests, max_seconds
        self.probes: list[Probe] = []
        self._stopped = threading.Event()

    def __enter__(self) -> "Prober":
        self._wait_for_kube_proxy()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        self.join(10)

    def _wait_for_kube_proxy(self) -> None:
        """A new Service refuses until kube-proxy knows it, seconds on a busy machine: no upgrade has hurt those requests."""
        end = time.monotonic() + 120
        while not (first := self._probe()).ok and time.monotonic() < end:
            self._stopped.wait(self.interval)
        if not first.ok:
            raise TimeoutError(f"http://{self.address}:{self.port} did not answer within 120 s: {first.body}")

    @property
    def failures(self) -> list[Probe]:
        return [p for p in self.probes if not p.ok]

    @property
    def bodies(self) -> set[str]:
        """All versions that ever answered."""
        return {p.body for p in self.probes if p.ok}

    def run(self) -> None:
        end = time.monotonic() + self.max_seconds
        while len(self.probes) < self.max_requests and time.monotonic() < end:
            self.probes.append(self._probe())
            if self._stopped.wait(max(0.0, self.probes[-1].at + self.interval - time.monotonic())):
                return

    def _probe(self) -> Probe:
        began = time.monotonic()
        connection = http.client.HTTPConnection(self.address, self.port, timeout=2)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read().decode().strip()
            return Probe(began, response.status == 200, body)
        except (OSError, http.client.HTTPException) as error:
            return Probe(began, False, repr(error))
        finally:
            connection.close()
