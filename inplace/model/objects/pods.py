"""Defines pods with the fields that decide whether one may be restarted, and whether it was restarted."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from inplace.model.objects.meta import ApiStruct, ObjectMeta

_TIME = re.compile(r"T(\d\d):(\d\d):(\d\d)Z$")
"""The time of day in the format that kubelets write."""


class ReadinessGate(ApiStruct, frozen=True):
    condition_type: str


class Probe(ApiStruct, frozen=True):
    """A probe's presence and timing; its handler concerns only the kubelet."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    failure_threshold: int = 3


class ContainerPort(ApiStruct, frozen=True, gc=False):
    host_port: int = 0


class ContainerRestartRule(ApiStruct, frozen=True, gc=False):
    action: str = ""


class Container(ApiStruct, frozen=True):
    """`spec.containers[]` and `spec.initContainers[]`."""

    name: str
    image: str = ""
    image_pull_policy: str = ""
    ports: tuple[ContainerPort, ...] | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    liveness_probe: Probe | None = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] | None = None

    @property
    def may_restart_all(self) -> bool:
        """Whether one of its exits may restart every container of the pod (Kubernetes 1.36, beta)."""
        return any(rule.action == "RestartAllContainers" for rule in self.restart_policy_rules or ())


class PodSpec(ApiStruct, frozen=True):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] | None = None
    readiness_gates: tuple[ReadinessGate, ...] | None = None
    node_name: str = ""
    host_network: bool = False
    termination_grace_period_seconds: int | None = None

    def container(self, name: str) -> Container | None:
        return next((c for c in self.all_containers() if c.name == name), None)

    def all_containers(self) -> tuple[Container, ...]:
        return (self.init_containers or ()) + self.containers

    def images(self) -> dict[str, str]:
        return {c.name: c.image for c in self.all_containers()}

    def init_container_names(self) -> frozenset[str]:
        return frozenset(c.name for c in self.init_containers or ())

    def is_regular_init_container(self, name: str) -> bool:
        """Whether it is an init container that runs to completion before the others start, so not a sidecar (KEP-753)."""
        return any(c.name == name and c.restart_policy != "Always" for c in self.init_containers or ())

    def has_gate(self, condition_type: str) -> bool:
        return any(gate.condition_type == condition_type for gate in self.readiness_gates or ())


class PodCondition(ApiStruct, frozen=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int = 0


class StateWaiting(ApiStruct, frozen=True):
    reason: str = ""
    message: str = ""


class StateRunning(ApiStruct, frozen=True):
    started_at: str | None = None


class StateTerminated(ApiStruct, frozen=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None

    @property
    def ran_seconds(self) -> int:
        """How long it ran, in whole seconds modulo a day; 0 if either time is missing."""
        began, ended = _TIME.search(self.started_at or ""), _TIME.search(self.finished_at or "")
        if began is None or ended is None:
            return 0
        hours, minutes, seconds = (int(b) - int(a) for a, b in zip(began.groups(), ended.groups(), strict=True))
        return (hours * 3600 + minutes * 60 + seconds) % 86400


class ContainerState(ApiStruct, frozen=True):
    waiting: StateWaiting | None = None
    running: StateRunning | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(ApiStruct, frozen=True):
    name: str
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = msgspec.field(name="imageID", default="")
    container_id: str = msgspec.field(name="containerID", default="")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodIP(ApiStruct, frozen=True):
    ip: str = ""


class PodStatus(ApiStruct, frozen=True):
    phase: str = ""
    observed_generation: int = 0
    pod_ip: str = msgspec.field(name="podIP", default="")
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(name="podIPs", default=None)
    conditions: tuple[PodCondition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(ApiStruct, frozen=True):
    """A live pod: `metadata.uid` is never empty."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def uid(self) -> str:
        return self.metadata.uid

    @property
    def name(self) -> str:
        return self.metadata.name

    def condition(self, condition_type: str) -> PodCondition | None:
        return next((c for c in self.status.conditions or () if c.type == condition_type), None)

    def has_duplicate_condition(self, condition_type: str) -> bool:
        """Whether there are several conditions of this type; the kubelet honours the first."""
        return sum(c.type == condition_type for c in self.status.conditions or ()) > 1

    def condition_is_true(self, condition_type: str) -> bool:
        condition = self.condition(condition_type)
        return condition is not None and condition.status == "True"

    @property
    def is_ready(self) -> bool:
        return self.condition_is_true("Ready")

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def is_terminal(self) -> bool:
        """Whether it is Succeeded or Failed, as an evicted pod is, and never runs again."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def is_scheduled(self) -> bool:
        """Whether it has a node. Without one it has no containers, so nothing can be restarted."""
        return self.spec.node_name != ""

    @property
    def is_unschedulable(self) -> bool:
        """Whether the scheduler reported that it found no node or may not look for one. A new pod has no such report yet."""
        condition = self.condition("PodScheduled")
        return not self.is_scheduled and condition is not None and condition.status == "False"

    @property
    def is_observed(self) -> bool:
        """Whether its kubelet has seen the current spec. A kubelet older than 1.34 never reports that, so it is assumed."""
        return self.status.observed_generation >= self.metadata.generation or self.lacks_observed_generation

    @property
    def lacks_observed_generation(self) -> bool:
        """Whether a kubelet has reported containers but no generation, which means that it is older than 1.34."""
        return self.status.observed_generation == 0 and bool(self.status.container_statuses)

    def container_status(self, name: str) -> ContainerStatus | None:
        statuses = (self.status.container_statuses or ()) + (self.status.init_container_statuses or ())
        return next((s for s in statuses if s.name == name), None)

    def container_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the containerID by container name, empty if the container has none yet."""
        return {name: status.container_id if (status := self.container_status(name)) else "" for name in names}

    def ips(self) -> frozenset[str]:
        return frozenset(filter(None, (self.status.pod_ip, *(ip.ip for ip in self.status.pod_ips or ()))))
