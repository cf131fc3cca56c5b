"""Reports what an upgrade would do, pod by pod and in order of upgrade, and why it would leave pods alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from inplace.cli.output.text import images_text, plural
from inplace.engine.availability.budget import DisruptionBudgets, upgrade_order
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Caution, PlanContext
from inplace.engine.planning.planner import pod_policy
from inplace.engine.planning.steps import pods_for_step, step_label
from inplace.engine.pods.stages import PodAssessment, assess_pod, restarted_containers
from inplace.engine.preflight.advisories import count_ungated
from inplace.engine.preflight.checks import Accepted, UpToDate
from inplace.engine.snapshot import Snapshot
from inplace.model.run import PodsStep, Run, lease_name
from inplace.runtime.foreground.preview import Preview
from inplace.runtime.lease.lock import parse_leader


class PodPlan(msgspec.Struct, frozen=True, rename="camel"):
    """`action`: `upgrade`, `go on` (already begun) or `nothing`. `step` counts from 1; 0 means no step."""

    name: str
    uid: str
    node: str
    action: str = msgspec.field(name="does")
    step: int
    why: str


class ImageChange(msgspec.Struct, frozen=True, rename="camel"):
    container: str
    before: str
    after: str


class PlanReport(msgspec.Struct, frozen=True, rename="camel"):
    """Schema version 1. `first`: what would happen before the upgrade, in words; empty for nothing."""

    v: int
    target: str
    namespace: str
    changes: bool
    first: str
    images: tuple[ImageChange, ...]
    named: dict[str, str]
    """The requested images that admission renames."""
    pod_images: dict[str, str]
    """The images that admission gives pods, where they differ from the template's."""
    gate: str
    steps: tuple[str, ...]
    max_unavailable: int
    budget: str
    services: tuple[str, ...]
    undrained: int
    """How many pods have no gate and are restarted without a drain."""
    restarts: bool
    """False if only images of ordinary init containers change."""
    pods: tuple[PodPlan, ...]
    warnings: tuple[str, ...]
    cautions: tuple[Caution, ...]
    """The warnings, each with a reason in one word."""


def plan_report(
    preview: Preview,
    verdict: Accepted | UpToDate,
    now: float,
    more_warnings: tuple[Caution, ...] = (),
    *,
    by_controller: bool = False,
) -> PlanReport:
    """`by_controller`: the controller would drive the run."""
    run, observed = preview.run, preview.snapshot
    desired = strategy_for(observed).desired_replicas()
    cautions = (*(verdict.warnings if isinstance(verdict, Accepted) else ()), *more_warnings)
    return PlanReport(
        v=1,
        target=str(run.target),
        namespace=run.target.namespace,
        changes=isinstance(verdict, Accepted),
        first=_if_locked(preview, by_controller=by_controller) if preview.holder else _first(preview),
        images=tuple(ImageChange(name, run.from_images.get(name, ""), image) for name, image in sorted(run.images.items())),
        named=run.images_before_admission,
        pod_images=run.pod_images,
        gate=run.options.gate,
        steps=tuple(_step(step, desired) for step in run.options.steps),
        max_unavailable=min(workload.max_unavailable(observed, run), desired),
        budget=_budget(observed, run, desired),
        services=verdict.waited_for if isinstance(verdict, Accepted) else (),
        undrained=count_ungated(observed.pods, run),
        restarts=any(restarted_containers(facts.pod, run.images) for facts in observed.pods),
        pods=_pods(observed, run, desired, now),
        warnings=tuple(map(str, cautions)),
        cautions=cautions,
    )


def _if_locked(preview: Preview, *, by_controller: bool) -> str:
    """Says what would happen while the holder lives. A preview does not wait the 15 s that it takes to see whether it does."""
    busy, stored = f"is being upgraded by {preview.holder}", preview.stored_run
    if by_controller:
        return f"{busy}: starts when that run has ended"
    is_undone = preview.requested.operation == "Undo" and (stored is None or stored.operation != "Undo")
    if is_undone and parse_leader(preview.holder) is None:
        return f"{busy}: pauses that run, and takes over its pods"
    return f"{busy}: refused while that process is alive"


def _first(preview: Preview) -> str:
    run, requested = preview.run, preview.requested
    if not preview.is_resumed:
        return ""
    if run.commit is not None and requested.images and run.requested_images != requested.images:
        return f"first finishes the commit of {images_text(run.requested_images)}, which this plan shows"
    if run.id == requested.id:
        return "takes over the pods of the previous, unfinished run"
    if run.outcome == "Paused":
        return "its run is paused: resume it with `inplace resume`"
    begun = f" begun at {run.started_at}" if run.started_at else ""
    return f"goes on with the run{begun}{f' by {run.signature}' if run.created_by else ''}"


def _step(step: object, desired: int) -> str:
    match step:
        case PodsStep(amount=amount):
            return f"up to {amount} ({plural(pods_for_step(amount, desired), 'pod')})"
        case _:
            return step_label(step)  # type: ignore[arg-type]


def _budget(observed: Snapshot, run: Run, desired: int) -> str:
    strategy, requested = strategy_for(observed), run.options.max_unavailable
    limit = min(workload.max_unavailable(observed, run), desired)
    value = requested if requested is not None else strategy.own_max_unavailable(run)
    own = "its own maxUnavailable" if strategy.has_own_max_unavailable() else "the default"
    source = "--max-unavailable" if requested is not None else own
    return f"at most {limit} of {plural(desired, 'pod')} out of service at once ({source}, {value})"


def _pods(observed: Snapshot, run: Run, desired: int, now: float) -> tuple[PodPlan, ...]:
    rules = pod_policy(observed, PlanContext(lease_name(run.target)), run, None)
    assessed = [assess_pod(facts, rules, observed.evidence.get(facts.pod.uid), now) for facts in observed.pods]
    rest = [j for j in assessed if j.stage in ("Updated", "Gone", "Kept")]
    begun = [j for j in assessed if j.stage not in ("Updated", "Gone", "Kept", "Pending")]
    pending = upgrade_order((j for j in assessed if j.stage == "Pending"), observed)
    room = DisruptionBudgets(observed, desired, rules.ignored_services)
    shown = []
    for position, j in enumerate((*begun, *pending), start=1 + sum(j.stage == "Updated" for j in rest)):
        action = "upgrade" if j.stage == "Pending" else "go on"
        why = _why(j, room) if j.stage == "Pending" else f"{j.stage}: {j.reason}" if j.reason else j.stage
        shown.append(_pod_plan(j, action, _step_at(position, run, desired), why))
    for j in rest:
        shown.append(_pod_plan(j, "nothing", 0, j.reason or "already runs the images"))
    return tuple(shown)


def _pod_plan(j: PodAssessment, action: str, step: int, why: str) -> PodPlan:
    pod = j.facts.pod
    return PodPlan(pod.name, pod.uid, pod.spec.node_name, action, step, why)


def _step_at(position: int, run: Run, desired: int) -> int:
    """Returns the number of the step that upgrades the pod at this position; both count from 1."""
    for number, step in enumerate(run.options.steps, start=1):
        if isinstance(step, PodsStep) and pods_for_step(step.amount, desired) >= position:
            return number
    return len(run.options.steps)


def _why(j: PodAssessment, room: DisruptionBudgets) -> str:
    if not j.facts.pod.is_scheduled:
        return "has no node: only its image changes"
    if not j.facts.pod.is_ready:
        return "not Ready: goes first, and uses none of the budget"
    blocker = room.blocked_by(j.facts)
    if blocker is not None:
        return f"waits for PodDisruptionBudget {blocker}, which allows no disruption now"
    return ""


def headline(report: PlanReport, suffix: str = "") -> str:
    end = f" ({suffix})" if suffix else ""
    if not report.changes:
        if not report.images:
            return f"the pods of {report.target} in {report.namespace} run what its template says: nothing to do{end}"
        images = images_text({change.container: change.after for change in report.images})
        return f"{report.target} in {report.namespace} already runs {images}: nothing to do{end}"
    todo = sum(pod.action != "nothing" for pod in report.pods)
    act = "restarted in place" if report.restarts or not todo else "changed without a restart"
    return f"{report.target} in {report.namespace}: {todo} of {plural(len(report.pods), 'pod')} would be {act}{end}"


def details(report: PlanReport) -> Iterator[str]:
    for change in report.images:
        before = f"{change.before} -> " if change.before and change.before != change.after else ""
        yield f"  {change.container:<10} {before}{change.after}"
    if report.first:
        yield f"  {report.first}"
    if len(report.steps) > 1:
        yield f"  steps      {', '.join(report.steps)}"
    yield f"  budget     {report.budget}"
    if report.undrained == len(report.pods) and report.pods:
        yield "  waits for  nothing: the pods have no gate, so they are not drained"
        return
    services = (
        ", ".join(report.services) if report.services else "none: no Service to wait for lists these pods in an EndpointSlice"
    )
    yield f"  waits for  {'Services ' if report.services else ''}{services}"
    without = f"; {plural(report.undrained, 'pod')} without it, not drained" if report.undrained else ""
    yield f"  gate       {report.gate}{without}"
