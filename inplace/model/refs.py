"""References to objects in the cluster: a pod at one of its versions, and the target of a run."""

from __future__ import annotations

from typing import Literal

import msgspec

WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]
TargetKind = Literal[WorkloadKind, "Pods"]
SHORT_NAMES: dict[WorkloadKind, str] = {"Deployment": "deploy", "StatefulSet": "sts", "DaemonSet": "ds", "ReplicaSet": "rs"}
"""kubectl's short name of each kind."""


class PodRef(msgspec.Struct, frozen=True):
    """A pod at the version that was assessed: uid and resourceVersion become the preconditions of an action."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class TargetRef(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a run upgrades: a workload by name, or bare pods by their names or by a label selector."""

    kind: TargetKind
    namespace: str
    name: str = ""
    pod_names: tuple[str, ...] = ()
    selector: str = ""

    def __str__(self) -> str:
        """Formats the target for messages: `deploy/web`, `pod/a pod/b` or `pods -l app=web`."""
        if self.kind == "Pods":
            return f"pods -l {self.selector}" if self.selector else " ".join(f"pod/{n}" for n in self.pod_names)
        return f"{SHORT_NAMES[self.kind]}/{self.name}"

    @property
    def cli_args(self) -> tuple[str, ...]:
        """The arguments that name this target on a command line."""
        if self.kind == "Pods":
            return ("pods", "-l", self.selector) if self.selector else tuple(f"pod/{name}" for name in self.pod_names)
        return (str(self),)
