"""The caches of a controller: one set for all its runs, in one namespace or in all, and for each run its part of them.

To its run such a part looks like the informers of a command in the foreground (`TargetCaches`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from inplace.kube.api import ApiClient
from inplace.kube.codec import Unreadable
from inplace.kube.errors import ApiError
from inplace.kube.informers.cache import Cache
from inplace.kube.informers.cache_view import CacheView, FilteredCache
from inplace.kube.informers.reflector import Reflector, all_synced, first_error
from inplace.kube.paging import ListOptions
from inplace.kube.resources import (
    CONTROLLER_REVISIONS,
    ENDPOINT_SLICES,
    INPLACE_ROLLOUTS,
    LEASES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SERVICES,
    WORKLOADS,
    Resource,
)
from inplace.model.constants import MANAGED_BY_SELECTOR
from inplace.model.objects.coordination import Lease
from inplace.model.objects.meta import HasMetadata, ObjectMeta, parse_selector
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.objects.workloads import ControllerRevision, ReplicaSet
from inplace.model.refs import TargetRef, WorkloadKind
from inplace.model.rollout import unreadable_rollout
from inplace.runtime.informers.inbox import CacheChanged, PodChanged, RunEvent, SliceChanged

T = TypeVar("T", bound=HasMetadata)


class SharedInformers:
    """`namespace` None: all. `on_state`: is_named when a watch has begun, fails, or has recovered."""

    def __init__(
        self, api: ApiClient, namespace: str | None, on_state: Callable[[], None], on_unreadable: Callable[[Unreadable], None]
    ) -> None:
        self._api = api
        self._on_state = on_state
        self._on_unreadable = on_unreadable
        self._reflectors: list[Reflector[Any]] = []
        self.namespace = namespace
        self.rollouts = self._watch(INPLACE_ROLLOUTS, stand_in=unreadable_rollout)
        self.pods = self._watch(PODS)
        self.slices = self._watch(ENDPOINT_SLICES)
        self.services = self._watch(SERVICES)
        self.budgets = self._watch(POD_DISRUPTION_BUDGETS)
        self.leases = self._watch(LEASES, MANAGED_BY_SELECTOR)
        self.workloads: dict[WorkloadKind, Cache[Any]] = {kind: self._watch(r) for kind, r in WORKLOADS.items()}
        self.revisions = self._watch(CONTROLLER_REVISIONS)
        self.reflectors: tuple[Reflector[Any], ...] = tuple(self._reflectors)

    @property
    def is_synced(self) -> bool:
        return all_synced(self.reflectors)

    @property
    def error(self) -> ApiError | None:
        return first_error(self.reflectors)

    def _watch(
        self,
        resource: Resource[T],
        label_selector: str = "",
        stand_in: Callable[[ObjectMeta, str, T | None], T] | None = None,
    ) -> Cache[T]:
        cache: Cache[T] = Cache(stand_in)
        scope = ListOptions(namespace=self.namespace, label_selector=label_selector)
        clock, on_state, on_unreadable = self._api.clock, self._on_state, self._on_unreadable
        reflector = Reflector(resource, cache, clock, scope=scope, on_state=on_state, on_unreadable=on_unreadable)
        self._reflectors.append(reflector)
        return cache


class RunCaches:
    """One run's part of the shared caches: its `TargetCaches`. `notify` is is_named under a cache's lock: it must be short."""

    def __init__(
        self, shared: SharedInformers, target: TargetRef, selector: str, lease: str, notify: Callable[[RunEvent], None]
    ) -> None:
        self._shared = shared
        self._kind = target.kind
        self._closers: list[Callable[[], None]] = []
        self._notify = notify
        namespace, label_selector = target.namespace, parse_selector(selector) if selector else None
        self.pod_scope = ListOptions(namespace=namespace, label_selector=selector)

        def in_namespace(obj: HasMetadata) -> bool:
            return obj.metadata.namespace == namespace

        names = frozenset(target.pod_names)

        def is_labelled(obj: HasMetadata) -> bool:
            return in_namespace(obj) and (label_selector is None or label_selector.matches(obj.metadata.labels))

        def is_own(obj: HasMetadata) -> bool:
            """Facts and evidence are kept of these pods alone: a namespace may have many pods, and many rollouts."""
            return is_labelled(obj) and (not names or obj.metadata.name in names)

        def is_named(name: str) -> Callable[[HasMetadata], bool]:
            return lambda obj: in_namespace(obj) and obj.metadata.name == name

        self.pods: CacheView[Pod] = self._select(shared.pods, is_own, lambda old, new: notify(PodChanged(old, new)))
        self.slices: CacheView[EndpointSlice] = self._select(
            shared.slices, in_namespace, lambda old, new: notify(SliceChanged(old, new))
        )
        self.services: CacheView[Service] = self._select(shared.services, in_namespace)
        self.budgets: CacheView[PodDisruptionBudget] = self._select(shared.budgets, in_namespace)
        self.leases: CacheView[Lease] = self._select(shared.leases, is_named(lease))
        self.workload: CacheView[Any] | None = None
        self.replica_sets: CacheView[ReplicaSet] | None = None
        self.revisions: CacheView[ControllerRevision] | None = None
        if target.kind != "Pods":
            self.workload = self._select(shared.workloads[target.kind], is_named(target.name))
        match target.kind:
            case "Deployment":
                self.replica_sets = self._select(shared.workloads["ReplicaSet"], is_labelled)
            case "StatefulSet" | "DaemonSet":
                self.revisions = self._select(shared.revisions, is_labelled)
            case "ReplicaSet" | "Pods":
                pass

    @property
    def is_synced(self) -> bool:
        return self._shared.is_synced

    @property
    def error(self) -> ApiError | None:
        return self._shared.error

    def of_kind(self, kind: WorkloadKind) -> CacheView[Any] | None:
        return self.workload if kind == self._kind else self.replica_sets if kind == "ReplicaSet" else None

    def close(self) -> None:
        for close in self._closers:
            close()

    def _select(
        self,
        cache: Cache[T],
        wanted: Callable[[HasMetadata], bool],
        listener: Callable[[T | None, T | None], None] | None = None,
    ) -> FilteredCache[T]:
        filtered = FilteredCache(cache, wanted, listener or (lambda _old, _new: self._notify(CacheChanged())))
        self._closers.append(filtered.close)
        return filtered
