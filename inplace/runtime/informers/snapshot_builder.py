"""Builds the snapshot that a plan is judged on from the events that arrive: observed pods, evidence, timers.

Used on the driver's thread alone. A pod is observed once per version of itself or of its slice entries, so that a pass over
many unchanged pods costs nothing here; evidence is updated event by event, so that a flicker between two plans is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from inplace.engine.kinds.workload import min_ready_seconds
from inplace.engine.planning.waits import carried
from inplace.engine.pods.drain import entries_by_pod, index_slices, services_not_awaited
from inplace.engine.pods.evidence import confirm_drained, update_evidence, without_ignored_slices
from inplace.engine.snapshot import (
    NO_EVIDENCE,
    DaemonSetTarget,
    DeploymentTarget,
    EndpointEntry,
    Evidence,
    ObservedPod,
    PodsTarget,
    ReplicaSetTarget,
    Snapshot,
    StatefulSetTarget,
    Target,
    observe_pod,
)
from inplace.kube.clock import seconds_since
from inplace.kube.informers.cache_view import CacheView
from inplace.kube.paging import ListResult
from inplace.model.objects.meta import HasMetadata, resource_version_number
from inplace.model.objects.network import EndpointSlice
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import ControllerRevision, ReplicaSet
from inplace.model.refs import TargetRef, WorkloadKind
from inplace.model.run import Run
from inplace.runtime.informers.inbox import PodChanged, RunEvent, SliceChanged
from inplace.runtime.informers.target_informers import TargetCaches

T = TypeVar("T", bound=HasMetadata)
STAMP_SECONDS = 1.0
"""Instants are stored in whole seconds: a second that may not have passed counts as not passed."""


class SnapshotBuilder:
    """Call `accept_undrainable` before the first snapshot if the user accepts Services as undrainable.

    It has a method per kind of event and per part of the snapshot, since all fold into the same facts and evidence.
    """

    def __init__(self, caches: TargetCaches, target: TargetRef, target_uid: str) -> None:
        self._caches = caches
        self._target = target
        self._target_uid = target_uid
        self._accepted: tuple[str, ...] = ()
        self._facts: dict[str, ObservedPod] = {}
        self._evidence: dict[str, Evidence] = {}
        self._by_uid: dict[str, dict[str, tuple[EndpointEntry, ...]]] = {}
        self._by_ip: dict[str, dict[str, tuple[EndpointEntry, ...]]] = {}
        self._pods_by_ip: dict[str, set[str]] = {}
        self._ignored: frozenset[str] = frozenset()
        self._pods_listed_at: float | None = None
        self._slices_listed_at: float | None = None

    def accept_undrainable(self, services: Iterable[str]) -> None:
        self._accepted = tuple(services)

    def handle(self, event: RunEvent, at: float) -> None:
        """Handles what a watch brought, and ignores any other event."""
        match event:
            case PodChanged(old=old, new=new):
                self._handle_pod(old, new, at)
            case SliceChanged(old=old_slice, new=new_slice):
                self._handle_slice(old_slice, new_slice, at)
            case _:
                pass

    def _handle_pod(self, old: Pod | None, new: Pod | None, at: float) -> None:
        if old is not None:
            for ip in old.ips():
                self._pods_by_ip.get(ip, set()).discard(old.uid)
        if new is None:
            if old is not None:
                self._facts.pop(old.uid, None)
                self._evidence.pop(old.uid, None)
            return
        for ip in new.ips():
            self._pods_by_ip.setdefault(ip, set()).add(new.uid)
        self._observe(new, at)

    def _handle_slice(self, old: EndpointSlice | None, new: EndpointSlice | None, at: float) -> None:
        key = (new or old).metadata.uid  # type: ignore[union-attr]
        before, after = index_slices([old] if old else []), index_slices([new] if new else [])
        touched: set[str] = set()
        for uid in {**before.by_uid, **after.by_uid}:
            _replace(self._by_uid, uid, key, after.by_uid.get(uid))
            touched.add(uid)
        for ip in {**before.by_ip, **after.by_ip}:
            _replace(self._by_ip, ip, key, after.by_ip.get(ip))
            touched |= self._pods_by_ip.get(ip, set())
        for uid in touched:
            facts = self._facts.get(uid)
            if facts is not None:
                self._observe(facts.pod, at)

    def on_images_patched(self, uid: str, images: Mapping[str, str]) -> None:
        """Records the images that the API server stored for our image patch of a pod."""
        self._evidence[uid] = msgspec.structs.replace(self._evidence.get(uid, NO_EVIDENCE), admitted_images=images)

    def restore_timers(self, run: Run, now: float, utcnow: datetime) -> dict[str, float]:
        """The timers that began before this process did; what is stored about pods becomes evidence."""
        snapshot = self.build(now, {})
        ready = min_ready_seconds(snapshot, run.options)
        age = lambda at: max(0.0, (seconds_since(at, utcnow) or 0.0) - STAMP_SECONDS)  # noqa: E731
        restored = carried(run, snapshot.pods, ready, now, age)
        for uid, since in restored.steady.items():
            self._evidence[uid] = msgspec.structs.replace(self._evidence.get(uid, NO_EVIDENCE), steady_since=since)
        return dict(restored.timers)

    @property
    def facts(self) -> Mapping[str, ObservedPod]:
        """Every watched pod by uid, as it was last observed."""
        return self._facts

    def on_slices_listed(self, listing: ListResult[EndpointSlice], sent_at: float) -> None:
        """Confirms by a quorum read of the slices that the pods are drained that were quiet before it was sent."""
        self._slices_listed_at = sent_at
        if listing.unreadable:
            return  # it may list any pod
        index, ignored = index_slices(listing.items), self._ignored
        for uid, facts in self._facts.items():
            if facts.record is not None:
                sends = any(e.ready and e.service not in ignored for e in index.entries_of(facts.pod))
                self._evidence[uid] = confirm_drained(self._evidence.get(uid), sent_at, sends)
        for item in listing.items:
            self._caches.slices.upsert(item)

    def on_pods_listed(self, listing: ListResult[Pod], sent_at: float) -> None:
        """Puts a quorum read into the cache. A pod that it lacks is gone, unless a newer version is cached."""
        self._pods_listed_at = sent_at
        cache, version = self._caches.pods, resource_version_number(listing.resource_version)
        listed = {pod.uid for pod in listing.items} | {lost.metadata.uid for lost in listing.unreadable}
        for uid, pod in cache.snapshot().items():
            if uid not in listed and resource_version_number(pod.metadata.resource_version) <= version:
                meta = msgspec.structs.replace(pod.metadata, resource_version=listing.resource_version)
                cache.delete(msgspec.structs.replace(pod, metadata=meta))
        for pod in listing.items:
            cache.upsert(pod)

    def build(
        self,
        at: float,
        timers: Mapping[str, float],
        busy: Iterable[str] = (),
        closing: Iterable[str] = (),
        fields_returned: frozenset[str] = frozenset(),
        stale_reason: str = "",
    ) -> Snapshot:
        self._refresh_ignored_services(at)
        target = self._current_target()
        unreadable = self._unreadable()
        return Snapshot(
            target=target,
            pods=tuple(self._facts[uid] for uid in self._own_pods(target)),
            services=tuple(self._caches.services.snapshot().values()),
            slices=tuple(self._caches.slices.snapshot().values()),
            budgets=tuple(self._caches.budgets.snapshot().values()),
            evidence=self._evidence,
            timers=timers,
            keys_in_progress=frozenset(busy),
            closing=frozenset(closing),
            pods_listed_at=self._pods_listed_at,
            slices_listed_at=self._slices_listed_at,
            stale_reason=stale_reason,
            fields_returned=fields_returned,
            unreadable=unreadable,
        )

    def _unreadable(self) -> tuple[str, ...]:
        caches, names = self._caches, self._target.pod_names
        pods = (lost for lost in caches.pods.unreadable if not names or lost.metadata.name in names)
        around = (caches.slices, caches.services, caches.budgets, caches.workload, caches.replica_sets, caches.revisions)
        others = (lost for cache in around if cache is not None for lost in cache.unreadable)
        return tuple(str(lost) for lost in (*pods, *others))

    def _observe(self, pod: Pod, at: float) -> None:
        entries = entries_by_pod(pod, self._by_uid, self._by_ip)
        facts = observe_pod(pod, entries)
        evidence = self._evidence[pod.uid] = update_evidence(self._evidence.get(pod.uid), facts, self._ignored, at)
        self._facts[pod.uid] = without_ignored_slices(facts, evidence.ignored_slices)

    def _refresh_ignored_services(self, at: float) -> None:
        """A Service that is ignored from now on, or no longer, changes what the slices of every pod mean."""
        ignored = services_not_awaited(self._caches.services.snapshot().values(), self._accepted)
        if ignored != self._ignored:
            self._ignored = ignored
            for facts in list(self._facts.values()):
                self._observe(facts.pod, at)

    def _current_target(self) -> Target:
        uid, kind = self._target_uid, self._target.kind
        if kind == "Pods":
            existing = {facts.pod.name for facts in self._facts.values()}
            return PodsTarget(tuple(name for name in self._target.pod_names if name not in existing))
        assert self._caches.workload is not None
        workload = self._caches.workload.get_by_name(self._target.namespace, self._target.name)
        if workload is not None and workload.metadata.uid != uid:
            workload = None
        return make_target(kind, workload, _owned(self._caches.replica_sets, uid), _owned(self._caches.revisions, uid))

    def _own_pods(self, target: Target) -> list[str]:
        """Uids of the live pods that belong to the target, ordered by name."""
        match target:
            case DeploymentTarget(replica_sets=replica_sets):
                owners = {rs.metadata.uid for rs in replica_sets}
                own = [f for f in self._facts.values() if (o := f.pod.metadata.controller()) is not None and o.uid in owners]
            case ReplicaSetTarget() | StatefulSetTarget() | DaemonSetTarget():
                own = [f for f in self._facts.values() if f.pod.metadata.owned_by(self._target_uid)]
            case PodsTarget():
                names = self._target.pod_names
                own = [f for f in self._facts.values() if not names or f.pod.name in names]
        return [f.pod.uid for f in sorted(own, key=lambda f: f.pod.name) if not f.pod.is_terminal]


def make_target(
    kind: WorkloadKind, workload: Any, replica_sets: Iterable[ReplicaSet], revisions: Iterable[ControllerRevision]
) -> Target:
    """`workload` is None once it is deleted or another object has its name."""
    match kind:
        case "Deployment":
            return DeploymentTarget(workload, tuple(replica_sets))
        case "ReplicaSet":
            return ReplicaSetTarget(workload)
        case "StatefulSet":
            return StatefulSetTarget(workload, tuple(revisions))
        case "DaemonSet":
            return DaemonSetTarget(workload, tuple(revisions))


def _owned(cache: CacheView[T] | None, uid: str) -> tuple[T, ...]:
    return tuple(o for o in cache.snapshot().values() if o.metadata.owned_by(uid)) if cache is not None else ()


def _replace(
    index: dict[str, dict[str, tuple[EndpointEntry, ...]]], pod: str, slice_uid: str, entries: tuple[EndpointEntry, ...] | None
) -> None:
    of_pod = index.setdefault(pod, {})
    if entries:
        of_pod[slice_uid] = entries
        return
    of_pod.pop(slice_uid, None)
    if not of_pod:
        del index[pod]
