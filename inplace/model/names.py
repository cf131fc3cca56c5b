"""Every name of ours that appears in a cluster, and references to objects there."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

GROUP = "inplace.dev"
ROLLOUT_VERSION = "v1alpha1"
ROLLOUT_KIND = "InPlaceRollout"
ROLLOUT_PLURAL = "inplacerollouts"
RECORD_ANNOTATION = "inplace.dev/upgrade"
HOLDS_ANNOTATION = "inplace.dev/holds"
RUN_ANNOTATION = "inplace.dev/run"
REQUEST_ANNOTATION = "inplace.dev/request"
HISTORY_ANNOTATION = "inplace.dev/history"
REQUEST_BY = "inplace.dev/request-by"
"""Beside a request: who asks, for people."""
HELD_BY = "inplace.dev/held-by"
"""On the Lease of a target: who holds it, for people."""
GATES = "inplace.dev/gates"
"""On the Lease of whoever opens gates: which, and of which pods."""
CREATED_BY_ANNOTATION = "inplace.dev/by"
"""On an InPlaceRollout: who asked for it, as the API server calls the caller."""
CLIENT = "inplace.dev/client"
"""Beside it: USER@HOST of the machine that it was asked from."""
FINALIZER = "inplace.dev/run"
DEFAULT_GATE = "inplace.dev/ready"
DEFAULT_LABEL = "inplace.dev/serve"
"""What the default gate follows."""
FIELD_MANAGER = "inplace"
MANAGED_BY_SELECTOR = "app.kubernetes.io/managed-by=inplace"
"""The label of our Leases, as a selector."""

WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]
TargetKind = Literal[WorkloadKind, "Pods"]
SHORT_NAMES: dict[WorkloadKind, str] = {"Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds", "ReplicaSet": "rs"}
"""As kubectl's users write them."""


class PodRef(msgspec.Struct, frozen=True):
    """A pod as it was judged: the preconditions travel with the action."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class TargetRef(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a run upgrades: a workload by name, or pods by names or by a label selector."""

    kind: TargetKind
    namespace: str
    name: str = ""
    pod_names: tuple[str, ...] = ()
    selector: str = ""

    def __str__(self) -> str:
        if self.kind == "Pods":
            return f"pods -l {self.selector}" if self.selector else " ".join(f"pod/{n}" for n in self.pod_names)
        return f"{SHORT_NAMES[self.kind]}/{self.name}"

    @property
    def words(self) -> tuple[str, ...]:
        """The words that mean this target, for a command line."""
        if self.kind == "Pods":
            return ("pods", "-l", self.selector) if self.selector else tuple(f"pod/{name}" for name in self.pod_names)
        return (str(self),)


KUBELETS = frozenset(
    {
        "ContainersReady",
        "DisruptionTarget",
        "Initialized",
        "PodReadyToStartContainers",
        "PodResizeInProgress",
        "PodResizePending",
        "PodScheduled",
        "Ready",
    }
)
"""Conditions that have an owner in Kubernetes: it writes its own value again, so that ours would flap."""

_PART = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_PREFIX = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")


def qualified_name(text: str) -> str:
    """A label key or a condition type. Raises ValueError with a line for a person."""
    prefix, slash, name = text.rpartition("/")
    if not _NAME.match(name) or (slash and (len(prefix) > 253 or not _PREFIX.match(prefix))):
        raise ValueError(f"{text!r} is not a name like example or www.example.com/feature-1")
    return text


def condition_type(text: str) -> str:
    """A condition that may be a gate of ours. Raises ValueError with a line for a person."""
    if text in KUBELETS:
        raise ValueError(f"{text} belongs to Kubernetes itself, which would write it back: use a type of your own")
    return qualified_name(text)


_OBJECT = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_CONTAINER = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")


def is_object_name(text: str) -> bool:
    """Of a pod or a workload: a DNS subdomain, and so never a way to another path."""
    return len(text) <= 253 and _OBJECT.match(text) is not None


def is_container_name(text: str) -> bool:
    """Also of a namespace: a DNS label."""
    return _CONTAINER.match(text) is not None
