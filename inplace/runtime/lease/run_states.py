"""The runs as their Leases describe them, for people who only read: whether anyone drives a run, and what state it is in.

A holder counts as alive by the age of its last renewal on this machine's clock, which is a hint and decides nothing (design,
section 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from inplace.engine.planning.steps import describe
from inplace.engine.status.estimate import CurrentTime
from inplace.engine.status.run_state import StepView, describe_run_state, run_state, step_views, superseded_reason
from inplace.kube.api import ApiClient
from inplace.kube.clock import seconds_since
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.protocols import Clock
from inplace.kube.resources import LEASES, WORKLOADS
from inplace.model.constants import MANAGED_BY_SELECTOR
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import TERMINAL_OUTCOMES, Run, lease_name
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, LeaderRef, parse_leader, run_from_lease
from inplace.runtime.requests import read_request

Template = Mapping[str, Any]


class RunState(msgspec.Struct, frozen=True, rename="camel"):
    """One Lease of a target. `problem`: why its run cannot be read. `renewed_seconds_ago`: None where nobody holds it."""

    namespace: str
    lease: str
    holder: str
    renewed_seconds_ago: float | None
    request: str
    run: Run | None
    step: str = ""
    problem: str = ""
    standing: str = ""
    """How it stands, in one word: see `run_state.RunState`; Unreadable; Empty."""
    description: str = msgspec.field(name="told", default="")
    """The same in one line, with who and when."""
    superseded: str = ""
    """What a later rollout has made of the workload; empty: nothing."""
    held_since: str = ""
    steps: tuple[StepView, ...] = ()
    """All steps, if the run has several."""

    @property
    def seems_alive(self) -> bool:
        return self.renewed_seconds_ago is not None and self.renewed_seconds_ago < LEASE_DURATION_SECONDS


def current_time(clock: Clock) -> CurrentTime:
    return CurrentTime(clock.monotonic(), partial(seconds_since, now=clock.utcnow()))


def with_standing(state: RunState, template: Template | None, at: CurrentTime) -> RunState:
    """Adds how the run stands. `template`: the workload's, as it is now; None: unknown."""
    run = state.run
    if run is None:
        return msgspec.structs.replace(state, standing="Unreadable" if state.problem else "Empty", description=state.problem)
    superseded = superseded_reason(run, template)
    standing = run_state(run, is_held=bool(state.holder), is_alive=state.seems_alive, superseded=superseded)
    description = describe_run_state(run, standing, superseded, at)
    return msgspec.structs.replace(
        state, standing=standing, description=description, superseded=superseded, steps=step_views(run, at)
    )


def read_run_state(api: ApiClient, target: TargetRef) -> RunState | None:
    """The state in the target's Lease; None where it never had a run. Where Leases may not be read the state says so."""
    name = lease_name(target)
    try:
        return _state(api, api.get(LEASES, target.namespace, name), {})
    except NotFound:
        return None
    except Forbidden as error:
        return RunState(target.namespace, name, "", None, "", None, problem=str(error))


def list_run_states(api: ApiClient, namespace: str | None) -> list[RunState]:
    """The state in every Lease of a target, in one namespace or in all. Raises `ApiError`."""
    leaders: dict[str, float | None] = {}
    states = [_state(api, lease, leaders) for lease in api.list(LEASES, namespace, label_selector=MANAGED_BY_SELECTOR).items]
    templates, at = (
        _templates(api, namespace, (state.run for state in states if state.run is not None)),
        current_time(api.clock),
    )
    described = (with_standing(state, templates.get((state.namespace, state.lease)), at) for state in states)
    return sorted(described, key=lambda state: (state.namespace, state.lease))


def _templates(api: ApiClient, namespace: str | None, runs: Iterable[Run]) -> dict[tuple[str, str], Template]:
    """Templates of the workloads whose run has ended, by namespace and name of the Lease: one list per kind, where that is
    allowed."""
    templates: dict[tuple[str, str], Template] = {}
    kinds = {run.target.kind for run in runs if run.outcome in TERMINAL_OUTCOMES}
    for kind, resource in WORKLOADS.items():
        if kind not in kinds:
            continue
        with suppress(Forbidden):
            for workload in api.list(resource, namespace).items:
                meta = workload.metadata
                templates[(meta.namespace, lease_name(TargetRef(kind, meta.namespace, meta.name)))] = workload.spec.template
    return templates


def _state(api: ApiClient, lease: Lease, leaders: dict[str, float | None]) -> RunState:
    """`leaders`: controllers by their holder name, with how long ago each was renewed, as far as that was read already."""
    meta, holder = lease.metadata, lease.spec.holder_identity or ""
    run, problem = None, ""
    try:
        run = run_from_lease(lease)
    except ValueError as error:
        problem = str(error)
    renewed = seconds_since(lease.spec.renew_time or "", api.clock.utcnow()) if holder else None
    leader = parse_leader(holder)
    if leader is not None:
        if holder not in leaders:
            leaders[holder] = _leader_renewed(api, leader, renewed)
        renewed = leaders[holder]
    return RunState(
        namespace=meta.namespace,
        lease=meta.name,
        holder=holder,
        renewed_seconds_ago=renewed,
        request=read_request(lease) or "",
        run=run,
        step=describe(run) if run is not None else "",
        problem=problem,
        held_since=(lease.spec.acquire_time or "") if holder else "",
    )


def _leader_renewed(api: ApiClient, leader: LeaderRef, otherwise: float | None) -> float | None:
    """A controller's runs live as long as its own Lease. Where that may not be read it is assumed to live."""
    try:
        lease = api.get(LEASES, leader.namespace, leader.name)
    except NotFound:
        return otherwise
    except Forbidden:
        return 0.0
    if lease.spec.holder_identity != leader.identity:
        return otherwise
    return seconds_since(lease.spec.renew_time or "", api.clock.utcnow())
