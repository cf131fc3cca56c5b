"""How a target and its run stand, for people who only look: a few reads, no watch, no lock, no write.

A stage here is judged on one glance, without the evidence that only a running process gathers (`engine.glance`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from inplace.engine.account import superseded
from inplace.engine.drain import index_of
from inplace.engine.fields import wrote_strategy
from inplace.engine.glance import glance, waited_for
from inplace.engine.history import Entry, revisions, told
from inplace.engine.lineage import lineage_of
from inplace.engine.newpods import GateStand, stand
from inplace.engine.observed import Observed, PodFacts, PodsTarget, Target, facts_of
from inplace.engine.plan import PodView, Progress, within
from inplace.engine.repair import of_a_lost_run, own_strategy
from inplace.engine.resume import overtaken
from inplace.engine.stages import GateState, gate_of
from inplace.engine.standing import standing
from inplace.engine.target import workload_of
from inplace.kube.api import Api
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
from inplace.model.history import Past
from inplace.model.meta import Object
from inplace.model.names import DEFAULT_GATE, FIELD_MANAGER, TargetRef
from inplace.model.pods import Pod
from inplace.model.record import BadRecord, Record, holds_of, told_holds
from inplace.model.run import Run, lease_name
from inplace.model.workloads import DaemonSet, StatefulSet
from inplace.runtime.found import Found, find
from inplace.runtime.lock import history_of, run_of
from inplace.runtime.observer import target_of
from inplace.runtime.openers import with_openers
from inplace.runtime.runstates import RunState, instant_of, judged, state_of

T = TypeVar("T", bound=Object)


class PodState(msgspec.Struct, frozen=True, rename="camel"):
    """`stage` is empty where there is no run, or it has no more to say of the pod; `closed_by` where the gate is not closed."""

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
    """How long it has been in this stage, as far as anything tells."""
    left_seconds: float | None = None
    """How long what `reason` says still lasts, where that is over by itself."""
    at_most_seconds: float = 0.0
    """How long it may lawfully take; 0: nothing is known of that."""
    owner: str = ""
    """The ReplicaSet, or the ControllerRevision, that it is of; empty where there is none."""
    revision: int = 0
    """The number of that; 0 where it has none."""

    @property
    def words(self) -> str:
        return within(self.reason, self.at_most_seconds, self.seconds, self.left_seconds)


class Counts(msgspec.Struct, frozen=True, rename="camel"):
    """Of pods: see `plan.Progress`."""

    desired: int
    updated: int
    restored: int
    ready: int
    in_flight: int
    unavailable: int
    failed: int


class Overview(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1."""

    v: int
    target: str
    namespace: str
    state: RunState | None
    pods: tuple[PodState, ...]
    standing: tuple[str, ...] = ()
    """In the middle of a run: what holds the pods back, and what one that dies comes back as."""
    is_overtaken: bool = False
    """Somebody else has changed the workload under a run that is open."""
    counts: Counts | None = None
    """None: there is no run."""
    waiting: str = ""
    """What the whole run waits for, where it is not for its pods."""
    waiting_left_seconds: float | None = None
    """How long that still lasts, where it is over by itself."""
    new_pods: GateStand | None = None
    """Who opens the gate of new pods, and which pods wait for that now; None: there is no gate."""


def overview(api: Api, target: TargetRef) -> Overview:
    """Raises `Refused` where the target does not exist, and `ApiError`."""
    found = find(api, target)
    state = state_of(api, target)
    observed = _observed(api, target, found)
    gate = state.run.options.gate if state is not None and state.run is not None else DEFAULT_GATE
    new_pods = stand(with_openers(api, observed, target, gate), target, gate)
    shown = _of_target(api, target, found, observed, state)
    if new_pods is None:
        return shown
    pods = tuple(_waits(pod) if pod.name in new_pods.waiting else pod for pod in shown.pods)
    return msgspec.structs.replace(shown, pods=pods, new_pods=new_pods)


def _waits(pod: PodState) -> PodState:
    return msgspec.structs.replace(pod, reason="waits for somebody to open its gate")


def _of_target(api: Api, target: TargetRef, found: Found, observed: Observed, state: RunState | None) -> Overview:
    if state is None or state.run is None:
        stands = _of_a_lost_run(target, observed, found) if state is None else ()
        pods = tuple(_pod(facts, observed.target, DEFAULT_GATE) for facts in observed.pods)
        return Overview(1, str(target), target.namespace, state, pods, stands)
    return _of_run(api, target, observed, state, state.run)


def _of_run(api: Api, target: TargetRef, observed: Observed, state: RunState, run: Run) -> Overview:
    workload, at = workload_of(observed), instant_of(api.clock)
    state = judged(state, workload.spec.template if workload is not None else None, at)
    is_overtaken = overtaken(run, observed) is not None
    shown = glance(observed, run, state.lease, at, held_since=state.held_since, superseded=bool(state.superseded))
    views = {pod.uid: pod for pod in shown.pods}
    waiting = Progress(0, 0, 0, 0, 0)
    if state.standing == "Running" and not is_overtaken:
        budgets = _if_allowed(lambda: api.list(POD_DISRUPTION_BUDGETS, target.namespace).items)
        seen = msgspec.structs.replace(observed, budgets=budgets)
        waiting = waited_for(seen, run, state.lease, at, state.held_since)
    progress = shown.progress
    return Overview(
        v=1,
        target=str(target),
        namespace=target.namespace,
        state=state,
        pods=tuple(
            _pod(f, observed.target, run.options.gate, views[f.uid], shown.since.get(f.uid), at.now) for f in observed.pods
        ),
        standing=standing(observed, run),
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


def _of_a_lost_run(target: TargetRef, observed: Observed, found: Found) -> tuple[str, ...]:
    """What a run has left of which nothing is known any more."""
    workload = workload_of(observed)
    if not isinstance(workload, (StatefulSet, DaemonSet)):
        return ()
    managed = (entry for _, entries in found.managed for entry in entries)
    own = own_strategy(workload.spec.update_strategy, target.kind, wrote_strategy(managed, FIELD_MANAGER))
    return (of_a_lost_run(observed, own, target),) if own is not None else ()


class History(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1. `problem`: why nothing is known of our runs."""

    v: int
    target: str
    namespace: str
    items: tuple[Entry, ...]
    problem: str = ""


def history(api: Api, target: TargetRef) -> History:
    """Raises `Refused` where the target does not exist, and `ApiError`."""
    found = find(api, target)
    there = _target(api, target, found)[0]
    problem, last, over, runs = "", "", "", tuple[Past, ...]()
    try:
        lease = api.get(LEASES, target.namespace, lease_name(target))
        runs, run, workload = history_of(lease), run_of(lease), workload_of(Observed(there, ()))
        if run is not None and workload is not None:
            last, over = run.id, superseded(run, workload.spec.template)
    except NotFound:
        pass
    except (Forbidden, ValueError) as error:
        problem = str(error)
    entries = told(revisions(there), runs)
    marked = tuple(msgspec.structs.replace(e, superseded=over) if over and e.run == last else e for e in entries)
    return History(1, str(target), target.namespace, marked, problem)


def _pod(
    facts: PodFacts, target: Target, gate: str, view: PodView | None = None, since: float | None = None, now: float = 0.0
) -> PodState:
    pod, lineage = facts.pod, lineage_of(facts.pod, target)
    state = gate_of(pod, gate)
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


def _closed_by(facts: PodFacts) -> str:
    """Who keeps the gate closed, as far as it is written down."""
    told = told_holds(holds_of(facts.pod))
    holds = [told] if told else []
    match facts.record:
        case Record(run=run):
            holds.insert(0, f"upgrade {run}")
        case BadRecord():
            holds.insert(0, "an unreadable record")
        case None:
            pass
    return ", ".join(holds) or "closed by hand"


def _observed(api: Api, target: TargetRef, found: Found) -> Observed:
    workload, pods = _target(api, target, found)
    index = index_of(api.list(ENDPOINT_SLICES, target.namespace).items)
    services = api.list(SERVICES, target.namespace).items
    facts = [facts_of(pod, index.entries_of(pod)) for pod in sorted(pods, key=lambda pod: pod.name) if not pod.is_finished]
    return Observed(workload, tuple(facts), services=services)


def _target(api: Api, target: TargetRef, found: Found) -> tuple[Target, Iterable[Pod]]:
    namespace = target.namespace
    if target.kind == "Pods":
        if not target.pod_names:
            return PodsTarget(), api.list(PODS, namespace, label_selector=found.selector).items
        there = {pod.name: pod for name in target.pod_names if (pod := _named(api, namespace, name)) is not None}
        return PodsTarget(tuple(name for name in target.pod_names if name not in there)), there.values()
    workload = api.get(WORKLOADS[target.kind], namespace, target.name)
    replica_sets = _owned(api, REPLICA_SETS, namespace, found) if target.kind == "Deployment" else ()
    has_revisions = target.kind in ("StatefulSet", "DaemonSet")
    revisions = _owned(api, CONTROLLER_REVISIONS, namespace, found) if has_revisions else ()
    owners = {rs.metadata.uid for rs in replica_sets} if target.kind == "Deployment" else {found.uid}
    return target_of(target.kind, workload, replica_sets, revisions), _owned_pods(api, target, found, owners)


def _owned(api: Api, resource: Resource[T], namespace: str, found: Found) -> tuple[T, ...]:
    listed = api.list(resource, namespace, label_selector=found.selector).items
    return tuple(item for item in listed if item.metadata.owned_by(found.uid))


def _owned_pods(api: Api, target: TargetRef, found: Found, owners: set[str]) -> list[Pod]:
    listed = api.list(PODS, target.namespace, label_selector=found.selector).items
    return [pod for pod in listed if (owner := pod.metadata.controller()) is not None and owner.uid in owners]


def _named(api: Api, namespace: str, name: str) -> Pod | None:
    try:
        return api.get(PODS, namespace, name)
    except NotFound:
        return None
