"""Every name of ours that appears in a cluster, and references to objects there."""

from __future__ import annotations

from typing import Literal

import msgspec

GROUP = "inplace.dev"
ROLLOUT_VERSION = "v1alpha1"
ROLLOUT_KIND = "InPlaceRollout"
ROLLOUT_PLURAL = "inplacerollouts"
RECORD = "inplace.dev/upgrade"
HOLDS = "inplace.dev/holds"
RUN = "inplace.dev/run"
REQUEST = "inplace.dev/request"
HISTORY = "inplace.dev/history"
BY = "inplace.dev/by"
"""On an InPlaceRollout: who asked for it."""
FINALIZER = "inplace.dev/run"
DEFAULT_GATE = "inplace.dev/ready"
DEFAULT_LABEL = "inplace.dev/serve"
"""What the default gate follows."""
FIELD_MANAGER = "inplace"
MANAGED_BY = "app.kubernetes.io/managed-by=inplace"
"""The label of our Leases, as a selector."""

WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]
Kind = Literal[WorkloadKind, "Pods"]
SHORT: dict[WorkloadKind, str] = {"Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds", "ReplicaSet": "rs"}
"""As kubectl's users write them."""


class PodRef(msgspec.Struct, frozen=True):
    """A pod as it was judged: the preconditions travel with the action."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class TargetRef(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a run upgrades: a workload by name, or pods by names or by a label selector."""

    kind: Kind
    namespace: str
    name: str = ""
    pod_names: tuple[str, ...] = ()
    selector: str = ""

    def __str__(self) -> str:
        if self.kind == "Pods":
            return f"pods -l {self.selector}" if self.selector else " ".join(f"pod/{n}" for n in self.pod_names)
        return f"{SHORT[self.kind]}/{self.name}"

    @property
    def words(self) -> tuple[str, ...]:
        """The words that mean this target, for a command line."""
        if self.kind == "Pods":
            return ("pods", "-l", self.selector) if self.selector else tuple(f"pod/{name}" for name in self.pod_names)
        return (str(self),)
