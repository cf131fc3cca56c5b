"""Frees what runs without a living holder have left behind: closed gates, half-done commits, strategies, records, locks.

Always holds: whoever lives is left alone; that is told by its pulse within 15 s, as everywhere, and all are watched at once.
Every write to a pod or workload is decided by the planner, told to stop, under the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec

from inplace.engine.planning.plan import PlanContext
from inplace.engine.pods.gates import gate_closed_by_us
from inplace.engine.runs.leftovers import Leftovers, held_pods, infer_owner_strategy, leftovers
from inplace.engine.workloads.managed_fields import owns_strategy
from inplace.engine.workloads.wording import describe_strategy
from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError, Conflict, Forbidden, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import INPLACE_ROLLOUTS, LEASES, PODS, WORKLOADS
from inplace.model.constants import FIELD_MANAGER, MANAGED_BY_SELECTOR
from inplace.model.objects.coordination import Lease
from inplace.model.objects.pods import Pod
from inplace.model.record import UnreadableRecord, UpgradeRecord, read_record
from inplace.model.refs import TargetRef, WorkloadKind
from inplace.model.run import TERMINAL_OUTCOMES, Run, RunOptions, lease_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.finalizers import free, has_finalizer
from inplace.runtime.foreground.session import Session
from inplace.runtime.lease.lock import (
    LEASE_DURATION_SECONDS,
    Heartbeat,
    LockHeldError,
    LockLostError,
    read_heartbeat,
    run_from_lease,
)
from inplace.runtime.lookup import resolve_target
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.permissions import Purpose
from inplace.runtime.run.backend import RunBackend

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
"""For a pod without a run: how long its restart may take to be proven."""

_REVISIONED: tuple[Literal["StatefulSet"], Literal["DaemonSet"]] = ("StatefulSet", "DaemonSet")

Key = tuple[str, str]
"""Namespace and name."""


class RepairEvent(msgspec.Struct, frozen=True):
    """`about`: what was found, what is or would be done, and what is left closed without a living owner."""

    about: Literal["found", "done", "left"]
    where: str
    text: str


class Repair:
    """`told` gets each line as it happens. `driven` gets each session that writes."""

    def __init__(
        self,
        api: ApiClient,
        identity: str,
        told: Callable[[RepairEvent], None],
        driven: Callable[[Session], None],
        host: RunBackend | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        self._api = api
        self._identity = identity
        self._told = told
        self._driven = driven
        self._host = host
        self._dry_run = dry_run
        self._is_clean = True

    def repair(self, namespace: str | None, only: TargetRef | None) -> bool:
        """Whether nothing is left closed without a living owner. `namespace` None: all. Raises `ApiError`, `Refused`."""
        selector = resolve_target(self._api, only).selector if only is not None else ""
        leases, alive = self._watch(namespace, lease_name(only) if only is not None else "")
        owners = set(alive)
        for key, lease in leases.items():
            if key in alive:
                self._tell("found", _where(lease), f"{alive[key]}: left alone")
            elif self._of_lease(lease):
                owners.add(key)
        names = set(only.pod_names) if only is not None else set()
        self._orphans(namespace, selector, names, owners)
        self._lost_strategies(namespace, only, owners)
        self._kept_rollouts(namespace, only, set(alive))
        return self._is_clean

    def _watch(self, namespace: str | None, name: str) -> tuple[dict[Key, Lease], dict[Key, str]]:
        """The Leases of ours; and why, in words, some of their holders are alive, or may be."""
        clock, alive = self._api.clock, dict[Key, str]()
        latest = self._leases(namespace, name)
        first = self._pulses(latest, alive)
        ends_at, looked_at = clock.monotonic() + LEASE_DURATION_SECONDS, clock.monotonic()
        while looked_at < ends_at and any(_held(lease) and key not in alive for key, lease in latest.items()):
            clock.sleep(LOOK_SECONDS)
            looked_at, latest = clock.monotonic(), self._leases(namespace, name)
            for key, pulse in self._pulses(latest, alive).items():
                if first.get(key) != pulse:
                    alive[key] = f"{latest[key].spec.holder_identity} is at work"
        return latest, {key: why for key, why in alive.items() if key in latest and _held(latest[key])}

    def _pulses(self, leases: dict[Key, Lease], alive: dict[Key, str]) -> dict[Key, Heartbeat]:
        """Of those that are held and not known to be alive. Where nobody may look, it counts as alive."""
        pulses: dict[Key, Heartbeat] = {}
        for key, lease in leases.items():
            if _held(lease) and key not in alive:
                try:
                    pulses[key] = read_heartbeat(self._api, lease)
                except LockHeldError as unknown:
                    alive[key] = str(unknown)
        return pulses

    def _leases(self, namespace: str | None, name: str) -> dict[Key, Lease]:
        found = self._api.list(LEASES, namespace, label_selector=MANAGED_BY_SELECTOR).items
        return {(o.metadata.namespace, o.metadata.name): o for o in found if not name or o.metadata.name == name}

    def _of_lease(self, lease: Lease) -> bool:
        """Whether it still owns the pods that are recorded under it: it holds a run that is open."""
        where = _where(lease)
        try:
            run = run_from_lease(lease)
        except ValueError as error:
            self._tell("left", where, str(error))
            return True
        if run is None or self._is_gone(run):
            what = "it holds no run" if run is None else f"{run.target} is gone"
            self._on_lease("delete", lease, f"delete Lease {lease.metadata.name}: {what}")
            return False
        if not run.is_unfinished:
            if _held(lease):
                self._on_lease("free", lease, f"free the lock that {lease.spec.holder_identity} has left")
            return False
        self._of_run(lease, run, where)
        return True

    def _is_gone(self, run: Run) -> bool:
        """The target, or every pod of it."""
        target = run.target
        try:
            if target.kind != "Pods":
                found = self._api.get(WORKLOADS[target.kind], target.namespace, target.name)
                is_another = bool(run.target_uid) and found.metadata.uid != run.target_uid
                return is_another or found.metadata.deletion_timestamp is not None
            if target.selector:
                return not self._api.list(PODS, target.namespace, label_selector=target.selector).items
            return not any(pod.name in target.pod_names for pod in self._api.list(PODS, target.namespace).items)
        except NotFound:
            return True

    def _on_lease(self, what: Literal["delete", "free"], lease: Lease, text: str) -> None:
        meta = lease.metadata
        self._tell("done", _where(lease), text)
        if self._dry_run:
            return
        try:
            if what == "delete":
                self._api.delete(LEASES, meta.namespace, meta.name, resource_version=meta.resource_version)
            else:
                body = {"metadata": {"resourceVersion": meta.resource_version}, "spec": {"holderIdentity": None}}
                self._api.patch(LEASES, meta.namespace, meta.name, body, MERGE)
        except (NotFound, Conflict):
            self._tell("found", _where(lease), "it has changed meanwhile: left alone")

    def _of_run(self, lease: Lease, run: Run, where: str) -> None:
        """An open run whose holder is dead, or has let go."""

        def act(session: Session) -> None:
            found = self._foretold(session, run)
            if found.todo or _held(lease):
                for text in found.todo or ("end its run where it stands, and free its lock",):
                    self._tell("done", where, text)
                if not self._dry_run:
                    self._driven(session)
                    ended = session.settle_run(lease, run, frozenset(), lambda _frame: None)
                    self._tell_end(where, run, ended)
            found = self._foretold(session, run)
            for text in found.stuck if self._dry_run else held_pods(session.view.look(run)):
                self._tell("left", where, text)
            for text in found.undecided:
                self._tell("found", where, text)

        self._in_session(run.target, where, act)

    def _tell_end(self, where: str, run: Run, ended: Summary) -> None:
        """Where it has come to something else than what was foretold, that is still to be done, by this command or another."""
        now = (
            run_from_lease(self._api.get(LEASES, run.target.namespace, lease_name(run.target)))
            if run.commit is not None
            else None
        )
        if now is None or ended.outcome in TERMINAL_OUTCOMES:
            if ended.outcome == "Failed":
                self._tell("found", where, ended.message)
        elif now.commit is None and now.rolling_back:
            way = f"`inplace abort {run.target}` takes its pods back, too"
            self._tell("left", where, f"its commit was taken back instead: {now.message}; {way}")
        else:
            self._tell("left", where, f"its commit is not finished: {now.message}")

    def _foretold(self, session: Session, run: Run) -> Leftovers:
        observed, now = session.view.look(run), self._api.clock.monotonic()
        return leftovers(observed, PlanContext(lease_name(run.target), only_frees=True), run, now)

    def _orphans(self, namespace: str | None, selector: str, names: set[str], owners: set[Key]) -> None:
        """Recorded pods whose Lease is gone, or is over."""
        groups: dict[tuple[str, str], list[Pod]] = {}
        for pod in self._api.list(PODS, namespace, label_selector=selector).items:
            record = read_record(pod)
            if pod.is_terminating or record is None or (names and pod.name not in names):
                continue
            where = f"pod/{pod.name} in {pod.metadata.namespace}"
            match record:
                case UnreadableRecord(problem=problem):
                    self._tell("left", where, problem)
                case UpgradeRecord(lease=lease) if (pod.metadata.namespace, lease) in owners:
                    pass
                case UpgradeRecord(gate_before="Absent"):
                    groups.setdefault((pod.metadata.namespace, ""), []).append(pod)
                case UpgradeRecord():
                    gate = gate_closed_by_us(pod, record)
                    if gate:
                        groups.setdefault((pod.metadata.namespace, gate), []).append(pod)
                    else:
                        self._tell("left", where, "it carries a record, but no gate of it is closed by an upgrade")
        for (space, gate), pods in groups.items():
            self._free(space, gate, pods)

    def _free(self, namespace: str, gate: str, pods: list[Pod]) -> None:
        leases = frozenset(record.lease for pod in pods if isinstance(record := read_record(pod), UpgradeRecord))
        target = TargetRef("Pods", namespace, pod_names=tuple(pod.name for pod in pods))
        where = f"{target} in {namespace}"
        options = RunOptions(gate=gate, restart_timeout_seconds=PATIENCE_SECONDS, without_gate=not gate)
        run = Run(id=f"repair-{self._identity}"[:63], target=target, images={}, options=options, created_by=self._identity)

        def act(session: Session) -> None:
            found = leftovers(
                session.view.look(run),
                PlanContext(lease_name(target), dead_leases=leases, only_frees=True),
                run,
                self._api.clock.monotonic(),
            )
            for text in found.todo:
                self._tell("done", where, f"{text} (its run is gone)")
            if not self._dry_run:
                self._driven(session)
                session.settle_run(None, run, leases, lambda _frame: None)
                for text in held_pods(session.view.look(run)):
                    self._tell("left", where, text)

        self._in_session(target, where, act)

    def _lost_strategies(self, namespace: str | None, only: TargetRef | None, owners: set[Key]) -> None:
        """Of workloads that are held back by a run of which nothing is known any more."""
        for kind in _REVISIONED:
            if only is not None and only.kind != kind:
                continue
            with suppress(Forbidden):  # whoever has none of that kind may not be allowed to look
                for workload in self._api.list(WORKLOADS[kind], namespace).items:
                    meta = workload.metadata
                    target = TargetRef(kind, meta.namespace, name=meta.name)
                    is_asked_for = only is None or only.name == meta.name
                    if is_asked_for and meta.controller() is None and (meta.namespace, lease_name(target)) not in owners:
                        self._of_lost_run(kind, target, meta.uid, workload.spec.update_strategy)

    def _kept_rollouts(self, namespace: str | None, only: TargetRef | None, alive: set[Key]) -> None:
        """Those that cannot be deleted, since nobody is there to take our finalizer off. What it stood for is done by now."""
        with suppress(Forbidden, NotFound):  # without the controller there need be no such kind
            for rollout in self._api.list(INPLACE_ROLLOUTS, namespace).items:
                meta = rollout.metadata
                lease = lease_name(rollout.spec.target.ref(meta.namespace))
                is_asked_for = only is None or lease == lease_name(only)
                if not is_asked_for or not has_finalizer(rollout) or (meta.namespace, lease) in alive:
                    continue
                where = f"inplacerollout/{meta.name} in {meta.namespace}"
                if self._dry_run or free(self._api, rollout):
                    why = "so that it can be deleted: no controller is at work on it"
                    self._tell("done", where, f"take our finalizer off, {why}")
                else:
                    self._tell("found", where, "it has changed meanwhile: left alone")

    def _of_lost_run(self, kind: WorkloadKind, target: TargetRef, uid: str, strategy: dict[str, Any]) -> None:
        if infer_owner_strategy(strategy, kind, is_of_our_writing=True) is None:
            return
        managed = self._api.get_raw(WORKLOADS[kind], target.namespace, target.name)["metadata"].get("managedFields")
        own = infer_owner_strategy(strategy, kind, owns_strategy(managed or (), FIELD_MANAGER))
        if own is None:
            return
        run = Run(
            id=f"repair-{self._identity}"[:63],
            target=target,
            target_uid=uid,
            images={},
            saved_strategy=own,
            created_by=self._identity,
        )
        where = f"{target} in {target.namespace}"

        def act(session: Session) -> None:
            found = self._foretold(session, run)
            for text in found.todo:
                self._tell(
                    "done", where, f"{text}: to {describe_strategy(own)}, since its run is gone, and with it what it was"
                )
            if found.todo and not self._dry_run:
                self._driven(session)
                session.settle_run(None, run, frozenset(), lambda _frame: None)
            for text in found.undecided:
                self._tell("found", where, text)

        self._in_session(target, where, act)

    def _in_session(self, target: TargetRef, where: str, act: Callable[[Session], None]) -> None:
        """What goes wrong with one target is told, and the others have their turn."""
        purpose: Purpose = "look" if self._dry_run else "upgrade"
        said = lambda text: self._tell("found", where, text)  # noqa: E731
        try:
            with Session(self._api, target, self._identity, purpose, said, self._host) as session:
                act(session)
        except (RefusedError, LockHeldError, LockLostError, ApiError) as error:
            self._tell("left", where, str(error))

    def _tell(self, about: Literal["found", "done", "left"], where: str, text: str) -> None:
        self._is_clean = self._is_clean and about != "left"
        self._told(RepairEvent(about, where, text))


def _held(lease: Lease) -> bool:
    return bool(lease.spec.holder_identity)


def _where(lease: Lease) -> str:
    """For people: the target, or the Lease where that cannot be read."""
    with suppress(ValueError):
        run = run_from_lease(lease)
        if run is not None:
            return f"{run.target} in {lease.metadata.namespace}"
    return f"Lease {lease.metadata.name} in {lease.metadata.namespace}"
