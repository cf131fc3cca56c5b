"""Repairs what no Lease accounts for any more: recorded pods, held-back update strategies, and finalizers of rollouts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from inplace.engine.planning.plan import PlanContext
from inplace.engine.pods.gates import gate_closed_by_us
from inplace.engine.runs.leftovers import held_pods, infer_owner_strategy, leftovers
from inplace.engine.workloads.managed_fields import owns_strategy
from inplace.engine.workloads.wording import describe_strategy
from inplace.kube.errors import Forbidden, NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS, PODS, WORKLOADS
from inplace.model.constants import FIELD_MANAGER
from inplace.model.objects.pods import Pod
from inplace.model.record import UnreadableRecord, UpgradeRecord, read_record
from inplace.model.refs import TargetRef, WorkloadKind
from inplace.model.run import Run, RunOptions, lease_name
from inplace.runtime.finalizers import has_finalizer, remove_finalizer
from inplace.runtime.foreground.session import Session
from inplace.runtime.repair.context import Key, RepairContext
from inplace.runtime.repair.leases import expected_leftovers

RESTART_TIMEOUT_SECONDS = 60.0
"""How long the restart of a pod without a run may take to be proven."""

_REVISIONED: tuple[Literal["StatefulSet"], Literal["DaemonSet"]] = ("StatefulSet", "DaemonSet")


def repair_orphaned_pods(
    context: RepairContext, namespace: str | None, selector: str, names: set[str], owners: set[Key]
) -> None:
    """Frees recorded pods whose Lease is gone, or holds no unfinished run. `owners`: the Leases that do. `names` empty: all."""
    by_gate: dict[tuple[str, str], list[Pod]] = {}
    for pod in context.api.list(PODS, namespace, label_selector=selector).items:
        record = read_record(pod)
        if pod.is_terminating or record is None or (names and pod.name not in names):
            continue
        where = f"pod/{pod.name} in {pod.metadata.namespace}"
        match record:
            case UnreadableRecord(problem=problem):
                context.report("left", where, problem)
            case UpgradeRecord(lease=lease) if (pod.metadata.namespace, lease) in owners:
                pass
            case UpgradeRecord(gate_before="Absent"):
                by_gate.setdefault((pod.metadata.namespace, ""), []).append(pod)
            case UpgradeRecord():
                gate = gate_closed_by_us(pod, record)
                if gate:
                    by_gate.setdefault((pod.metadata.namespace, gate), []).append(pod)
                else:
                    context.report("left", where, "it carries a record, but no gate of it is closed by an upgrade")
    for (pods_namespace, gate), pods in by_gate.items():
        _free_pods(context, pods_namespace, gate, pods)


def _free_pods(context: RepairContext, namespace: str, gate: str, pods: list[Pod]) -> None:
    leases = frozenset(record.lease for pod in pods if isinstance(record := read_record(pod), UpgradeRecord))
    target = TargetRef("Pods", namespace, pod_names=tuple(pod.name for pod in pods))
    where = f"{target} in {namespace}"
    options = RunOptions(gate=gate, restart_timeout_seconds=RESTART_TIMEOUT_SECONDS, without_gate=not gate)
    run = Run(id=context.run_id, target=target, images={}, options=options, created_by=context.identity)

    def act(session: Session) -> None:
        expected = leftovers(
            session.view.look(run),
            PlanContext(lease_name(target), dead_leases=leases, frees_only=True),
            run,
            context.api.clock.monotonic(),
        )
        for text in expected.todo:
            context.report("done", where, f"{text} (its run is gone)")
        if not context.dry_run:
            context.settle(session, None, run, leases)
            for text in held_pods(session.view.look(run)):
                context.report("left", where, text)

    context.in_session(target, where, act)


def restore_lost_strategies(context: RepairContext, namespace: str | None, only: TargetRef | None, owners: set[Key]) -> None:
    """Restores the update strategy of workloads that a run holds back of which nothing else is known."""
    for kind in _REVISIONED:
        if only is not None and only.kind != kind:
            continue
        with suppress(Forbidden):  # a person without workloads of that kind may not be allowed to list them
            for workload in context.api.list(WORKLOADS[kind], namespace).items:
                meta = workload.metadata
                target = TargetRef(kind, meta.namespace, name=meta.name)
                is_selected = only is None or only.name == meta.name
                if is_selected and meta.controller() is None and (meta.namespace, lease_name(target)) not in owners:
                    _restore_strategy(context, kind, target, meta.uid, workload.spec.update_strategy)


def _restore_strategy(
    context: RepairContext, kind: WorkloadKind, target: TargetRef, uid: str, strategy: dict[str, Any]
) -> None:
    if infer_owner_strategy(strategy, kind, is_of_our_writing=True) is None:
        return
    managed = context.api.get_raw(WORKLOADS[kind], target.namespace, target.name)["metadata"].get("managedFields")
    original = infer_owner_strategy(strategy, kind, owns_strategy(managed or (), FIELD_MANAGER))
    if original is None:
        return
    run = Run(
        id=context.run_id,
        target=target,
        target_uid=uid,
        images={},
        saved_strategy=original,
        created_by=context.identity,
    )
    where = f"{target} in {target.namespace}"

    def act(session: Session) -> None:
        expected = expected_leftovers(session, run)
        for text in expected.todo:
            to = describe_strategy(original)
            context.report("done", where, f"{text}: to {to}, since its run is gone, and with it what it was")
        if expected.todo and not context.dry_run:
            context.settle(session, None, run)
        for text in expected.undecided:
            context.report("found", where, text)

    context.in_session(target, where, act)


def remove_stale_finalizers(context: RepairContext, namespace: str | None, only: TargetRef | None, alive: set[Key]) -> None:
    """Removes our finalizer from rollouts whose holder is dead, which could not be deleted otherwise. What the finalizer stood
    for is done by now."""
    with suppress(Forbidden, NotFound):  # without the controller the kind need not exist
        for rollout in context.api.list(INPLACE_ROLLOUTS, namespace).items:
            meta = rollout.metadata
            lease = lease_name(rollout.spec.target.ref(meta.namespace))
            is_selected = only is None or lease == lease_name(only)
            if not is_selected or not has_finalizer(rollout) or (meta.namespace, lease) in alive:
                continue
            where = f"inplacerollout/{meta.name} in {meta.namespace}"
            if context.dry_run or remove_finalizer(context.api, rollout):
                why = "so that it can be deleted: no controller is at work on it"
                context.report("done", where, f"take our finalizer off, {why}")
            else:
                context.report("found", where, "it has changed meanwhile: left alone")
