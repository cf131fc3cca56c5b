"""The status of a target and its run, for people who only read: a few reads, no watch, no lock, no write.

A stage here is estimated from one read, without the evidence that only a running process gathers (`engine.status.estimate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import PodProgress, Progress, within
from inplace.engine.pods.drain import index_slices
from inplace.engine.pods.gates import GateState, gate_state
from inplace.engine.preflight.new_pods import GateOutlook, gate_outlook
from inplace.engine.runs.history import HistoryEntry, merge_history, revisions
from inplace.engine.runs.leftovers import infer_owner_strategy, leftovers_without_run
from inplace.engine.runs.lifecycle import check_overtaken
from inplace.engine.snapshot import ObservedPod, PodsTarget, Snapshot, Target, observe_pod
from inplace.engine.status.estimate import estimate_pods, estimate_wait
from inplace.engine.status.midrun import describe_midrun
from inplace.engine.status.run_state import superseded_reason
from inplace.engine.workloads.managed_fields import owns_strategy
from inplace.kube.api import ApiClient
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import (
    CONTROLLER_REVISIONS,
    ENDPOINT_SLICES,
    LEASES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    WORKLOADS,
    Resource,
)
from inplace.model.constants import DEFAULT_GATE, FIELD_MANAGER
from inplace.model.history import PastRun
from inplace.model.objects.meta import HasMetadata
from inplace.model.objects.pods import Pod
from inplace.model.record import UnreadableRecord, UpgradeRecord, format_holds, read_holds
from inplace.model.refs import TargetRef
from inplace.model.run import Run, lease_name
from inplace.runtime.gates.openers import with_openers
from inplace.runtime.informers.snapshot_builder import make_target
from inplace.runtime.lease.lock import read_history, run_from_lease
from inplace.runtime.lease.run_states import RunState, current_time, read_run_state, with_standing
from inplace.runtime.lookup import ResolvedTarget, resolve_target

T = TypeVar("T", bound=HasMetadata)


class PodState(msgspec.Struct, frozen=True, rename="camel"):
    """`stage` is empty where there is no run, or the run has nothing more to do with the pod; `closed_by` where the gate is not
    closed."""

    name: str
    uid: str
    node: str
    ready: bool
    gate: GateState
    stage: str
    reason: str
    images: dict[str, str]
    closed_by: str
    seconds: float | None = None
    """How many seconds it has been in this stage, if that is known."""
    left_seconds: float | None = None
    """How many seconds what `reason` says still lasts, if it ends by itself."""
    at_most_seconds: float = 0.0
    """How many seconds it may take at most; 0: unknown."""
    owner: str = ""
    """The ReplicaSet or ControllerRevision to which it belongs; empty where there is none."""
    revision: int = 0
    """The number of that revision; 0 where it has none."""

    @property
    def words(self) -> str:
        return within(self.reason, self.at_most_seconds, self.seconds, self.left_seconds)


class Counts(msgspec.Struct, frozen=True, rename="camel"):
    """Numbers of pods: see `plan.Progress`."""

    desired: int
    updated: int
    restored: int
    ready: int
    in_flight: int
    unavailable: int
    failed: int


class TargetStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1."""

    v: int
    target: str
    namespace: str
    state: RunState | None
    pods: tuple[PodState, ...]
    standing: tuple[str, ...] = ()
    """In the middle of a run: what holds the pods back, and as what a pod that dies comes back."""
    is_overtaken: bool = False
    """Somebody else changed the workload during an unfinished run."""
    counts: Counts | None = None
    """None: there is no run."""
    waiting: str = ""
    """What the whole run waits for, other than its pods."""
    waiting_left_seconds: float | None = None
    """How many seconds that still lasts, if it ends by itself."""
    new_pods: GateOutlook | None = None
    """Who opens the gate of new pods, and which pods wait for that now; None: there is no gate."""


def read_status(api: ApiClient, target: TargetRef) -> TargetStatus:
    """Raises `RefusedError` where the target does not exist, and `ApiError`."""
    resolved = resolve_target(api, target)
    state = read_run_state(api, target)
    observed = _observed(api, target, resolved)
    gate = state.run.options.gate if state is not None and state.run is not None else DEFAULT_GATE
    new_pods = gate_outlook(with_openers(api, observed, target, gate), target, gate)
    shown = _of_target(api, target, resolved, observed, state)
    if new_pods is None:
        return shown
    pods = tuple(_waits(pod) if pod.name in new_pods.waiting else pod for pod in shown.pods)
    return msgspec.structs.replace(shown, pods=pods, new_pods=new_pods)


def _waits(pod: PodState) -> PodState:
    return msgspec.structs.replace(pod, reason="waits for somebody to open its gate")


def _of_target(
    api: ApiClient, target: TargetRef, resolved: ResolvedTarget, observed: Snapshot, state: RunState | None
) -> TargetStatus:
    if state is None or state.run is None:
        stands = _leftovers_without_run(target, observed, resolved) if state is None else ()
        pods = tuple(_pod(facts, observed.target, DEFAULT_GATE) for facts in observed.pods)
        return TargetStatus(1, str(target), target.namespace, state, pods, stands)
    return _of_run(api, target, observed, state, state.run)


def _of_run(api: ApiClient, target: TargetRef, observed: Snapshot, state: RunState, run: Run) -> TargetStatus:
    workload, at = observed.target.workload, current_time(api.clock)
    state = with_standing(state, workload.spec.template if workload is not None else None, at)
    is_overtaken = check_overtaken(run, observed) is not None
    shown = estimate_pods(observed, run, state.lease, at, held_since=state.held_since, superseded=bool(state.superseded))
    views = {pod.uid: pod for pod in shown.pods}
    waiting = Progress(0, 0, 0, 0, 0)
    if state.standing == "Running" and not is_overtaken:
        budgets = _if_allowed(lambda: api.list(POD_DISRUPTION_BUDGETS, target.namespace).items)
        seen = msgspec.structs.replace(observed, budgets=budgets)
        waiting = estimate_wait(seen, run, state.lease, at, state.held_since)
    progress = shown.progress
    return TargetStatus(
        v=1,
        target=str(target),
        namespace=target.namespace,
        state=state,
        pods=tuple(
            _pod(f, observed.target, run.options.gate, views[f.uid], shown.since.get(f.uid), at.now) for f in observed.pods
        ),
        standing=describe_midrun(observed, run),
        is_overtaken=is_overtaken,
        counts=Counts(
            desired=progress.desired,
            updated=progress.updated,
            restored=progress.restored,
            ready=progress.ready,
            in_flight=progress.in_flight,
            unavailable=progress.unavailable,
            failed=progress.failed,
        ),
        waiting=waiting.waiting,
        waiting_left_seconds=_left(waiting.until, at.now),
    )


def _left(until: float | None, now: float) -> float | None:
    return None if until is None else round(max(0.0, until - now), 1)


def _if_allowed(look: Callable[[], Iterable[T]]) -> tuple[T, ...]:
    try:
        return tuple(look())
    except Forbidden:
        return ()


def _leftovers_without_run(target: TargetRef, observed: Snapshot, resolved: ResolvedTarget) -> tuple[str, ...]:
    """What a run left of which nothing else is known."""
    strategy = strategy_for(observed).owner_settings(Run(id="", target=target, images={})).saved_strategy
    if strategy is None:
        return ()
    managed = (entry for _, entries in resolved.managed for entry in entries)
    own = infer_owner_strategy(strategy, target.kind, owns_strategy(managed, FIELD_MANAGER))
    return (leftovers_without_run(observed, own, target),) if own is not None else ()


class History(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1. `problem`: why our runs are unknown."""

    v: int
    target: str
    namespace: str
    items: tuple[HistoryEntry, ...]
    problem: str = ""


def history(api: ApiClient, target: TargetRef) -> History:
    """Raises `RefusedError` where the target does not exist, and `ApiError`."""
    resolved = resolve_target(api, target)
    current = _target(api, target, resolved)[0]
    problem, last, over, runs = "", "", "", tuple[PastRun, ...]()
    try:
        lease = api.get(LEASES, target.namespace, lease_name(target))
        runs, run, workload = read_history(lease), run_from_lease(lease), current.workload
        if run is not None and workload is not None:
            last, over = run.id, superseded_reason(run, workload.spec.template)
    except NotFound:
        pass
    except (Forbidden, ValueError) as error:
        problem = str(error)
    entries = merge_history(revisions(current), runs)
    marked = tuple(msgspec.structs.replace(e, superseded=over) if over and e.run == last else e for e in entries)
    return History(1, str(target), target.namespace, marked, problem)


def _pod(
    facts: ObservedPod, target: Target, gate: str, view: PodProgress | None = None, since: float | None = None, now: float = 0.0
) -> PodState:
    pod, lineage = facts.pod, strategy_for(Snapshot(target, ())).lineage(facts.pod)
    state = gate_state(pod, gate)
    return PodState(
        name=pod.name,
        uid=pod.uid,
        node=pod.spec.node_name,
        ready=pod.is_ready,
        gate=state,
        stage=view.stage if view is not None else "",
        reason=view.reason if view is not None else "",
        images=pod.spec.images(),
        closed_by=_closed_by(facts) if state == "Closed" else "",
        seconds=None if since is None else round(max(0.0, now - since), 1),
        left_seconds=_left(view.until, now) if view is not None else None,
        at_most_seconds=view.at_most_seconds if view is not None else 0.0,
        owner=lineage.owner,
        revision=lineage.revision,
    )


def _closed_by(facts: ObservedPod) -> str:
    """What keeps the gate closed, as far as it is written down."""
    held = format_holds(read_holds(facts.pod))
    holds = [held] if held else []
    match facts.record:
        case UpgradeRecord(run=run):
            holds.insert(0, f"upgrade {run}")
        case UnreadableRecord():
            holds.insert(0, "an unreadable record")
        case None:
            pass
    return ", ".join(holds) or "closed by hand"


def _observed(api: ApiClient, target: TargetRef, resolved: ResolvedTarget) -> Snapshot:
    workload, pods = _target(api, target, resolved)
    index = index_slices(api.list(ENDPOINT_SLICES, target.namespace).items)
    services = api.list(SERVICES, target.namespace).items
    facts = [observe_pod(pod, index.entries_of(pod)) for pod in sorted(pods, key=lambda pod: pod.name) if not pod.is_terminal]
    return Snapshot(workload, tuple(facts), services=services)


def _target(api: ApiClient, target: TargetRef, resolved: ResolvedTarget) -> tuple[Target, Iterable[Pod]]:
    namespace = target.namespace
    if target.kind == "Pods":
        if not target.pod_names:
            return PodsTarget(), api.list(PODS, namespace, label_selector=resolved.selector).items
        existing = {pod.name: pod for name in target.pod_names if (pod := _named(api, namespace, name)) is not None}
        return PodsTarget(tuple(name for name in target.pod_names if name not in existing)), existing.values()
    workload = api.get(WORKLOADS[target.kind], namespace, target.name)
    replica_sets = _owned(api, REPLICA_SETS, namespace, resolved) if target.kind == "Deployment" else ()
    has_revisions = target.kind in ("StatefulSet", "DaemonSet")
    revisions = _owned(api, CONTROLLER_REVISIONS, namespace, resolved) if has_revisions else ()
    owners = {rs.metadata.uid for rs in replica_sets} if target.kind == "Deployment" else {resolved.uid}
    return make_target(target.kind, workload, replica_sets, revisions), _owned_pods(api, target, resolved, owners)


def _owned(api: ApiClient, resource: Resource[T], namespace: str, resolved: ResolvedTarget) -> tuple[T, ...]:
    listed = api.list(resource, namespace, label_selector=resolved.selector).items
    return tuple(item for item in listed if item.metadata.owned_by(resolved.uid))


def _owned_pods(api: ApiClient, target: TargetRef, resolved: ResolvedTarget, owners: set[str]) -> list[Pod]:
    listed = api.list(PODS, target.namespace, label_selector=resolved.selector).items
    return [pod for pod in listed if (owner := pod.metadata.controller()) is not None and owner.uid in owners]


def _named(api: ApiClient, namespace: str, name: str) -> Pod | None:
    try:
        return api.get(PODS, namespace, name)
    except NotFound:
        return None
