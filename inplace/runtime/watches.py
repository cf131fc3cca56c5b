"""The caches that one run looks at: its target, its pods, and everything in the namespace that sends to them.

Starting means listing; `is_synced` says when every cache is complete. Only what the target needs is watched: pods by the
workload's selector, the workload and its Lease by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from inplace.kube.api import Api
from inplace.kube.cache import Cache
from inplace.kube.errors import ApiError
from inplace.kube.lists import Scope
from inplace.kube.pump import Pump
from inplace.kube.reflector import Reflector, have_synced, look_afresh, trouble_of
from inplace.kube.resources import (
    CONTROLLER_REVISIONS,
    ENDPOINT_SLICES,
    LEASES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    WORKLOADS,
    Resource,
)
from inplace.kube.selection import Store
from inplace.model.meta import Object
from inplace.model.names import TargetRef, WorkloadKind
from inplace.model.network import EndpointSlice, Service
from inplace.model.pods import Pod
from inplace.model.policy import Lease, PodDisruptionBudget
from inplace.model.workloads import ControllerRevision, ReplicaSet
from inplace.runtime.inbox import Crashed, Inbox, OtherChanged, PodChanged, SliceChanged

T = TypeVar("T", bound=Object)


class Sight(Protocol):
    """What a run sees of its target, and of what is around it."""

    @property
    def pod_scope(self) -> Scope: ...

    @property
    def pods(self) -> Store[Pod]: ...

    @property
    def slices(self) -> Store[EndpointSlice]: ...

    @property
    def services(self) -> Store[Service]: ...

    @property
    def budgets(self) -> Store[PodDisruptionBudget]: ...

    @property
    def leases(self) -> Store[Lease]: ...

    @property
    def workload(self) -> Store[Any] | None: ...

    @property
    def replica_sets(self) -> Store[ReplicaSet] | None: ...

    @property
    def revisions(self) -> Store[ControllerRevision] | None: ...

    @property
    def is_synced(self) -> bool: ...

    @property
    def error(self) -> ApiError | None: ...

    def of_kind(self, kind: WorkloadKind) -> Store[Any] | None: ...


class Watches:
    """`selector`: that of the workload, or of the selection of bare pods; empty for pods by name."""

    def __init__(self, api: Api, inbox: Inbox, target: TargetRef, selector: str, lease: str) -> None:
        self._api = api
        self._inbox = inbox
        self._reflectors: list[Reflector[Any]] = []
        namespace = target.namespace
        only = f"metadata.name={target.pod_names[0]}" if len(target.pod_names) == 1 else ""
        self.pod_scope = Scope(namespace=namespace, label_selector=selector, field_selector=only)
        everything = Scope(namespace=namespace)
        self.pods = self._watch(PODS, self.pod_scope, lambda old, new: inbox.put(PodChanged(old, new)))
        self.slices = self._watch(ENDPOINT_SLICES, everything, lambda old, new: inbox.put(SliceChanged(old, new)))
        self.services = self._watch(SERVICES, everything)
        self.budgets = self._watch(POD_DISRUPTION_BUDGETS, everything)
        self.leases = self._watch(LEASES, Scope(namespace=namespace, field_selector=f"metadata.name={lease}"))
        self.workload: Cache[Any] | None = None
        self.replica_sets: Cache[ReplicaSet] | None = None
        self.revisions: Cache[ControllerRevision] | None = None
        if target.kind != "Pods":
            self.workload = self._watch(
                WORKLOADS[target.kind], Scope(namespace=namespace, field_selector=f"metadata.name={target.name}")
            )
        labelled = Scope(namespace=namespace, label_selector=selector)
        match target.kind:
            case "Deployment":
                self.replica_sets = self._watch(REPLICA_SETS, labelled)
            case "StatefulSet" | "DaemonSet":
                self.revisions = self._watch(CONTROLLER_REVISIONS, labelled)
            case "ReplicaSet" | "Pods":
                pass
        self._kind = target.kind
        self.reflectors: tuple[Reflector[Any], ...] = tuple(self._reflectors)
        self._pumps = [Pump(r, api.transport, lambda error: inbox.put(Crashed(error))) for r in self.reflectors]

    def of_kind(self, kind: WorkloadKind) -> Cache[Any] | None:
        """Where an answer about a workload of this kind belongs."""
        return self.workload if kind == self._kind else self.replica_sets if kind == "ReplicaSet" else None

    def start(self) -> None:
        """On threads of their own; a simulation drives `reflectors` itself instead."""
        for pump in self._pumps:
            pump.start()

    def look_afresh(self) -> None:
        """Whatever is known may be old: it is synced again when everything has been listed anew."""
        look_afresh(self.reflectors)

    def stop(self) -> None:
        """Ends the streams; the threads end by themselves, and are not waited for."""
        for pump in self._pumps:
            pump.stop(0.0)

    @property
    def is_synced(self) -> bool:
        return have_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        """The last trouble of a watch that is not over."""
        return trouble_of(self.reflectors)

    def _watch(
        self, resource: Resource[T], scope: Scope, listener: Callable[[T | None, T | None], None] | None = None
    ) -> Cache[T]:
        cache: Cache[T] = Cache()
        cache.subscribe(listener or (lambda _old, _new: self._inbox.put(OtherChanged())))
        poke = lambda: self._inbox.put(OtherChanged())  # noqa: E731
        self._reflectors.append(Reflector(resource, cache, self._api.clock, scope=scope, on_state=poke))
        return cache
