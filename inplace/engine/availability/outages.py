"""Services that would be left without a ready endpoint: no drain helps their clients.

The room of a Service is its ready endpoints, whosever pods they are, less one. It is held like a PodDisruptionBudget: where
another pod will come back first, that is waited for; where the pod is the only endpoint that the Service has, waiting would be
in vain, and the run is refused before its first write. Both unless an outage is allowed.

Only Services that select the pods count, and those that are waited for: one that publishes not-ready addresses never lacks an
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
    """What the Services can still lose within one plan; `take` counts a pod against every Service that it serves."""

    def __init__(self, snapshot: Snapshot, run: Run) -> None:
        self._run = run
        self._services = () if run.options.allow_outage else protected_services(snapshot.services, run)
        self._slices = snapshot.slices
        self._ready: dict[str, set[str]] = {}
        # What our closes take away is not in the slices yet.
        leaving = (f for f in snapshot.pods if f.uid in snapshot.closing or isinstance(f.record, UpgradeRecord))
        self._leaving = {key for facts in leaving for key in _keys(facts)}

    def blocked_by(self, facts: ObservedPod) -> str | None:
        """The Service whose last ready endpoint this pod is."""
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
    """The Services of these that send to the pod now."""
    sending = {entry.service for entry in facts.entries if entry.ready}
    if sending:
        labels = facts.pod.metadata.labels
        yield from (s.metadata.name for s in services if s.metadata.name in sending and s.selects(labels))


def will_be_drained(facts: ObservedPod, run: Run) -> bool:
    """Not without the gate; and a new image of an ordinary init container restarts nothing."""
    changed = [name for name, image in run.images.items() if facts.images.get(name) != image]
    return gate_state(facts.pod, run.options.gate) != "Absent" and (
        not changed or bool(restarted_containers(facts.pod, changed))
    )


def endpoint_keys(service: str, slices: Iterable[EndpointSlice], *, ready: bool = False) -> set[str]:
    """By the uid of the pod, else by address. `ready`: only those that are sent to."""
    found: set[str] = set()
    for endpoint_slice in slices:
        if endpoint_slice.service == service:
            for endpoint in endpoint_slice.endpoints or ():
                if endpoint.is_ready or not (ready or endpoint.conditions.terminating):
                    found |= _names_of(endpoint)
    return found


def _names_of(endpoint: Endpoint) -> set[str]:
    ref = endpoint.target_ref
    return {ref.uid} if ref is not None and ref.uid else set(endpoint.addresses or ())


def _keys(facts: ObservedPod) -> frozenset[str]:
    """Never by address for hostNetwork pods: a node's address stands for many."""
    ips = frozenset[str]() if facts.pod.spec.host_network else facts.pod.ips()
    return ips | {facts.uid}
