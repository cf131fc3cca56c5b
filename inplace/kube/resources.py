"""The kinds of object that we speak about, each with its place in the API and the struct it is decoded into.

Kinds that we only refuse or name are decoded into `Named`: their metadata.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from inplace.kube.errors import Invalid
from inplace.model.constants import GROUP, ROLLOUT_KIND, ROLLOUT_PLURAL, ROLLOUT_VERSION
from inplace.model.objects.coordination import Lease
from inplace.model.objects.events import Event
from inplace.model.objects.meta import ApiStruct, HasMetadata, ObjectMeta
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.objects.workloads import ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet
from inplace.model.refs import WorkloadKind
from inplace.model.rollout import InPlaceRollout

T = TypeVar("T", bound=HasMetadata)


class PartialObjectMetadata(ApiStruct, frozen=True):
    """Any object of which we read the metadata only."""

    metadata: ObjectMeta


class Resource(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`version` is that of the API group; `type` is what objects are decoded into."""

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    type: type[T]
    short_names: tuple[str, ...] = ()
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The percent-encoded URL path. Without a namespace: of all namespaces. Raises `Invalid` for a name that would lead
        elsewhere: the API server decodes `%2F` before it resolves the path (measured)."""
        for part in (namespace or "", name):
            if "/" in part or part in (".", ".."):
                raise Invalid(f"{part!r} is no name of a Kubernetes object")
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = ["namespaces", namespace] if self.is_namespaced and namespace else []
        parts = [*scope, self.plural, *([name] if name else []), *([subresource] if subresource else [])]
        return "/".join([root, *(quote(part, safe="") for part in parts)])

    def matches(self, word: str) -> bool:
        """Whether a person means this kind by `word`: `deploy`, `Deployment`, `deployments.apps`."""
        name, _, group = word.lower().partition(".")
        words = (self.plural, self.singular, self.kind.lower(), *self.short_names)
        return name in words and group in ("", self.group, f"{self.version}.{self.group}")


class NodeInfo(ApiStruct, frozen=True):
    kubelet_version: str = ""


class NodeStatus(ApiStruct, frozen=True):
    node_info: NodeInfo = NodeInfo()


class Node(ApiStruct, frozen=True):
    """Read where that is allowed, only to report its kubelet's version."""

    metadata: ObjectMeta
    status: NodeStatus = NodeStatus()


PODS = Resource(group="", version="v1", plural="pods", kind="Pod", singular="pod", short_names=("po",), type=Pod)
NODES = Resource(
    group="", version="v1", plural="nodes", kind="Node", singular="node", short_names=("no",), type=Node, is_namespaced=False
)
SERVICES = Resource(
    group="", version="v1", plural="services", kind="Service", singular="service", short_names=("svc",), type=Service
)
NAMESPACES = Resource(
    group="",
    version="v1",
    plural="namespaces",
    kind="Namespace",
    singular="namespace",
    short_names=("ns",),
    type=PartialObjectMetadata,
    is_namespaced=False,
)
ENDPOINT_SLICES = Resource(
    group="discovery.k8s.io",
    version="v1",
    plural="endpointslices",
    kind="EndpointSlice",
    singular="endpointslice",
    type=EndpointSlice,
)
POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    version="v1",
    plural="poddisruptionbudgets",
    kind="PodDisruptionBudget",
    singular="poddisruptionbudget",
    short_names=("pdb",),
    type=PodDisruptionBudget,
)
EVENTS = Resource(
    group="events.k8s.io", version="v1", plural="events", kind="Event", singular="event", short_names=("ev",), type=Event
)
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease", singular="lease", type=Lease)
DEPLOYMENTS = Resource(
    group="apps",
    version="v1",
    plural="deployments",
    kind="Deployment",
    singular="deployment",
    short_names=("deploy",),
    type=Deployment,
)
REPLICA_SETS = Resource(
    group="apps",
    version="v1",
    plural="replicasets",
    kind="ReplicaSet",
    singular="replicaset",
    short_names=("rs",),
    type=ReplicaSet,
)
STATEFUL_SETS = Resource(
    group="apps",
    version="v1",
    plural="statefulsets",
    kind="StatefulSet",
    singular="statefulset",
    short_names=("sts",),
    type=StatefulSet,
)
DAEMON_SETS = Resource(
    group="apps",
    version="v1",
    plural="daemonsets",
    kind="DaemonSet",
    singular="daemonset",
    short_names=("ds",),
    type=DaemonSet,
)
CONTROLLER_REVISIONS = Resource(
    group="apps",
    version="v1",
    plural="controllerrevisions",
    kind="ControllerRevision",
    singular="controllerrevision",
    type=ControllerRevision,
)
WORKLOADS: dict[WorkloadKind, Resource[Any]] = {
    "Deployment": DEPLOYMENTS,
    "StatefulSet": STATEFUL_SETS,
    "DaemonSet": DAEMON_SETS,
    "ReplicaSet": REPLICA_SETS,
}
INPLACE_ROLLOUTS = Resource(
    group=GROUP,
    version=ROLLOUT_VERSION,
    plural=ROLLOUT_PLURAL,
    kind=ROLLOUT_KIND,
    singular="inplacerollout",
    short_names=("ipr",),
    type=InPlaceRollout,
)
JOBS = Resource(group="batch", version="v1", plural="jobs", kind="Job", singular="job", type=PartialObjectMetadata)
