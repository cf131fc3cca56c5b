"""Warns a user before a run begins: of what it leaves out, what it cannot protect, and what may undo it.

Nothing here stops a run: `preflight.checks` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inplace.engine.availability.outages import outages, protected_services, services_sending_to, will_be_drained
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Caution
from inplace.engine.pods.drain import undrainable
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.proof import UNPROBED_SECONDS
from inplace.engine.pods.stages import restarted_containers
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.traffic import traffic_warnings
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.workloads.partitions import own_partition
from inplace.engine.workloads.wording import describe_strategy
from inplace.model.durations import format_duration
from inplace.model.images import is_mutable_tag
from inplace.model.run import Run


def run_warnings(snapshot: Snapshot, run: Run) -> tuple[Caution, ...]:
    return (
        *_outages(snapshot, run),
        *_all_at_once(snapshot, run),
        *_accepted_in_vain(snapshot, run),
        *traffic_warnings(snapshot, run),
        *_limits(snapshot, run),
        *_long_stops(snapshot, run),
        *_uncomputed(snapshot),
        *_synced_by(snapshot, run),
        *_images(snapshot, run),
        *_discovery(snapshot, run),
        *new_pods.cautions(snapshot, run.target, run.options.gate),
    )


def _outages(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns of outages that the run allows; the checks refuse the others."""
    for service, pod in outages(snapshot, run):
        text = f"Service {service} has no other endpoint than pod/{pod}: its requests fail while that restarts"
        yield Caution("LastEndpoint", text)


def _all_at_once(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns if all pods may be out of service at once, unless there is only one."""
    desired = strategy_for(snapshot).desired_replicas()
    if desired > 1 and workload.max_unavailable(snapshot, run) >= desired:
        drained = [facts for facts in snapshot.pods if will_be_drained(facts, run)]
        kept = {name for facts in drained for name in services_sending_to(facts, protected_services(snapshot.services, run))}
        names = ", ".join(sorted(kept))
        but = f"; each Service ({names}) keeps one endpoint all the same, which then has all its load" if kept else ""
        if kept and run.options.allow_outage:
            but = f", and requests to them ({names}) may fail meanwhile"
        yield Caution("AllAtOnce", f"all {desired} pods may be out of service at once (maxUnavailable){but}: allow fewer")


def _accepted_in_vain(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns of an accepted Service that does not exist or could be drained: accepting it only gives up waiting for it."""
    named = {service.metadata.name: service for service in snapshot.services}
    needed = {item.service for item in undrainable(snapshot.pods, snapshot.services, frozenset())}
    listed = {entry.service for facts in snapshot.pods for entry in facts.entries}
    for name in run.options.accept_undrainable:
        service = named.get(name)
        serves = service is not None and any(service.selects(facts.pod.metadata.labels) for facts in snapshot.pods)
        if name in needed or (service is not None and service.spec.publish_not_ready_addresses and serves):
            continue
        if service is None and name not in listed:
            why = f"there is no Service {name} in namespace {run.target.namespace}: --accept-undrainable {name} changes nothing"
        elif not serves and name not in listed:
            why = f"Service {name} sends to no pod of {run.target}: --accept-undrainable {name} changes nothing"
        else:
            why = f"Service {name} can be drained: --accept-undrainable {name} only gives up waiting for it. Leave it out"
        yield Caution("AcceptedInVain", why)


def _images(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    spec = workload.template_spec(snapshot)
    for name in sorted(run.images):
        container = spec.container(name) if spec is not None else None
        if spec is not None and spec.is_regular_init_container(name):
            text = f"{name} is an ordinary init container: its new image takes effect when the pod is next recreated"
            yield Caution("OrdinaryInitContainer", text)
        elif container is not None and container.readiness_probe is None and container.startup_probe is None:
            steady = f"{UNPROBED_SECONDS:.0f} seconds"
            text = f"container {name} has no readiness probe: it counts as ready once it has run for {steady}"
            yield Caution("NoReadinessProbe", text)
        if container is not None and container.may_restart_all:
            # A container that is stopped for an image change has not exited by itself: no rule applies (measured, 1.36.3).
            text = (
                f"container {name} has a rule that restarts all containers of its pod: its new image does not trigger that,"
                " but where that then exits by itself, the others restart with it, without preStop and grace period"
            )
            yield Caution("RestartsAllContainers", text)
    for name, image in sorted(run.images.items()):
        if is_mutable_tag(image):
            text = f"{image} ({name}) is a mutable tag: pods that start later may get other bytes; prefer a version or a digest"
            yield Caution("MutableTag", text)


def _discovery(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    accepted = set(run.options.accept_undrainable)
    for service in snapshot.services:
        if service.spec.publish_not_ready_addresses and any(service.selects(f.pod.metadata.labels) for f in snapshot.pods):
            how = "accepted" if service.metadata.name in accepted else "headless, for peer discovery"
            text = f"Service {service.metadata.name} has publishNotReadyAddresses ({how}): it is not waited for"
            yield Caution("PublishNotReadyAddresses", text)


def _limits(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns of pods that the run leaves out or restarts without a drain."""
    behind = len(strategy_for(snapshot).pods_kept_back(run))
    if behind:
        partition = own_partition(run)
        whole = f"`inplace upgrade {run.target}` without images brings them along later"
        text = f"{behind} pods stay as they are, behind the workload's own partition {partition}: {whole}"
        yield Caution("KeptByPartition", text)
    if not run.options.without_gate:
        return
    count = count_ungated(snapshot.pods, run)
    if count:
        yield Caution(
            "NotDrained",
            f"{count} of {len(snapshot.pods)} pods have no gate {run.options.gate} and are restarted without a drain: only"
            f" preStop and the grace period protect their requests. To drain them in the future,"
            f" {add_gate_hint(run.options.gate)}",
        )
    else:
        yield Caution("NothingWithoutGate", "every pod has the gate, so all are drained: --without-gate changes nothing")


LONG_GRACE_SECONDS = 60


def _long_stops(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns of a long grace period: the restart timeout begins only when the old containers have ended."""
    spec = workload.template_spec(snapshot)
    grace = spec.termination_grace_period_seconds if spec is not None else None
    if grace is not None and grace > LONG_GRACE_SECONDS and any(restarted_containers(f.pod, run.images) for f in snapshot.pods):
        yield Caution(
            "LongGracePeriod",
            f"a container may take up to {format_duration(grace)} to stop (terminationGracePeriodSeconds), and its pod is"
            " out of service meanwhile: the restart timeout begins only then",
        )


def leftover_strategy_warning(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    if strategy_for(snapshot).describe_hold(run) and run.saved_strategy is not None:
        text = (
            f"the updateStrategy of {run.target} was left so by a run; at the end it is {describe_strategy(run.saved_strategy)}"
        )
        yield Caution("StrategyLeftByRun", text)


def _uncomputed(snapshot: Snapshot) -> Iterator[Caution]:
    """Warns of budgets that their controller cannot compute: for a DaemonSet's pods, all but an integer minAvailable. They
    never allow an eviction, so honouring them would block every upgrade; maxUnavailable still applies."""
    for budget in snapshot.budgets:
        if budget.sync_failure and any(budget.selects(f.pod.metadata.labels) for f in snapshot.pods):
            counted = "as it was computed last" if budget.status.desired_healthy else "as no limit besides maxUnavailable"
            text = (
                f"PodDisruptionBudget {budget.metadata.name} cannot be computed ({budget.sync_failure}): it is taken {counted}"
            )
            yield Caution("BudgetNotComputed", text)


_SYNCERS = (
    ("Argo CD", "annotations", "argocd.argoproj.io/tracking-id"),
    ("Argo CD", "labels", "argocd.argoproj.io/instance"),
    ("Flux", "labels", "kustomize.toolkit.fluxcd.io/name"),
    ("Flux", "labels", "helm.toolkit.fluxcd.io/name"),
    ("Helm", "annotations", "meta.helm.sh/release-name"),
)


def _synced_by(snapshot: Snapshot, run: Run) -> Iterator[Caution]:
    """Warns of a tool that would restore its own images by recreating the pods."""
    target_workload = snapshot.target.workload
    if target_workload is None or run.adopts_template:  # then the images come from there
        return
    for tool, kind, key in _SYNCERS:
        name = target_workload.metadata.annotation(key) if kind == "annotations" else target_workload.metadata.label(key)
        if name:
            act = "its next sync" if tool != "Helm" else "the next `helm upgrade`"
            yield Caution(
                "ManagedElsewhere",
                f"{run.target} is managed by {tool} ({name}): change the images there as well, or {act} sets the old ones"
                " again and recreates the pods",
            )
            return


def count_ungated(pods: Iterable[ObservedPod], run: Run) -> int:
    """Counts the pods that are restarted without a drain, since they have no gate and the run allows that."""
    return sum(gate_state(f.pod, run.options.gate) == "Absent" for f in pods) if run.options.without_gate else 0


def add_gate_hint(gate: str) -> str:
    return (
        "see that somebody opens it on new pods (the controller, or `inplace gate run`, which you keep running), and then add"
        f" `readinessGates: [{{conditionType: {gate}}}]` to the pod template's spec (gates cannot be added to living pods, so"
        " this recreates them once)"
    )
