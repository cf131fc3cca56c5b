"""Defines EndpointSlices and Services, which show what still sends traffic to a pod and what cannot be stopped."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.model.objects.meta import ApiStruct, ObjectMeta

SERVICE_NAME = "kubernetes.io/service-name"
SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
KUBERNETES_MANAGERS = frozenset({"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"})


class EndpointConditions(ApiStruct, frozen=True):
    """Conditions of an endpoint; a nil `ready` means true (discovery/v1)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointTargetRef(ApiStruct, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(ApiStruct, frozen=True):
    addresses: tuple[str, ...] | None = None
    conditions: EndpointConditions = EndpointConditions()
    target_ref: EndpointTargetRef | None = None

    @property
    def is_ready(self) -> bool:
        return self.conditions.ready is not False


class EndpointSlice(ApiStruct, frozen=True):
    metadata: ObjectMeta
    endpoints: tuple[Endpoint, ...] | None = None

    @property
    def service(self) -> str:
        return self.metadata.label(SERVICE_NAME) or ""

    @property
    def manager(self) -> str:
        return self.metadata.label(SLICE_MANAGED_BY) or ""


class ServiceSpec(ApiStruct, frozen=True):
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    publish_not_ready_addresses: bool = False
    internal_traffic_policy: str = "Cluster"
    external_traffic_policy: str = "Cluster"


class Service(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()

    @property
    def is_headless(self) -> bool:
        return self.spec.cluster_ip == "None"

    def selects(self, labels: Mapping[str, str] | None) -> bool:
        """Whether the Service selects these labels. Without a selector it selects nothing: its endpoints are managed
        elsewhere."""
        selector = self.spec.selector
        return bool(selector) and selector.items() <= (labels or {}).items()  # type: ignore[union-attr]
