"""Small builders of what the API server would show: no product logic, every default the dullest healthy thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from inplace.engine.planning.plan import PlanContext
from inplace.engine.pods.drain import index_slices
from inplace.engine.pods.goals import Goal
from inplace.engine.pods.stages import PodPolicy
from inplace.engine.snapshot import (
    DeploymentTarget,
    Evidence,
    ObservedPod,
    PodsTarget,
    ReplicaSetTarget,
    Snapshot,
    Target,
    observe_pod,
)
from inplace.model.constants import HOLDS_ANNOTATION, RECORD_ANNOTATION
from inplace.model.objects.meta import LabelSelector, ObjectMeta, OwnerReference
from inplace.model.objects.network import (
    SERVICE_NAME,
    SLICE_MANAGED_BY,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    Service,
    ServiceSpec,
)
from inplace.model.objects.network import EndpointTargetRef as EndpointRef
from inplace.model.objects.pods import (
    Container,
    ContainerState,
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    Probe,
    ReadinessGate,
    StateRunning,
    StateTerminated,
    StateWaiting,
)
from inplace.model.objects.policy import (
    DisruptionCondition,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
)
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH, Deployment, ReplicaSet
from inplace.model.record import PreviousContainer, UpgradeRecord, encode_record
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from tests.workloads import (
    DEPLOYMENT_UID as DEPLOYMENT_UID,
)
from tests.workloads import (
    GATE as GATE,
)
from tests.workloads import (
    LIVE_UID as LIVE_UID,
)
from tests.workloads import (
    NS as NS,
)
from tests.workloads import (
    OLD as OLD,
)
from tests.workloads import (
    daemon_set as daemon_set,
)
from tests.workloads import (
    deployment as deployment,
)
from tests.workloads import (
    partition as partition,
)
from tests.workloads import (
    replica_set as replica_set,
)
from tests.workloads import (
    revision as revision,
)
from tests.workloads import (
    stateful_set as stateful_set,
)
from tests.workloads import (
    template as template,
)

LEASE = "inplace-deployment-web"
NEW = {"app": "repo/app:2"}
SPEC = PlanContext(lease_name=LEASE, timestamp="2026-01-01T00:00:00Z")
REPLICA_SET = OwnerReference("ReplicaSet", "web-1", LIVE_UID, controller=True)
PROBE = Probe(period_seconds=1)


def container(name: str = "app", image: str = OLD["app"], **fields: Any) -> Container:
    return Container(name=name, image=image, **{"readiness_probe": PROBE, **fields})


def status(
    name: str = "app",
    id_: str = "c1",
    image: str = OLD["app"],
    image_id: str = "sha-1",
    waiting: str = "",
    terminated: bool = False,
    **fields: Any,
) -> ContainerStatus:
    if waiting:
        state = ContainerState(waiting=StateWaiting(waiting, f"{waiting} of {name}"))
    else:
        state = ContainerState(terminated=StateTerminated(1)) if terminated else ContainerState(running=StateRunning())
    up = not waiting and not terminated
    base: dict[str, Any] = {"ready": up, "started": up}
    return ContainerStatus(name=name, container_id=id_, image=image, image_id=image_id, state=state, **{**base, **fields})


def pod(
    name: str = "web-a",
    *,
    images: Mapping[str, str] = OLD,
    ready: bool = True,
    gate: str | None = "True",
    containers_ready: bool | None = None,
    record: UpgradeRecord | str | None = None,
    holds: str | None = None,
    version: int = 10,
    generation: int = 1,
    observed: int | None = None,
    node: str = "node-1",
    deleting: bool = False,
    containers: Iterable[Container] | None = None,
    statuses: Iterable[ContainerStatus] | None = None,
    sidecars: Iterable[Container] = (),
    gates: Iterable[str] = (GATE,),
    labels: Mapping[str, str] = {"app": "web"},
    annotations: Mapping[str, str] = {},
    owner: OwnerReference | None = REPLICA_SET,
    host_network: bool = False,
    ip: str = "",
    uid: str = "",
    phase: str = "Running",
    grace: int | None = 30,
    just_created: bool = False,
) -> Pod:
    """`gate=None`: the gate has no condition yet. Without a node it is one for which there is none, unless `just_created`."""
    notes = dict(annotations)
    if record is not None:
        notes[RECORD_ANNOTATION] = record if isinstance(record, str) else encode_record(record)
    if holds is not None:
        notes[HOLDS_ANNOTATION] = holds
    conditions = {"Ready": ready, "ContainersReady": ready if containers_ready is None else containers_ready}
    shown = [PodCondition(type=t, status=str(value)) for t, value in conditions.items()]
    if not node and not just_created:
        shown.append(PodCondition(type="PodScheduled", status="False", reason="Unschedulable"))
    if gate is not None:
        shown.append(PodCondition(type=GATE, status=gate))
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace=NS,
            uid=uid or f"uid-{name}",
            resource_version=str(version),
            generation=generation,
            labels=dict(labels),
            annotations=notes or None,
            deletion_timestamp="2026-01-01T00:00:00Z" if deleting else None,
            deletion_grace_period_seconds=grace if deleting else None,
            owner_references=(owner,) if owner else None,
        ),
        spec=PodSpec(
            containers=tuple(containers) if containers is not None else tuple(container(n, i) for n, i in images.items()),
            init_containers=tuple(sidecars) or None,
            readiness_gates=tuple(ReadinessGate(g) for g in gates) or None,
            node_name=node,
            host_network=host_network,
            termination_grace_period_seconds=grace,
        ),
        status=PodStatus(
            phase=phase,
            observed_generation=generation if observed is None else observed,
            pod_ip=ip,
            conditions=tuple(shown),
            container_statuses=tuple(statuses)
            if statuses is not None
            else tuple(status(n, image=i) for n, i in images.items()),
        ),
    )


def never_opened(name: str = "web-a", **fields: Any) -> Pod:
    """A new pod that could serve, whose gate nobody has opened yet."""
    return pod(name, **{"gate": None, "ready": False, "containers_ready": True, **fields})


def endpoint(uid: str = "", ready: bool | None = True, ip: str = "10.0.0.1", **conditions: bool) -> Endpoint:
    ref = EndpointRef(kind="Pod", name=uid.removeprefix("uid-"), uid=uid) if uid else None
    return Endpoint(addresses=(ip,), conditions=EndpointConditions(ready=ready, **conditions), target_ref=ref)


def slice_of(
    *endpoints: Endpoint, service: str = "web", version: int = 1, manager: str = "endpointslice-controller.k8s.io"
) -> EndpointSlice:
    labels = {SLICE_MANAGED_BY: manager, **({SERVICE_NAME: service} if service else {})}
    meta = ObjectMeta(name=f"{service}-x", namespace=NS, resource_version=str(version), labels=labels)
    return EndpointSlice(metadata=meta, endpoints=endpoints)


def facts(pod_: Pod, *slices: EndpointSlice) -> ObservedPod:
    return observe_pod(pod_, index_slices(slices).entries_of(pod_))


def in_service(pod_: Pod, ready: bool | None = None, version: int = 5) -> ObservedPod:
    """The pod, and one Service whose slice says the same as its Ready condition unless told."""
    says = pod_.is_ready if ready is None else ready
    return facts(pod_, slice_of(endpoint(pod_.uid, says), version=version))


def service(
    name: str = "web",
    *,
    headless: bool = False,
    publish: bool = False,
    selector: bool | Mapping[str, str] = True,
    annotations: Mapping[str, str] = {},
    **spec: Any,
) -> Service:
    chosen = {"app": "web"} if selector is True else dict(selector) if selector else None
    made = ServiceSpec(
        cluster_ip="None" if headless else "10.96.0.1", selector=chosen, publish_not_ready_addresses=publish, **spec
    )
    return Service(metadata=ObjectMeta(name=name, namespace=NS, annotations=dict(annotations) or None), spec=made)


def budget(
    name: str = "pdb", desired_healthy: int = 1, expected: int = 3, healthy: int = 3, app: str = "web", problem: str = ""
) -> PodDisruptionBudget:
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=name, namespace=NS),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": app})),
        status=PodDisruptionBudgetStatus(
            desired_healthy=desired_healthy,
            expected_pods=expected,
            current_healthy=healthy,
            conditions=(DisruptionCondition("SyncFailed", problem),) if problem else None,
        ),
    )


def of_revision(name: str, label: str, images: Mapping[str, str] = OLD, **fields: Any) -> ObservedPod:
    """A pod in service that carries this revision label."""
    return in_service(pod(name, images=images, labels={"app": "web", CONTROLLER_REVISION_HASH: label}, **fields))


def record(**fields: Any) -> UpgradeRecord:
    base: dict[str, Any] = {"run": "run-1", "lease": LEASE, "from_images": OLD, "to_images": NEW}
    return UpgradeRecord(**{**base, **fields})


def patched(id_: str = "c1", image_id: str = "sha-1", name: str = "app", **fields: Any) -> UpgradeRecord:
    """A record as the image patch leaves it."""
    was = PreviousContainer(container_id=id_, image_id=image_id, image=OLD.get(name, ""), restart_count=0)
    return record(before={name: was}, **fields)


def run(options: RunOptions | None = None, **fields: Any) -> Run:
    base: dict[str, Any] = {
        "id": "run-1",
        "target": TargetRef(kind="Deployment", namespace=NS, name="web"),
        "target_uid": DEPLOYMENT_UID,
        "images": NEW,
        "from_images": OLD,
        "options": options or RunOptions(),
    }
    return Run(**{**base, **fields})


def rules(**fields: Any) -> PodPolicy:
    base: dict[str, Any] = {
        "run_id": "run-1",
        "lease_name": LEASE,
        "gate": GATE,
        "goal": Goal(fields.pop("images", NEW)),
        "settle_seconds": 5.0,
        "drain_timeout_seconds": 60.0,
        "restart_timeout_seconds": 300.0,
        "min_ready_seconds": 0.0,
    }
    return PodPolicy(**{**base, **fields})


def calm(*pods: ObservedPod, since: float = 0.0) -> dict[str, Evidence]:
    """Evidence that every pod and its slices have long said the same."""
    return {f.pod.uid: Evidence(consistent_since=since) for f in pods}


def observed(*pods: ObservedPod, target: Target | None = None, **fields: Any) -> Snapshot:
    """A Deployment of just these pods, looked at long enough, unless told otherwise."""
    everything = DeploymentTarget(deployment(replicas=len(pods)), (replica_set(replicas=len(pods)),))
    return Snapshot(target=target or everything, pods=tuple(pods), **{"evidence": calm(*pods), **fields})


def next_set(**fields: Any) -> ReplicaSet:
    """Of the next revision of that Deployment, with the new images."""
    return replica_set(NEW, name="web-2", uid="uid-2", **fields)


def of_deployment(d: Deployment | None, *replica_sets: ReplicaSet) -> DeploymentTarget:
    return DeploymentTarget(d, replica_sets)


def of_replica_set(rs: ReplicaSet | None) -> ReplicaSetTarget:
    return ReplicaSetTarget(rs)


def of_pods(*missing: str) -> PodsTarget:
    return PodsTarget(missing)


def closed_evidence(*pods: ObservedPod, since: float = 0.0) -> dict[str, Evidence]:
    """Evidence that every slice was seen turning from these pods."""
    return {f.pod.uid: Evidence(quiet_since=since, saw_ready=True, saw_transition=True) for f in pods}
