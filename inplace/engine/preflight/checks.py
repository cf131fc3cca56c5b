"""Checks a run before its first write: refuses it, naming the object, the reason and the way out, or accepts it with warnings.

Pure, over the same snapshot that the planner sees: `plan` prints the verdict, `upgrade` obeys it. What depends on the kind of
workload is on its page in `engine.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from inplace.engine.availability.budget import allows_no_disruption
from inplace.engine.availability.outages import outages
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.kinds.strategy import WorkloadStrategy
from inplace.engine.planning.plan import Caution
from inplace.engine.pods.drain import services_not_awaited, undrainable
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.goals import goal_of
from inplace.engine.pods.stages import blind_kubelet
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.advisories import add_gate_hint, leftover_strategy_warning, run_warnings
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.workloads.revisions import revision_label
from inplace.model.images import accepts, image_problem
from inplace.model.record import UnreadableRecord, UpgradeRecord
from inplace.model.run import Run, encode_run

LARGEST_RUN_BYTES = 90 * 1024
"""It may double on its way (images that were asked for and are gone back from), and has its history beside it, in an annotation
of at most 256 KiB together."""


class Rejected(msgspec.Struct, frozen=True):
    """Nothing is written. One line: what, which object, why; and what to do next."""

    message: str
    node: str = ""
    """The node whose kubelet is too old, so that its version can be shown."""
    may_pass: bool = False
    """The target's own controller has yet to act on it, after which the verdict may be another one: worth waiting for."""


class UpToDate(msgspec.Struct, frozen=True):
    """Pods and template run these images already."""


class Accepted(msgspec.Struct, frozen=True):
    warnings: tuple[Caution, ...]
    waited_for: tuple[str, ...]
    """The Services whose EndpointSlices must let go of a pod."""


Verdict = Rejected | UpToDate | Accepted


def preflight(snapshot: Snapshot, run: Run, lease: str, resuming: bool) -> Verdict:
    """`resuming`: the run has begun before; then a half-done commit is no reason to refuse."""
    problem = next(iter(snapshot.unreadable), None)
    problem = problem or _target_problem(snapshot, run, resuming) or _pods_problem(snapshot, run, lease)
    if problem is None and not resuming and not _changes(snapshot, run):
        return UpToDate()
    if problem is None and not resuming:
        problem = _image_problem(run) or strategy_for(snapshot).revision_problem(run, _hang(snapshot, run))
    problem = problem or _budget_problem(snapshot, run) or _service_problem(snapshot, run) or _size_problem(run)
    if problem is None and not resuming:
        problem = _outage_problem(snapshot, run)
    if problem is not None:
        return Rejected(problem, may_pass=_is_unsettled(snapshot))
    old = _old_kubelet(snapshot, run)
    if old is not None:
        return old
    ignored = services_not_awaited(snapshot.services, run.options.accept_undrainable)
    drained = (f for f in snapshot.pods if gate_state(f.pod, run.options.gate) != "Absent")
    services = sorted({e.service for f in drained for e in f.entries if e.service and e.service not in ignored})
    left = () if resuming else leftover_strategy_warning(snapshot, run)
    return Accepted((*left, *run_warnings(snapshot, run)), tuple(services))


def current_images(snapshot: Snapshot, run: Run) -> dict[str, str]:
    """What the pods of the run ran before. The workload's template may be ahead of them: if it was paused, partitioned or
    OnDelete."""
    return strategy_for(snapshot).current_images(run)


def images_on_pods(snapshot: Snapshot, images: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """What the pods that do not run `images` run, where admission has given it another name than the template's."""
    found: dict[str, str] = {}
    for name in sorted(images):
        have = {facts.images[name] for facts in snapshot.pods if name in facts.images} - {images[name]}
        if len(have) == 1 and name in before:
            (image,) = have
            found |= {name: image} if image != before[name] and accepts(before[name], image) else {}
    return found


def pending_template_images(snapshot: Snapshot, run: Run) -> dict[str, str]:
    """The images of the template that the pods do not run yet: what `upgrade` without images brings them to."""
    spec, before = workload.template_spec(snapshot), current_images(snapshot, run)
    return {name: image for name, image in (spec.images() if spec else {}).items() if before.get(name) != image}


def _target_problem(snapshot: Snapshot, run: Run, resuming: bool) -> str | None:
    strategy = strategy_for(snapshot)
    if strategy.has_controller and snapshot.target.workload is None:
        return f"{run.target} does not exist in namespace {run.target.namespace}"
    if strategy.has_controller and workload.is_gone(snapshot):
        return f"{run.target} is being deleted"
    return strategy.problem(run, _hang(snapshot, run), resuming)


def _is_unsettled(snapshot: Snapshot) -> bool:
    """Whether the target is going away, is being rolled out, or has no revision yet, as right after it was applied."""
    strategy = strategy_for(snapshot)
    has_no_revision = strategy.has_history and snapshot.target.workload is not None and not strategy.revisions()
    return workload.is_gone(snapshot) or strategy.is_rolling_out() or has_no_revision


def _hang(snapshot: Snapshot, run: Run) -> str:
    return new_pods.hang_reason(snapshot, run.target, run.options.gate)


def _image_problem(run: Run) -> str | None:
    """Checks the images wherever they come from: a template, for instance, or a revision of the history."""
    for name, image in sorted(run.images.items()):
        if problem := image_problem(image):
            return f"{run.target} would get an image that no node can pull: {name}={image} {problem}"
    return None


def _pods_problem(snapshot: Snapshot, run: Run, lease: str) -> str | None:
    spec, gate = workload.template_spec(snapshot), run.options.gate
    if spec is None:
        return None
    unknown = sorted(name for name in run.images if spec.container(name) is None)
    if unknown:
        known = ", ".join(c.name for c in spec.all_containers())
        return f"{run.target} has no container {unknown[0]!r}; it has: {known}"
    if not spec.has_gate(gate) and not run.options.without_gate:
        others = ", ".join(g.condition_type for g in spec.readiness_gates or ())
        hint = f"name the one it has with --gate ({others})" if others else f"{add_gate_hint(gate)}; or say --without-gate"
        return f"{run.target} has no readiness gate {gate}, so its pods cannot be drained: {hint}"
    strategy = strategy_for(snapshot)
    for facts in snapshot.pods:
        problem = _pod_problem(facts, run, lease, strategy)
        if problem is not None:
            return problem
    return None


def _old_kubelet(snapshot: Snapshot, run: Run) -> Rejected | None:
    """Nodes may be up to three releases behind the API server."""
    for facts in snapshot.pods:
        if facts.record is None and facts.pod.lacks_observed_generation and not facts.spec_has_images(run.images):
            why = f"pod/{facts.pod.name}: {blind_kubelet(facts.pod)}"
            return Rejected(f"{why}: upgrade that node first, or move the pod", facts.pod.spec.node_name)
    return None


def _pod_problem(facts: ObservedPod, run: Run, lease: str, strategy: WorkloadStrategy) -> str | None:
    pod, record = facts.pod, facts.record
    problem = strategy.pod_problem(facts)
    if problem is not None:
        return problem
    if gate_state(pod, run.options.gate) == "Absent" and not run.options.without_gate:
        return (
            f"pod/{pod.name} has no readiness gate {run.options.gate}: it was created before the template had it; recreate it"
        )
    missing = sorted(name for name in run.images if pod.spec.container(name) is None)
    if missing:
        return f"pod/{pod.name} has no container {missing[0]!r}"
    match record:
        case UnreadableRecord(problem=problem):
            return f"pod/{pod.name}: {problem}; remove it by hand if nothing upgrades this pod"
        case UpgradeRecord(lease=other) if other != lease and not strategy.has_controller:
            return f"pod/{pod.name} is being upgraded by another run (Lease {other}): finish that one first (`inplace list`)"
        case _:
            return None


def _changes(snapshot: Snapshot, run: Run) -> bool:
    spec = workload.template_spec(snapshot)
    have = spec.images() if spec is not None else {}
    if any(have.get(name) != image for name, image in run.images.items()):
        return True
    if any(isinstance(facts.record, UpgradeRecord) for facts in snapshot.pods):
        return True
    strategy, goal = strategy_for(snapshot), goal_of(run)
    behind, label = strategy.pods_kept_back(run), strategy.newest_revision_label()
    return any(
        not goal.is_met_by(facts) or (label and revision_label(facts) != label)
        for facts in snapshot.pods
        if facts.uid not in behind
    )


def _budget_problem(snapshot: Snapshot, run: Run) -> str | None:
    if run.options.max_unavailable is None and strategy_for(snapshot).own_max_unavailable(run) in (0, "0%"):
        return (
            f"{run.target} has maxUnavailable 0, but an in-place restart takes a pod out: say how many with --max-unavailable"
        )
    for budget in snapshot.budgets:
        if allows_no_disruption(budget) and any(budget.selects(f.pod.metadata.labels) for f in snapshot.pods):
            name = budget.metadata.name
            return f"PodDisruptionBudget {name} never allows a pod of {run.target} to be unavailable: relax it first"
    return None


def _service_problem(snapshot: Snapshot, run: Run) -> str | None:
    ignored = services_not_awaited(snapshot.services, run.options.accept_undrainable)
    drained = tuple(f for f in snapshot.pods if gate_state(f.pod, run.options.gate) != "Absent")
    found = undrainable(drained, snapshot.services, ignored)
    if not found:
        return None
    bad = found[0]
    return (
        f"Service {bad.service} {bad.why}: {run.target} cannot be drained from it."
        f" If its clients can bear that, say --accept-undrainable {bad.service}"
    )


def _size_problem(run: Run) -> str | None:
    size = len(encode_run(run).encode())
    if size <= LARGEST_RUN_BYTES:
        return None
    return (
        f"what is to be stored of the run of {run.target} is too large for a Lease ({size // 1024} of at most"
        f" {LARGEST_RUN_BYTES // 1024} KiB): name fewer pods, or fewer containers, at a time"
    )


def _outage_problem(snapshot: Snapshot, run: Run) -> str | None:
    """A Service with another endpoint is no reason: that one is waited for."""
    if run.options.allow_outage:
        return None
    for service, pod in outages(snapshot, run):
        return (
            f"Service {service} has no other endpoint than pod/{pod}, so its requests would fail while that restarts: let"
            " another pod serve it first, or say --allow-outage"
        )
    return None
