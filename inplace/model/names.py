"""Every name of ours that appears in a cluster, and references to objects there."""

from __future__ import annotations

from typing import Literal

import msgspec

GROUP = "inplace.dev"
RECORD = "inplace.dev/upgrade"
HOLDS = "inplace.dev/holds"
RUN = "inplace.dev/run"
REQUEST = "inplace.dev/request"
DEFAULT_GATE = "inplace.dev/ready"
FIELD_MANAGER = "inplace"

Kind = Literal["Deployment", "ReplicaSet", "Pods"]


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
        match self.kind:
            case "Deployment":
                return f"deploy/{self.name}"
            case "ReplicaSet":
                return f"rs/{self.name}"
            case "Pods":
                return f"pods -l {self.selector}" if self.selector else " ".join(f"pod/{n}" for n in self.pod_names)
