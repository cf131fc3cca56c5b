"""Finds the Services that still send traffic to a pod, and those that can never be stopped from doing so.

A pod is drained if it is not Ready, and every endpoint that represents it has `ready` false, in any slice of the namespace and
whoever manages that; nil means true (design, section 6). A not-ready pod stays listed: the condition counts, not its absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inplace.engine.snapshot import EndpointEntry, Evidence, ObservedPod
from inplace.model.objects.meta import resource_version_number
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.objects.pods import Pod


class SliceIndex(msgspec.Struct, frozen=True):
    """Endpoint entries by pod uid and, for endpoints without a targetRef, by address."""

    by_uid: Mapping[str, tuple[EndpointEntry, ...]]
    by_ip: Mapping[str, tuple[EndpointEntry, ...]]

    def entries_of(self, pod: Pod) -> tuple[EndpointEntry, ...]:
        """Returns the entries of a pod; not by address for a hostNetwork pod, since many pods share a node's address."""
        entries = self.by_uid.get(pod.uid, ())
        if self.by_ip and not pod.spec.host_network:
            for ip in pod.ips():
                entries += self.by_ip.get(ip, ())
        return entries


def entries_by_pod(
    pod: Pod,
    by_uid: Mapping[str, Mapping[str, tuple[EndpointEntry, ...]]],
    by_ip: Mapping[str, Mapping[str, tuple[EndpointEntry, ...]]],
) -> tuple[EndpointEntry, ...]:
    """Returns the entries of a pod from an index kept slice by slice: pod uid (or address) to slice uid to entries."""
    entries = tuple(e for slice_entries in by_uid.get(pod.uid, {}).values() for e in slice_entries)
    if by_ip and not pod.spec.host_network:
        entries += tuple(e for ip in pod.ips() for slice_entries in by_ip.get(ip, {}).values() for e in slice_entries)
    return entries


def index_slices(slices: Iterable[EndpointSlice]) -> SliceIndex:
    by_uid: dict[str, tuple[EndpointEntry, ...]] = {}
    by_ip: dict[str, tuple[EndpointEntry, ...]] = {}
    for endpoint_slice in slices:
        service = endpoint_slice.service
        version = resource_version_number(endpoint_slice.metadata.resource_version)
        name, manager = endpoint_slice.metadata.name, endpoint_slice.manager
        for endpoint in endpoint_slice.endpoints or ():
            ref = endpoint.target_ref
            if ref is not None and ref.uid:
                by_uid[ref.uid] = (
                    *by_uid.get(ref.uid, ()),
                    EndpointEntry(service, endpoint.is_ready, version, False, name, manager),
                )
            else:
                for address in endpoint.addresses or ():
                    entry = EndpointEntry(service, endpoint.is_ready, version, True, name, manager)
                    by_ip[address] = (*by_ip.get(address, ()), entry)
    return SliceIndex(by_uid, by_ip)


def services_still_sending(facts: ObservedPod, ignored: frozenset[str]) -> tuple[str, ...]:
    """Returns the Services whose slices still send to the pod, apart from those that are not waited for."""
    return tuple(dict.fromkeys(e.service or "a Service" for e in facts.entries if e.ready and e.service not in ignored))


def is_in_service(facts: ObservedPod, ignored: frozenset[str]) -> bool:
    """Whether every slice that lists the pod sends to it."""
    for entry in facts.entries:
        if not entry.ready and entry.service not in ignored:
            return False
    return True


def disagreeing_slices(facts: ObservedPod, ignored: frozenset[str]) -> str:
    """Names the slices that disagree with the pod's Ready condition; empty if none does."""
    entries = (e for e in facts.entries if e.ready != facts.is_ready and e.service not in ignored)
    return ", ".join(dict.fromkeys(map(str, entries)))


def services_not_awaited(services: Iterable[Service], accepted: Iterable[str]) -> frozenset[str]:
    """Returns Services that are not waited for: headless peer discovery that publishes not-ready addresses, and accepted
    ones."""
    discovery = (s.metadata.name for s in services if s.spec.publish_not_ready_addresses and s.is_headless)
    return frozenset(discovery) | frozenset(accepted)


class Undrainable(msgspec.Struct, frozen=True):
    service: str
    why: str


def undrainable(pods: Iterable[ObservedPod], services: Iterable[Service], ignored: frozenset[str]) -> tuple[Undrainable, ...]:
    """Returns the Services that would go on sending to a closed pod."""
    publishing = {s.metadata.name for s in services if s.spec.publish_not_ready_addresses and not s.is_headless}
    reasons: dict[str, str] = {}
    for facts in pods:
        for entry in facts.entries:
            if entry.service in ignored:
                continue
            if entry.service in publishing:
                reasons[entry.service] = "has publishNotReadyAddresses, so clients keep a closed pod"
            elif entry.by_ip and entry.ready:
                reasons[entry.service] = (
                    f"lists the address of {facts.pod.name} by hand, without a targetRef, and would keep it"
                )
    labels = [facts.pod.metadata.labels or {} for facts in pods]
    for service in services:
        name, selector = service.metadata.name, service.spec.selector or {}
        if name in publishing - ignored and selector and any(selector.items() <= have.items() for have in labels):
            reasons.setdefault(name, "has publishNotReadyAddresses, so clients keep a closed pod")
    return tuple(Undrainable(name, why) for name, why in sorted(reasons.items()))


def drained_at(evidence: Evidence) -> float | None:
    """Returns since when it is proven that nothing new is sent to the pod; None while it is not.

    The proof is that the slices were seen turning after the close, or a quorum read that was sent after Ready False was seen.
    """
    if evidence.quiet_since is None:
        return None
    if evidence.saw_transition:
        return evidence.quiet_since
    return evidence.quiet_confirmed_at
