"""The caches of one run: its target, its pods, and everything in the namespace that sends traffic to them.

Starting them lists; `is_synced` says when every cache is complete. Only what the target needs is watched: pods by the
workload's selector, the workload and its Lease by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.cache_view import CacheView
from inplace.kube.informers.reflector import Reflector, all_synced, first_error, relist_all
from inplace.kube.informers.reflector_thread import ReflectorThread
from inplace.kube.paging import ListOptions
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
from inplace.model.objects.coordination import Lease
from inplace.model.objects.meta import HasMetadata
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.objects.workloads import ControllerRevision, ReplicaSet
from inplace.model.refs import TargetRef, WorkloadKind
from inplace.runtime.informers.inbox import CacheChanged, Inbox, PodChanged, SliceChanged, ThreadCrashed

T = TypeVar("T", bound=HasMetadata)


class TargetCaches(Protocol):
    """What a run sees of its target and of what surrounds it."""

    @property
    def pod_scope(self) -> ListOptions: ...

    @property
    def pods(self) -> CacheView[Pod]: ...

    @property
    def slices(self) -> CacheView[EndpointSlice]: ...

    @property
    def services(self) -> CacheView[Service]: ...

    @property
    def budgets(self) -> CacheView[PodDisruptionBudget]: ...

    @property
    def leases(self) -> CacheView[Lease]: ...

    @property
    def workload(self) -> CacheView[Any] | None: ...

    @property
    def replica_sets(self) -> CacheView[ReplicaSet] | None: ...

    @property
    def revisions(self) -> CacheView[ControllerRevision] | None: ...

    @property
    def is_synced(self) -> bool: ...

    @property
    def error(self) -> ApiError | None: ...

    def of_kind(self, kind: WorkloadKind) -> CacheView[Any] | None: ...


class TargetInformers:
    """`selector`: that of the workload, or of bare pods by labels; empty for pods by name."""

    def __init__(self, api: ApiClient, inbox: Inbox, target: TargetRef, selector: str, lease: str) -> None:
        self._api = api
        self._inbox = inbox
        self._reflectors: list[Reflector[Any]] = []
        namespace = target.namespace
        only = f"metadata.name={target.pod_names[0]}" if len(target.pod_names) == 1 else ""
        self.pod_scope = ListOptions(namespace=namespace, label_selector=selector, field_selector=only)
        everything = ListOptions(namespace=namespace)
        self.pods = self._watch(PODS, self.pod_scope, lambda old, new: inbox.put(PodChanged(old, new)))
        self.slices = self._watch(ENDPOINT_SLICES, everything, lambda old, new: inbox.put(SliceChanged(old, new)))
        self.services = self._watch(SERVICES, everything)
        self.budgets = self._watch(POD_DISRUPTION_BUDGETS, everything)
        self.leases = self._watch(LEASES, ListOptions(namespace=namespace, field_selector=f"metadata.name={lease}"))
        self.workload: Cache[Any] | None = None
        self.replica_sets: Cache[ReplicaSet] | None = None
        self.revisions: Cache[ControllerRevision] | None = None
        if target.kind != "Pods":
            self.workload = self._watch(
                WORKLOADS[target.kind], ListOptions(namespace=namespace, field_selector=f"metadata.name={target.name}")
            )
        labelled = ListOptions(namespace=namespace, label_selector=selector)
        match target.kind:
            case "Deployment":
                self.replica_sets = self._watch(REPLICA_SETS, labelled)
            case "StatefulSet" | "DaemonSet":
                self.revisions = self._watch(CONTROLLER_REVISIONS, labelled)
            case "ReplicaSet" | "Pods":
                pass
        self._kind = target.kind
        self.reflectors: tuple[Reflector[Any], ...] = tuple(self._reflectors)
        self._threads = [
            ReflectorThread(r, api.transport, lambda error: inbox.put(ThreadCrashed(error))) for r in self.reflectors
        ]

    def of_kind(self, kind: WorkloadKind) -> Cache[Any] | None:
        """The cache to which the answer to a write of such a workload belongs."""
        return self.workload if kind == self._kind else self.replica_sets if kind == "ReplicaSet" else None

    def start(self) -> None:
        """Runs each on a thread of its own; a simulation drives `reflectors` itself instead."""
        for thread in self._threads:
            thread.start()

    def relist(self) -> None:
        """Counts everything that is cached as stale: `is_synced` is true again once everything has been listed anew."""
        relist_all(self.reflectors)

    def stop(self) -> None:
        """Closes the streams; the threads end by themselves, and are not waited for."""
        for thread in self._threads:
            thread.stop(0.0)

    @property
    def is_synced(self) -> bool:
        return all_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        """The last error of a watch that has not recovered."""
        return first_error(self.reflectors)

    def _watch(
        self, resource: Resource[T], scope: ListOptions, listener: Callable[[T | None, T | None], None] | None = None
    ) -> Cache[T]:
        cache: Cache[T] = Cache()
        cache.subscribe(listener or (lambda _old, _new: self._inbox.put(CacheChanged())))
        on_state = lambda: self._inbox.put(CacheChanged())  # noqa: E731
        self._reflectors.append(Reflector(resource, cache, self._api.clock, scope=scope, on_state=on_state))
        return cache
