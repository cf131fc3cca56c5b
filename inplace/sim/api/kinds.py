"""The kinds of object that the cluster knows, and what is special about each: one row per kind, read by everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Generation = Literal["none", "spec", "spec and annotations", "all but metadata"]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NAME_FIELDS = ("metadata.name", "metadata.namespace")
INVOLVED = tuple(
    f"involvedObject.{f}" for f in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)


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

STORED = (
    PODS, SERVICES, NODES, NAMESPACES, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, EVENTS, DEPLOYMENTS, REPLICA_SETS,
    STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS, ENDPOINT_SLICES, LEASES, POD_DISRUPTION_BUDGETS,
)  # fmt: skip
"""Every kind that has objects of its own; `NEW_EVENTS` is another way to look at `EVENTS`."""

REVIEWS = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", is_namespaced=False, verbs=("create",)
)

SERVED = tuple(sorted((*STORED, NEW_EVENTS, REVIEWS), key=lambda kind: (kind.group, kind.plural)))
"""In the order of discovery, and so of `kubectl get all`."""

BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in SERVED}
BY_KIND = {(kind.api_version, kind.kind): kind for kind in STORED}
