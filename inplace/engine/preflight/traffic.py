"""Warns of traffic that EndpointSlices do not control: closing a gate does not stop it, so it hits the restart.

Nothing here stops a run; each warning names what still sends, why, and what helps.
"""

from __future__ import annotations

from collections.abc import Iterator

from inplace.engine.availability import outages
from inplace.engine.kinds import workload
from inplace.engine.planning.plan import Caution
from inplace.engine.snapshot import Snapshot
from inplace.model.objects.network import KUBERNETES_MANAGERS, Service
from inplace.model.run import Run

BALANCER_GATES = (
    "target-health.elbv2.k8s.aws/",
    "target-health.alb.ingress.k8s.aws/",
    "cloud.google.com/load-balancer-neg-ready",
)
"""Readiness gates that controllers of load balancers with IP targets add to pods."""
_BALANCER_ANNOTATIONS = {
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": ("ip",),
    "service.beta.kubernetes.io/aws-load-balancer-type": ("nlb-ip",),
    "cloud.google.com/neg": (),
}
"""With one of these values, or any if none is listed, a Service's load balancer sends to pods by their addresses."""
NAMES_CACHED_SECONDS = 30.0
"""How long clients may cache a DNS answer: 30 s with kubeadm's CoreDNS."""


def traffic_warnings(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    drained = [facts for facts in snapshot.pods if outages.will_be_drained(facts, run)]
    labels = [facts.pod.metadata.labels for facts in drained]
    services = sorted(
        (s for s in snapshot.services if any(s.selects(pod_labels) for pod_labels in labels)),
        key=lambda service: service.metadata.name,
    )
    if drained:
        yield from _by_address(snapshot, services)
        for service in services:
            yield from _service_warnings(service, run)
        yield from _node_warnings(snapshot, run)
        yield from _mute_slices(snapshot)


def _by_address(snapshot: Snapshot, services: list[Service]) -> Iterator[Caution]:
    """Warns of load balancers with IP targets: they may keep a pod that is not ready while its containers are
    (aws-load-balancer-controller, pkg/backend/endpoint_resolver.go), with or without a gate of their own."""
    spec = workload.template_spec(snapshot)
    gates = [g.condition_type for g in (spec.readiness_gates if spec is not None else None) or ()]
    marks = [f"gate {gate}" for gate in gates if gate.startswith(BALANCER_GATES)]
    marks += [f"Service {s.metadata.name}" for s in services if _targets_addresses(s)]
    if marks:
        yield Caution(
            "LoadBalancerTargets",
            f"a load balancer sends to these pods by their addresses ({', '.join(marks)}), and may keep a pod that is not ready"
            " as long as its containers are: its requests meet the restart, whatever the settle time; preStop and the grace"
            " period protect them",
        )


def _targets_addresses(service: Service) -> bool:
    for key, values in _BALANCER_ANNOTATIONS.items():
        value = service.metadata.annotation(key)
        if value and (not values or value.lower() in values):
            return True
    return False


def _service_warnings(service: Service, run: Run) -> Iterator[Caution]:
    name, spec = service.metadata.name, service.spec
    if spec.internal_traffic_policy == "Local":
        yield Caution(
            "NodeLocalTraffic",
            f"Service {name} has internalTrafficPolicy Local: while the only pod of a node restarts, the clients on that node"
            " have no endpoint; trafficDistribution PreferSameNode lets them use another's",
        )
    if spec.external_traffic_policy == "Local":
        yield Caution(
            "NodeLocalTraffic",
            f"Service {name} has externalTrafficPolicy Local: while the only pod of a node restarts, what its load balancer"
            " still sends to that node is dropped, until its health check notices",
        )
    patience = run.options.settle_seconds
    if service.is_headless and not spec.publish_not_ready_addresses and patience < NAMES_CACHED_SECONDS:
        yield Caution(
            "CachedNames",
            f"Service {name} is headless: clients that have resolved its name use a pod's address until their DNS answer is too"
            f" old ({NAMES_CACHED_SECONDS:g} s with kubeadm's CoreDNS), and the settle time is {patience:g} s: give it a longer"
            " one if they connect anew meanwhile",
        )


def _node_warnings(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    spec = workload.template_spec(snapshot)
    if spec is None:
        return
    if spec.host_network:
        yield Caution(
            "HostNetwork",
            f"the pods of {run.target} use their nodes' network: whoever sends to a node's address is not told of a drain",
        )
    ports = sorted({port.host_port for c in spec.all_containers() for port in c.ports or () if port.host_port})
    if ports and not spec.host_network:
        yield Caution(
            "HostPort",
            f"the pods of {run.target} have host ports ({', '.join(map(str, ports))}): whoever sends to those of a node is not"
            " told of a drain",
        )


def _mute_slices(snapshot: Snapshot) -> Iterator[Caution]:
    ready = {facts.uid: facts.pod.name for facts in snapshot.pods if facts.is_ready}
    for endpoint_slice in snapshot.slices:
        manager = endpoint_slice.manager
        for endpoint in endpoint_slice.endpoints or () if manager not in KUBERNETES_MANAGERS else ():
            ref = endpoint.target_ref
            if not endpoint.is_ready and ref is not None and ref.uid in ready:
                yield Caution(
                    "SliceNotReady",
                    f"EndpointSlice {endpoint_slice.metadata.name} ({manager or 'managed by nobody'}) says that"
                    f" pod/{ready[ref.uid]} is not ready, and the pod that it is: that slice is not waited for",
                )
