"""Protects Services from losing their last ready endpoint, since no drain helps their clients then.

The headroom of a Service is one less than its ready endpoints, of any target. It is kept like a PodDisruptionBudget: if another
pod will come back, the run waits for that; if the pod is the only endpoint of the Service, waiting would be futile, and the run
is refused before its first write. Both apply unless an outage is allowed.

Only Services count that select the pods and that a drain waits for: one that publishes not-ready addresses never lacks an
endpoint. A pod that is not an endpoint now, or is not drained, costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.pods.drain import services_not_awaited
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.stages import restarted_containers
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.objects.network import Endpoint, EndpointSlice, Service
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run


class ServiceHeadroom:
    """Tracks the endpoints that Services can still lose within one plan; `reserve` counts a pod against its Services."""

    def __init__(self, snapshot: Snapshot, run: Run) -> None:
        self._run = run
        self._services = () if run.options.allow_outage else protected_services(snapshot.services, run)
        self._slices = snapshot.slices
        self._ready: dict[str, set[str]] = {}
        # The slices do not show the latest closes yet.
        leaving = (f for f in snapshot.pods if f.uid in snapshot.closing or isinstance(f.record, UpgradeRecord))
        self._leaving = {key for facts in leaving for key in _keys(facts)}

    def blocked_by(self, facts: ObservedPod) -> str | None:
        """Returns the Service whose last ready endpoint this pod is."""
        for service in self._served(facts):
            if not self._ready_of(service) - _keys(facts):
                return service
        return None

    def reserve(self, facts: ObservedPod) -> None:
        for service in self._served(facts):
            self._ready_of(service).difference_update(_keys(facts))

    def _served(self, facts: ObservedPod) -> Iterator[str]:
        return services_sending_to(facts, self._services) if will_be_drained(facts, self._run) else iter(())

    def _ready_of(self, service: str) -> set[str]:
        if service not in self._ready:
            self._ready[service] = endpoint_keys(service, self._slices, ready=True) - self._leaving
        return self._ready[service]


def outages(snapshot: Snapshot, run: Run) -> Iterator[tuple[str, str]]:
    """Yields (Service, pod) where the Service has no other endpoint than the pod and none is on its way: neither an endpoint
    that is not ready, nor a pod that it selects and that has no address yet, nor a replica that is still to be made."""
    services, behind = protected_services(snapshot.services, run), strategy_for(snapshot).pods_kept_back(run)
    selects = {service.metadata.name: service.selects for service in services}
    expected = workload.expected_labels(snapshot)
    for facts in snapshot.pods:
        is_touched = facts.uid not in behind and not facts.pod.is_terminating and not facts.spec_has_images(run.images)
        if not is_touched or not facts.is_ready or not will_be_drained(facts, run):
            continue
        for service in services_sending_to(facts, services):
            others = (f.pod for f in snapshot.pods if f.uid != facts.uid and not f.pod.is_terminating and not f.pod.is_terminal)
            coming = [*(pod.metadata.labels for pod in others), *expected]
            if endpoint_keys(service, snapshot.slices) <= _keys(facts) and not any(map(selects[service], coming)):
                yield service, facts.pod.name


def protected_services(services: Iterable[Service], run: Run) -> tuple[Service, ...]:
    ignored = services_not_awaited(services, run.options.accept_undrainable)
    return tuple(s for s in services if s.metadata.name not in ignored and not s.spec.publish_not_ready_addresses)


def services_sending_to(facts: ObservedPod, services: Iterable[Service]) -> Iterator[str]:
    """Yields those of the Services that send to the pod now."""
    sending = {entry.service for entry in facts.entries if entry.ready}
    if sending:
        labels = facts.pod.metadata.labels
        yield from (s.metadata.name for s in services if s.metadata.name in sending and s.selects(labels))


def will_be_drained(facts: ObservedPod, run: Run) -> bool:
    """Whether the run drains the pod: it has the gate, and not just regular init containers change, which restarts nothing."""
    changed = [name for name, image in run.images.items() if facts.images.get(name) != image]
    return gate_state(facts.pod, run.options.gate) != "Absent" and (
        not changed or bool(restarted_containers(facts.pod, changed))
    )


def endpoint_keys(service: str, slices: Iterable[EndpointSlice], *, ready: bool = False) -> set[str]:
    """Identifies a Service's endpoints by pod uid, else by address. `ready`: only those that receive traffic."""
    keys: set[str] = set()
    for endpoint_slice in slices:
        if endpoint_slice.service == service:
            for endpoint in endpoint_slice.endpoints or ():
                if endpoint.is_ready or not (ready or endpoint.conditions.terminating):
                    keys |= _names_of(endpoint)
    return keys


def _names_of(endpoint: Endpoint) -> set[str]:
    ref = endpoint.target_ref
    return {ref.uid} if ref is not None and ref.uid else set(endpoint.addresses or ())


def _keys(facts: ObservedPod) -> frozenset[str]:
    """Returns the keys of a pod; not its address if it uses hostNetwork, since many pods share a node's address."""
    ips = frozenset[str]() if facts.pod.spec.host_network else facts.pod.ips()
    return ips | {facts.uid}
