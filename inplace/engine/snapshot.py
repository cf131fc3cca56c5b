"""What a plan is judged on: a snapshot of the target and its pods, and the evidence this process has gathered.

Evidence dies with the process: a resume gathers it anew, so that a cluster timestamp never shortens a safety interval. All
instants here are monotonic seconds of this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from inplace.engine.gate_openers import GateOpeners
from inplace.model.objects.network import KUBERNETES_MANAGERS, EndpointSlice, Service
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.objects.workloads import ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet
from inplace.model.record import UnreadableRecord, UpgradeRecord, read_record
from inplace.model.refs import PodRef, TargetKind


class EndpointEntry(msgspec.Struct, frozen=True, gc=False):
    """One endpoint of one EndpointSlice that stands for a pod."""

    service: str
    ready: bool
    version: int = 0
    """resourceVersion of the slice."""
    by_ip: bool = False
    """Matched by address, because the endpoint has no targetRef."""
    slice_name: str = ""
    manager: str = ""
    """Who says that it manages the slice; empty: nobody."""

    @property
    def is_foreign(self) -> bool:
        return self.manager not in KUBERNETES_MANAGERS

    def __str__(self) -> str:
        return f"EndpointSlice {self.slice_name} ({self.manager or 'managed by nobody'}) of Service {self.service or '?'}"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What this process has witnessed of one pod."""

    had_record: bool = False
    """It has carried a record since we look."""
    ignored_slices: frozenset[str] = frozenset()
    """Foreign slices that did not say ready before us, though the pod was Ready: they need not afterwards."""
    consistent_since: float | None = None
    """Since when its Ready condition and its slices say the same (the settled view)."""
    ready_false_since: float | None = None
    ready_false_version: int = 0
    """resourceVersion of the first pod version seen with Ready False."""
    quiet_since: float | None = None
    """Since when Ready is False and no slice sends to it, in our caches."""
    saw_ready: bool = False
    """While recorded as ours, a slice entry was seen ready."""
    saw_transition: bool = False
    """It is quiet, was seen ready, and every slice version that says so is newer than the pod's Ready False: we saw it turn."""
    quiet_confirmed_at: float | None = None
    """When a quorum read, sent after Ready False was seen, showed no slice sending to it."""
    containers_ready_since: float | None = None
    running_since: Mapping[str, float] = {}
    """Container id to when it was first seen running."""
    seen_not_started: frozenset[str] = frozenset()
    """Container ids for which `started: false` was seen."""
    started_at: Mapping[str, float] = {}
    """Container id to when `started: true` was seen after `started: false`."""
    admitted_images: Mapping[str, str] = {}
    """The images that the API server answered our image patch with, as long as the spec asks for them."""
    waiting_reasons: Mapping[str, str] = {}
    """Container to why it does not start, as the kubelet told it last."""
    steady_since: float | None = None
    """Since when its restarted containers have been ready, as the process before us wrote down; None once that has changed."""
    surviving_containers: frozenset[str] = frozenset()
    """Recorded container ids that were still shown once the kubelet had seen the image patch: whatever comes next is new."""


NO_EVIDENCE = Evidence()


class ObservedPod(msgspec.Struct, frozen=True, gc=False):
    """A pod with everything that is cheap to judge once per version of the pod and of its slice entries."""

    pod: Pod
    record: UpgradeRecord | UnreadableRecord | None
    entries: tuple[EndpointEntry, ...]
    uid: str
    is_ready: bool
    images: Mapping[str, str]
    """Container name to the image that the spec asks for."""

    def spec_has_images(self, images: Mapping[str, str]) -> bool:
        """The spec asks for these images. Says nothing about what runs."""
        have = self.images
        for name, image in images.items():
            if have.get(name) != image:
                return False
        return True

    @property
    def ref(self) -> PodRef:
        meta = self.pod.metadata
        return PodRef(meta.namespace, meta.name, meta.uid, meta.resource_version)


def observe_pod(pod: Pod, entries: tuple[EndpointEntry, ...]) -> ObservedPod:
    return ObservedPod(pod, read_record(pod), entries, pod.metadata.uid, pod.is_ready, pod.spec.images())


class DeploymentTarget(msgspec.Struct, frozen=True, tag=True):
    """`deployment` is None once it is deleted or another object has its name. `replica_sets`: those it owns."""

    kind: ClassVar[TargetKind] = "Deployment"
    deployment: Deployment | None
    replica_sets: tuple[ReplicaSet, ...]

    @property
    def workload(self) -> Deployment | None:
        return self.deployment


class ReplicaSetTarget(msgspec.Struct, frozen=True, tag=True):
    kind: ClassVar[TargetKind] = "ReplicaSet"
    replica_set: ReplicaSet | None

    @property
    def workload(self) -> ReplicaSet | None:
        return self.replica_set


class StatefulSetTarget(msgspec.Struct, frozen=True, tag=True):
    """`revisions`: those it owns."""

    kind: ClassVar[TargetKind] = "StatefulSet"
    stateful_set: StatefulSet | None
    revisions: tuple[ControllerRevision, ...]

    @property
    def workload(self) -> StatefulSet | None:
        return self.stateful_set


class DaemonSetTarget(msgspec.Struct, frozen=True, tag=True):
    kind: ClassVar[TargetKind] = "DaemonSet"
    daemon_set: DaemonSet | None
    revisions: tuple[ControllerRevision, ...]

    @property
    def workload(self) -> DaemonSet | None:
        return self.daemon_set


class PodsTarget(msgspec.Struct, frozen=True, tag=True):
    """Bare pods. `missing`: requested names that do not exist."""

    kind: ClassVar[TargetKind] = "Pods"
    missing: tuple[str, ...] = ()

    @property
    def workload(self) -> None:
        return None


RevisionedTarget = StatefulSetTarget | DaemonSetTarget
Target = DeploymentTarget | ReplicaSetTarget | StatefulSetTarget | DaemonSetTarget | PodsTarget


class Denial(msgspec.Struct, frozen=True):
    """The API server refuses an act. `is_final`: it has judged it, again and again, so that to ask once more is no use."""

    message: str
    is_final: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The snapshot. `pods` holds every live pod of the target, none that has finished."""

    target: Target
    pods: tuple[ObservedPod, ...]
    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    """All of the namespace: who else serves what the pods serve."""
    budgets: tuple[PodDisruptionBudget, ...] = ()
    evidence: Mapping[str, Evidence] = {}
    """By pod uid."""
    timers: Mapping[str, float] = {}
    """Timer name to when it began: the runtime keeps every timer that the last plan named, and forgets the others."""
    keys_in_progress: frozenset[str] = frozenset()
    """Keys of actions under way."""
    closing: frozenset[str] = frozenset()
    """Uids of pods whose CloseGate is under way or not yet visible here."""
    pods_listed_at: float | None = None
    """When the newest quorum read of the target's pods that is part of this snapshot was sent."""
    slices_listed_at: float | None = None
    """When the newest quorum read of slices was sent, whatever it showed."""
    stale_reason: str = ""
    """Why these views may be old (a watch that has failed for a while): nothing new is started on them."""
    unreadable: tuple[str, ...] = ()
    """What is there and cannot be read, in words: pods, slices or anything else that a plan is judged on."""
    claims: Mapping[str, int] = {}
    """Shared PodDisruptionBudgets that are claimed by us, and how many pods may be closed under each claim. A claim serves one
    plan: then it is 0."""
    fields_returned: frozenset[str] = frozenset()
    """Uids of objects whose image fields this process has given back."""
    denials: Mapping[str, Denial] = {}
    """By the intent of the action: what the API server said last to those that it refuses."""
    gate_openers: GateOpeners | None = None
    """Who opens gates of new pods; None: it was not looked."""
