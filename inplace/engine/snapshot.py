"""Defines the input of a plan: a snapshot of the target and its pods, and the evidence that this process has gathered.

Evidence dies with the process and is gathered anew after a takeover, so that a timestamp from the cluster never shortens a
safety interval. All instants here are monotonic seconds of this process.
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
    """An endpoint of an EndpointSlice that represents a pod."""

    service: str
    ready: bool
    version: int = 0
    """resourceVersion of the slice."""
    by_ip: bool = False
    """Matched by address, because the endpoint has no targetRef."""
    slice_name: str = ""
    manager: str = ""
    """The declared manager of the slice; empty if there is none."""

    @property
    def is_foreign(self) -> bool:
        return self.manager not in KUBERNETES_MANAGERS

    def __str__(self) -> str:
        return f"EndpointSlice {self.slice_name} ({self.manager or 'managed by nobody'}) of Service {self.service or '?'}"


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What this process has observed of one pod."""

    had_record: bool = False
    """Whether the pod has ever carried a record in this process's view."""
    ignored_slices: frozenset[str] = frozenset()
    """Foreign slices that did not list the pod as ready before the upgrade, though it was Ready: they need not afterwards."""
    consistent_since: float | None = None
    """Since when the pod's Ready condition and its slices agree."""
    ready_false_since: float | None = None
    ready_false_version: int = 0
    """resourceVersion of the first pod version seen with Ready False."""
    quiet_since: float | None = None
    """Since when Ready is False and no slice sends to the pod, in the caches of this process."""
    saw_ready: bool = False
    """Whether a slice entry was seen ready while the pod carried a record."""
    saw_transition: bool = False
    """Whether the slices were seen turning not ready: the pod is quiet, was seen ready, and every slice version that lists it
    as not ready is newer than the pod's Ready False."""
    quiet_confirmed_at: float | None = None
    """When a quorum read was sent, after Ready False was seen, that showed no slice sending to the pod."""
    containers_ready_since: float | None = None
    running_since: Mapping[str, float] = {}
    """Container id to when it was first seen running."""
    seen_not_started: frozenset[str] = frozenset()
    """Container ids for which `started: false` was seen."""
    started_at: Mapping[str, float] = {}
    """Container id to when `started: true` was seen after `started: false`."""
    admitted_images: Mapping[str, str] = {}
    """The images that the API server returned for the image patch, while the spec still has them."""
    waiting_reasons: Mapping[str, str] = {}
    """Why a container does not start, by container name, as the kubelet last reported it."""
    steady_since: float | None = None
    """Since when the restarted containers have been ready, as the previous process recorded it; None once that changes."""
    surviving_containers: frozenset[str] = frozenset()
    """Recorded container ids still shown after the kubelet saw the image patch: any later container is a new one."""


NO_EVIDENCE = Evidence()


class ObservedPod(msgspec.Struct, frozen=True, gc=False):
    """A pod with what is derived once per version of the pod and of its slice entries."""

    pod: Pod
    record: UpgradeRecord | UnreadableRecord | None
    entries: tuple[EndpointEntry, ...]
    uid: str
    is_ready: bool
    images: Mapping[str, str]
    """Container name to the image that the spec asks for."""

    def spec_has_images(self, images: Mapping[str, str]) -> bool:
        """Whether the spec has these images. It says nothing about what runs."""
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
    """A Deployment with its ReplicaSets. `deployment` is None once it is deleted or another object has its name."""

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
    """A StatefulSet with its ControllerRevisions."""

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
    """A refusal of an action by the API server. `is_final`: it has refused repeatedly, so retrying is pointless."""

    message: str
    is_final: bool


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that a plan is decided on. `pods` holds every live pod of the target, none that is Succeeded or Failed."""

    target: Target
    pods: tuple[ObservedPod, ...]
    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    """All slices of the namespace, which show what other endpoints the pods' Services have."""
    budgets: tuple[PodDisruptionBudget, ...] = ()
    evidence: Mapping[str, Evidence] = {}
    """By pod uid."""
    timers: Mapping[str, float] = {}
    """When each timer began, by name. The runtime keeps the timers that the last plan used, and drops the others."""
    keys_in_progress: frozenset[str] = frozenset()
    """Keys of actions in progress."""
    closing: frozenset[str] = frozenset()
    """Uids of pods whose CloseGate is in progress or not yet visible here."""
    pods_listed_at: float | None = None
    """When the newest quorum read of the target's pods that is part of this snapshot was sent."""
    slices_listed_at: float | None = None
    """When the newest quorum read of slices was sent, whatever its result."""
    stale_reason: str = ""
    """Why the snapshot may be stale, such as a watch that has failed for a while: nothing new is started on it."""
    unreadable: tuple[str, ...] = ()
    """Existing pods, slices or other inputs of a plan that cannot be decoded, as text."""
    claims: Mapping[str, int] = {}
    """How many pods may be closed under each shared PodDisruptionBudget that this run has claimed. A claim serves one plan;
    after that the number is 0."""
    fields_returned: frozenset[str] = frozenset()
    """Uids of objects whose image fields this process has returned to their owners."""
    denials: Mapping[str, Denial] = {}
    """The last answer of the API server to each action that it refuses, by the action's intent."""
    gate_openers: GateOpeners | None = None
    """The processes that open gates of new pods; None if they were not looked up."""
