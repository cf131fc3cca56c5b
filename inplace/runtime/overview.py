"""How a target and its run stand, for people who only look: a few reads, no watch, no lock, no write.

A stage here is judged on one glance, without the evidence that only a running process gathers; whether a holder lives is told
by the age of its last renewal on this machine's clock, which is a hint and decides nothing (design, section 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from inplace.engine.drain import index_of
from inplace.engine.fields import wrote_strategy
from inplace.engine.history import Entry, revisions, told
from inplace.engine.observed import Observed, PodFacts, PodsTarget, Target, facts_of
from inplace.engine.plan import Spec, within
from inplace.engine.planner import rules_of
from inplace.engine.repair import of_a_lost_run, own_strategy
from inplace.engine.resume import overtaken
from inplace.engine.stages import GateState, gate_of, judge
from inplace.engine.standing import standing
from inplace.engine.steps import describe
from inplace.engine.target import workload_of
from inplace.kube.api import Api
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import (
    CONTROLLER_REVISIONS,
    ENDPOINT_SLICES,
    LEASES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    WORKLOADS,
    Resource,
)
from inplace.model.history import Past
from inplace.model.meta import Object
from inplace.model.names import DEFAULT_GATE, FIELD_MANAGER, MANAGED_BY, TargetRef
from inplace.model.pods import Pod
from inplace.model.policy import Lease
from inplace.model.record import BadRecord, Record, holds_of, told_holds
from inplace.model.run import Run, lease_name
from inplace.model.workloads import DaemonSet, StatefulSet
from inplace.runtime.found import Found, find
from inplace.runtime.lock import LEASE_SECONDS, LeaderRef, history_of, leader_of, request_of, run_of
from inplace.runtime.observer import target_of

T = TypeVar("T", bound=Object)


class PodState(msgspec.Struct, frozen=True, rename="camel"):
    """`stage` is empty where there is no run; `closed_by` is empty where the gate is not closed."""

    name: str
    uid: str
    node: str
    ready: bool
    gate: GateState
    stage: str
    reason: str
    images: dict[str, str]
    closed_by: str


class RunState(msgspec.Struct, frozen=True, rename="camel"):
    """A Lease of ours. `problem`: its run cannot be read. `renewed_seconds_ago`: None where nobody holds it."""

    namespace: str
    lease: str
    holder: str
    renewed_seconds_ago: float | None
    request: str
    run: Run | None
    step: str = ""
    problem: str = ""

    @property
    def seems_alive(self) -> bool:
        return self.renewed_seconds_ago is not None and self.renewed_seconds_ago < LEASE_SECONDS


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


def overview(api: Api, target: TargetRef) -> Overview:
    """Raises `Refused` where the target does not exist, and `ApiError`."""
    found = find(api, target)
    state = state_of(api, target)
    run = state.run if state is not None else None
    observed = _observed(api, target, found)
    stands = standing(observed, run) if run is not None else _of_a_lost_run(target, observed, found)
    pods = _pods(api, target, observed, run)
    return Overview(1, str(target), target.namespace, state, pods, stands, overtaken(run, observed) is not None)


def _of_a_lost_run(target: TargetRef, observed: Observed, found: Found) -> tuple[str, ...]:
    """What a run has left of which nothing is known any more."""
    workload = workload_of(observed)
    if not isinstance(workload, (StatefulSet, DaemonSet)):
        return ()
    managed = (entry for _, entries in found.managed for entry in entries)
    own = own_strategy(workload.spec.update_strategy, target.kind, wrote_strategy(managed, FIELD_MANAGER))
    return (of_a_lost_run(observed, own, target),) if own is not None else ()


def state_of(api: Api, target: TargetRef) -> RunState | None:
    """The target's Lease; None where it never had a run. Who may not read Leases is told so, and still sees the pods."""
    name = lease_name(target)
    try:
        return _state(api, api.get(LEASES, target.namespace, name), {})
    except NotFound:
        return None
    except Forbidden as error:
        return RunState(target.namespace, name, "", None, "", None, problem=str(error))


def runs(api: Api, namespace: str | None) -> list[RunState]:
    """Every Lease of ours, in one namespace or in all. Raises `ApiError`."""
    leaders: dict[str, float | None] = {}
    found = [_state(api, lease, leaders) for lease in api.list(LEASES, namespace, label_selector=MANAGED_BY).items]
    return sorted(found, key=lambda state: (state.namespace, state.lease))


def _state(api: Api, lease: Lease, leaders: dict[str, float | None]) -> RunState:
    """`leaders`: controllers by their holder name, with how long ago each was renewed, as far as it was looked up."""
    meta, holder = lease.metadata, lease.spec.holder_identity or ""
    run, problem = None, ""
    try:
        run = run_of(lease)
    except ValueError as error:
        problem = str(error)
    renewed = seconds_since(lease.spec.renew_time or "", api.clock.utcnow()) if holder else None
    leader = leader_of(holder)
    if leader is not None:
        if holder not in leaders:
            leaders[holder] = _leader_renewed(api, leader, renewed)
        renewed = leaders[holder]
    step = describe(run) if run is not None else ""
    return RunState(meta.namespace, meta.name, holder, renewed, request_of(lease) or "", run, step, problem)


def _leader_renewed(api: Api, leader: LeaderRef, otherwise: float | None) -> float | None:
    """A controller's runs live as long as its own Lease. Where that may not be read it is taken to live."""
    try:
        lease = api.get(LEASES, leader.namespace, leader.name)
    except NotFound:
        return otherwise
    except Forbidden:
        return 0.0
    if lease.spec.holder_identity != leader.identity:
        return otherwise
    return seconds_since(lease.spec.renew_time or "", api.clock.utcnow())


def seconds_since(timestamp: str, now: datetime) -> float | None:
    """How old a timestamp is by this machine's clock; None for what is no timestamp."""
    with suppress(ValueError):
        at = datetime.fromisoformat(timestamp)
        return max(0.0, (now - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds())
    return None


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
    known, problem = revisions(_target(api, target, found)[0]), ""
    runs: tuple[Past, ...] = ()
    try:
        runs = history_of(api.get(LEASES, target.namespace, lease_name(target)))
    except NotFound:
        pass
    except Forbidden as error:
        problem = str(error)
    return History(1, str(target), target.namespace, told(known, runs), problem)


def _pods(api: Api, target: TargetRef, observed: Observed, run: Run | None) -> tuple[PodState, ...]:
    if run is None:
        return tuple(_pod(facts, DEFAULT_GATE, "", "") for facts in observed.pods)
    rules = rules_of(observed, Spec(lease_name(target)), run, None)
    failures = {failure.uid: failure for failure in run.failures}
    shown = []
    for facts in observed.pods:
        judged = judge(facts, rules, None, api.clock.monotonic())
        failure = failures.get(facts.pod.uid)
        stage, reason = judged.stage, within(judged.reason, judged.at_most_seconds)
        if failure is not None:
            stage, reason = "Failed", f"{failure.reason}: {failure.message}"
        shown.append(_pod(facts, run.options.gate, stage, reason))
    return tuple(shown)


def _pod(facts: PodFacts, gate: str, stage: str, reason: str) -> PodState:
    pod = facts.pod
    state = gate_of(pod, gate)
    closed_by = _closed_by(facts) if state == "Closed" else ""
    return PodState(pod.name, pod.uid, pod.spec.node_name, pod.is_ready, state, stage, reason, pod.spec.images(), closed_by)


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
