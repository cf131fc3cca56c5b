"""Repairs what the Leases tell of: unfinished runs whose holder is dead, locks that are still held, runs of deleted targets."""

from __future__ import annotations

from typing import Literal

from inplace.engine.planning.plan import PlanContext
from inplace.engine.runs.leftovers import Leftovers, held_pods, leftovers
from inplace.kube.api import ApiClient
from inplace.kube.errors import Conflict, NotFound
from inplace.kube.protocols import MERGE
from inplace.kube.resources import LEASES, PODS, WORKLOADS
from inplace.model.objects.coordination import Lease
from inplace.model.run import TERMINAL_OUTCOMES, Run, lease_name
from inplace.runtime.foreground.session import Session
from inplace.runtime.lease.lock import run_from_lease
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.repair.context import RepairContext, describe_target, is_held


def repair_lease(context: RepairContext, lease: Lease) -> bool:
    """Returns whether the Lease still owns the pods that name it in their record: it holds an unfinished run. The holder of the
    Lease must be dead."""
    where = describe_target(lease)
    try:
        run = run_from_lease(lease)
    except ValueError as error:
        context.report("left", where, str(error))
        return True
    if run is None or _is_target_gone(context.api, run):
        why = "it holds no run" if run is None else f"{run.target} is gone"
        _write_lease(context, "delete", lease, f"delete Lease {lease.metadata.name}: {why}")
        return False
    if not run.is_unfinished:
        if is_held(lease):
            _write_lease(context, "free", lease, f"free the lock that {lease.spec.holder_identity} has left")
        return False
    _repair_run(context, lease, run, where)
    return True


def expected_leftovers(session: Session, run: Run) -> Leftovers:
    """What the run left, and what freeing it would do."""
    snapshot, now = session.view.look(run), session.view.api.clock.monotonic()
    return leftovers(snapshot, PlanContext(lease_name(run.target), frees_only=True), run, now)


def _is_target_gone(api: ApiClient, run: Run) -> bool:
    """Whether the workload, or every pod of bare pods, is gone."""
    target = run.target
    try:
        if target.kind != "Pods":
            workload = api.get(WORKLOADS[target.kind], target.namespace, target.name)
            is_another = bool(run.target_uid) and workload.metadata.uid != run.target_uid
            return is_another or workload.metadata.deletion_timestamp is not None
        if target.selector:
            return not api.list(PODS, target.namespace, label_selector=target.selector).items
        return not any(pod.name in target.pod_names for pod in api.list(PODS, target.namespace).items)
    except NotFound:
        return True


def _write_lease(context: RepairContext, what: Literal["delete", "free"], lease: Lease, text: str) -> None:
    meta = lease.metadata
    context.report("done", describe_target(lease), text)
    if context.dry_run:
        return
    try:
        if what == "delete":
            context.api.delete(LEASES, meta.namespace, meta.name, resource_version=meta.resource_version)
        else:
            body = {"metadata": {"resourceVersion": meta.resource_version}, "spec": {"holderIdentity": None}}
            context.api.patch(LEASES, meta.namespace, meta.name, body, MERGE)
    except (NotFound, Conflict):
        context.report("found", describe_target(lease), "it has changed meanwhile: left alone")


def _repair_run(context: RepairContext, lease: Lease, run: Run, where: str) -> None:
    """Frees what an unfinished run left whose holder is dead, or has released the lock."""

    def act(session: Session) -> None:
        expected = expected_leftovers(session, run)
        if expected.todo or is_held(lease):
            for text in expected.todo or ("end its run where it stands, and free its lock",):
                context.report("done", where, text)
            if not context.dry_run:
                _report_end(context, where, run, context.settle(session, lease, run))
        remaining = expected_leftovers(session, run)
        for text in remaining.stuck if context.dry_run else held_pods(session.view.look(run)):
            context.report("left", where, text)
        for text in remaining.undecided:
            context.report("found", where, text)

    context.in_session(run.target, where, act)


def _report_end(context: RepairContext, where: str, run: Run, ended: Summary) -> None:
    """Reports an end other than the expected one, which this command or another must still deal with."""
    stored = (
        run_from_lease(context.api.get(LEASES, run.target.namespace, lease_name(run.target)))
        if run.commit is not None
        else None
    )
    if stored is None or ended.outcome in TERMINAL_OUTCOMES:
        if ended.outcome == "Failed":
            context.report("found", where, ended.message)
    elif stored.commit is None and stored.rolling_back:
        way = f"`inplace abort {run.target}` takes its pods back, too"
        context.report("left", where, f"its commit was taken back instead: {stored.message}; {way}")
    else:
        context.report("left", where, f"its commit is not finished: {stored.message}")
