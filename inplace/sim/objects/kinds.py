"""The kinds of object that the cluster knows, and what is special about each: one row per kind, read by everything else.

Those below are built in; `Kinds` are what one cluster serves, with those that its CustomResourceDefinitions add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Generation = Literal["none", "spec", "spec and annotations", "all but metadata"]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NAME_FIELDS = ("metadata.name", "metadata.namespace")
INVOLVED = tuple(
    f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)


@dataclass
class Custom:
    """What a CustomResourceDefinition says of its kind beyond the names. It may change: the kind stays the same."""

    schema: dict[str, Any]
    columns: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Kind:
    """`generation`: what raises `metadata.generation`. `fields`: what a field selector may ask."""

    group: str
    version: str
    plural: str
    kind: str
    short_names: tuple[str, ...] = ()
    is_namespaced: bool = True
    in_all: bool = False
    has_status: bool = False
    has_scale: bool = False
    generation: Generation = "none"
    fields: tuple[str, ...] = NAME_FIELDS
    verbs: tuple[str, ...] = ALL_VERBS
    categories: tuple[str, ...] = ()
    custom: Custom | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    def __repr__(self) -> str:
        return self.plural


PODS = Kind(
    "", "v1", "pods", "Pod", ("po",), in_all=True, has_status=True, generation="spec",
    fields=(*NAME_FIELDS, "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
            "status.phase", "status.podIP", "status.nominatedNodeName"),
)  # fmt: skip
SERVICES = Kind(
    "",
    "v1",
    "services",
    "Service",
    ("svc",),
    in_all=True,
    has_status=True,
    fields=(*NAME_FIELDS, "spec.clusterIP", "spec.type"),
)
NODES = Kind(
    "", "v1", "nodes", "Node", ("no",), is_namespaced=False, has_status=True, fields=("metadata.name", "spec.unschedulable")
)
NAMESPACES = Kind(
    "", "v1", "namespaces", "Namespace", ("ns",), is_namespaced=False, has_status=True, fields=("metadata.name", "status.phase")
)
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", ("cm",))
SECRETS = Kind("", "v1", "secrets", "Secret", fields=(*NAME_FIELDS, "type"))
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount", ("sa",))
RESOURCE_QUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota", ("quota",), has_status=True)
EVENTS = Kind(
    "", "v1", "events", "Event", ("ev",), fields=(*NAME_FIELDS, *INVOLVED, "reason", "source", "type", "reportingComponent")
)
NEW_EVENTS = Kind(
    "events.k8s.io", "v1", "events", "Event", ("ev",),
    fields=(
        *NAME_FIELDS, *(f.replace("involvedObject", "regarding") for f in INVOLVED), "reason", "type", "reportingController",
    ),
)  # fmt: skip
DEPLOYMENTS = Kind(
    "apps", "v1", "deployments", "Deployment", ("deploy",), in_all=True, has_status=True, has_scale=True,
    generation="spec and annotations",
)  # fmt: skip
REPLICA_SETS = Kind(
    "apps", "v1", "replicasets", "ReplicaSet", ("rs",), in_all=True, has_status=True, has_scale=True, generation="spec",
    fields=(*NAME_FIELDS, "status.replicas"),
)  # fmt: skip
STATEFUL_SETS = Kind(
    "apps", "v1", "statefulsets", "StatefulSet", ("sts",), in_all=True, has_status=True, has_scale=True, generation="spec"
)
DAEMON_SETS = Kind("apps", "v1", "daemonsets", "DaemonSet", ("ds",), in_all=True, has_status=True, generation="spec")
CONTROLLER_REVISIONS = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", generation="all but metadata")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
POD_DISRUPTION_BUDGETS = Kind(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), has_status=True, generation="spec"
)

CUSTOM_RESOURCE_DEFINITIONS = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", ("crd", "crds"),
    is_namespaced=False, has_status=True, generation="spec", fields=("metadata.name",),
)  # fmt: skip

STORED = (
    PODS, SERVICES, NODES, NAMESPACES, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, RESOURCE_QUOTAS, EVENTS, DEPLOYMENTS,
    REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS, ENDPOINT_SLICES, LEASES, POD_DISRUPTION_BUDGETS,
    CUSTOM_RESOURCE_DEFINITIONS,
)  # fmt: skip
"""Every kind that has objects of its own; `NEW_EVENTS` is another way to look at `EVENTS`."""

REVIEWS = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", is_namespaced=False, verbs=("create",)
)
WHOAMI = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", is_namespaced=False, verbs=("create",))


class Kinds:
    """What one cluster serves."""

    def __init__(self) -> None:
        self.stored: tuple[Kind, ...] = ()
        self.served: tuple[Kind, ...] = ()
        """In the order of discovery, and so of `kubectl get all`."""
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        self._now(STORED)

    def add(self, kind: Kind) -> None:
        self._now((*self.stored, kind))

    def drop(self, kind: Kind) -> None:
        self._now(tuple(other for other in self.stored if other is not kind))

    def at_path(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def called(self, api_version: str, kind: str) -> Kind | None:
        """Of those that have objects of their own."""
        return self._by_kind.get((api_version, kind))

    def _now(self, stored: tuple[Kind, ...]) -> None:
        self.stored = stored
        self.served = tuple(sorted((*stored, NEW_EVENTS, REVIEWS, WHOAMI), key=lambda kind: (kind.group, kind.plural)))
        self._by_path = {(kind.group, kind.version, kind.plural): kind for kind in self.served}
        self._by_kind = {(kind.api_version, kind.kind): kind for kind in stored}
