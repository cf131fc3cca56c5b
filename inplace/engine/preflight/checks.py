"""What is said before the first write: refusals, each with the object, why, and what to do; or else the warnings of `cautions`.

Pure, over the same snapshot that the planner sees: `plan` prints it, `upgrade` obeys it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from inplace.engine.availability.budget import never_allows
from inplace.engine.availability.outages import outages
from inplace.engine.planning.plan import Caution
from inplace.engine.pods.drain import services_not_awaited, undrainable
from inplace.engine.pods.goals import goal_of
from inplace.engine.pods.stages import blind_kubelet, gate_of
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.advisories import add_gate_hint, leftover_strategy_warning, warnings
from inplace.engine.snapshot import (
    DaemonSetTarget,
    DeploymentTarget,
    ObservedPod,
    PodsTarget,
    ReplicaSetTarget,
    RevisionedTarget,
    Snapshot,
    StatefulSetTarget,
)
from inplace.engine.workloads import workload
from inplace.engine.workloads.external_changes import differences_from_pods
from inplace.engine.workloads.template_first import (
    current_revision_matches,
    label_of,
    newest_revision,
    revision_label,
    revision_of_pods,
    unholdable,
)
from inplace.engine.workloads.template_last import active_replica_set
from inplace.engine.workloads.templates import differences, images_of
from inplace.model.images import accepts, image_problem
from inplace.model.objects.meta import OwnerReference
from inplace.model.record import UnreadableRecord, UpgradeRecord
from inplace.model.run import Run, encode_run

LARGEST_RUN_BYTES = 90 * 1024
"""It may double on its way (images that were asked for and are gone back from), and has its history beside it, in an annotation
of at most 256 KiB together."""


class Rejected(msgspec.Struct, frozen=True):
    """Nothing is written. One line: what, which object, why; and what to do next."""

    message: str
    node: str = ""
    """Whose kubelet is too old: its version may be worth telling."""


class UpToDate(msgspec.Struct, frozen=True):
    """Pods and template run these images already."""


class Accepted(msgspec.Struct, frozen=True):
    warnings: tuple[Caution, ...]
    waited_for: tuple[str, ...]
    """The Services whose EndpointSlices must let go of a pod."""


Verdict = Rejected | UpToDate | Accepted


def preflight(observed: Snapshot, run: Run, lease: str, resuming: bool) -> Verdict:
    """`resuming`: the run has begun before; then a half-done commit is no reason to refuse."""
    problem = next(iter(observed.unreadable), None)
    problem = problem or _target_problem(observed, run, resuming) or _pods_problem(observed, run, lease)
    if problem is None and not resuming and not _changes(observed, run):
        return UpToDate()
    if problem is None and not resuming:
        problem = _image_problem(run) or _two_revisions(observed, run)
    problem = problem or _budget_problem(observed, run) or _service_problem(observed, run) or _size_problem(run)
    if problem is None and not resuming:
        problem = _outage_problem(observed, run)
    if problem is not None:
        return Rejected(problem)
    old = _old_kubelet(observed, run)
    if old is not None:
        return old
    ignored = services_not_awaited(observed.services, run.options.accept_undrainable)
    drained = (f for f in observed.pods if gate_of(f.pod, run.options.gate) != "Absent")
    services = sorted({e.service for f in drained for e in f.entries if e.service and e.service not in ignored})
    left = () if resuming else leftover_strategy_warning(observed, run)
    return Accepted((*left, *warnings(observed, run)), tuple(services))


def current_images(observed: Snapshot, run: Run) -> dict[str, str]:
    """What the pods that the run is for ran before. The workload's own template may be ahead of them already: if it was
    paused, partitioned or OnDelete."""
    match observed.target:
        case DeploymentTarget() as target if (live := active_replica_set(target)) is not None:
            return images_of(live.spec.template)
        case StatefulSetTarget() | DaemonSetTarget() as revisioned:
            behind = workload.pods_kept_back(observed, run)
            revision = revision_of_pods(revisioned, (f for f in observed.pods if f.uid not in behind))
            if revision is not None:
                return images_of(revision.template)
        case _:
            pass
    spec = workload.template_spec(observed)
    if isinstance(observed.target, PodsTarget):
        goal = goal_of(run)
        spec = next((facts.pod.spec for facts in observed.pods if not goal.is_met_by(facts)), spec)
    return spec.images() if spec is not None else {}


def images_on_pods(observed: Snapshot, images: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """What the pods that do not run `images` run, where admission has given that one other name than the template's."""
    found: dict[str, str] = {}
    for name in sorted(images):
        have = {facts.images[name] for facts in observed.pods if name in facts.images} - {images[name]}
        if len(have) == 1 and name in before:
            (image,) = have
            found |= {name: image} if image != before[name] and accepts(before[name], image) else {}
    return found


def pending_template_images(observed: Snapshot, run: Run) -> dict[str, str]:
    """The images of the template that the pods do not run yet: what `upgrade` without images brings them to."""
    spec, before = workload.template_spec(observed), current_images(observed, run)
    return {name: image for name, image in (spec.images() if spec else {}).items() if before.get(name) != image}


def _target_problem(observed: Snapshot, run: Run, resuming: bool) -> str | None:
    found = workload.workload_of(observed)
    if found is not None and workload.is_gone(observed):
        return f"{run.target} is being deleted"
    match observed.target:
        case (
            DeploymentTarget(deployment=None)
            | ReplicaSetTarget(replica_set=None)
            | StatefulSetTarget(stateful_set=None)
            | DaemonSetTarget(daemon_set=None)
        ):
            return f"{run.target} does not exist in namespace {run.target.namespace}"
        case PodsTarget(missing=missing) if missing:
            return f"pod/{missing[0]} does not exist in namespace {run.target.namespace}"
        case PodsTarget() if not observed.pods:
            return f"no pods match {run.target.selector!r} in namespace {run.target.namespace}"
        case PodsTarget() if not resuming:
            return _mixed_pods(observed.pods, run)
        case DeploymentTarget() if not resuming:
            return _two_templates(observed, observed.target, run)
        case StatefulSetTarget() | DaemonSetTarget() as target:
            return unholdable(observed, run) or (None if resuming else _pods_of_other_templates(observed, target, run))
        case _:
            return None


def _pods_of_other_templates(observed: Snapshot, target: RevisionedTarget, run: Run) -> str | None:
    found = workload.workload_of(observed)
    assert found is not None
    if not target.revisions:
        return f"{run.target} has no ControllerRevision yet: wait until its controller has made one"
    changed = differences_from_pods(observed, target, run.target.kind, found.spec.template)  # type: ignore[arg-type]
    if not changed:
        return None
    return (
        f"the template of {run.target} differs from its pods' revisions in more than images ({', '.join(changed[:5])}):"
        " roll that out first (kubectl delete pod, or its updateStrategy), then upgrade images in place"
    )


def _mixed_pods(pods: Iterable[ObservedPod], run: Run) -> str | None:
    """A run knows one set of images that it can go back to, and must not give it to a pod that never ran it."""
    goal = goal_of(run)
    behind = [facts for facts in pods if not goal.is_met_by(facts)]
    for name in sorted(run.images):
        by_image = {facts.images[name]: facts.pod.name for facts in reversed(behind) if name in facts.images}
        if len(by_image) > 1:
            told = ", ".join(f"pod/{pod} {image}" for image, pod in sorted(by_image.items())[:5])
            return (
                f"{run.target} run different images of container {name} ({told}), so that there would be no way back:"
                " upgrade the pods of one image at a time"
            )
    return None


def _image_problem(run: Run) -> str | None:
    """Wherever the images come from: a template, say, or a revision of the history."""
    for name, image in sorted(run.images.items()):
        if problem := image_problem(image):
            return f"{run.target} would get an image that no node can pull: {name}={image} {problem}"
    return None


def _two_revisions(observed: Snapshot, run: Run) -> str | None:
    """A pod that dies while a partition holds the others back is recreated from `currentRevision`: that must be what it ran."""
    match observed.target:
        case StatefulSetTarget(stateful_set=s) as target if s is not None and not current_revision_matches(target, run):
            newest = [f for f in observed.pods if revision_label(f) == s.status.update_revision]
            if len(newest) == len(observed.pods) == s.spec.replicas:
                return None  # its controller is about to make the newest the current one
            return (
                f"{run.target} is between two revisions (currentRevision {s.status.current_revision}, updateRevision"
                f" {s.status.update_revision}): bring its pods to the template first (`inplace upgrade {run.target}`)"
                f"{_how_it_goes(observed, run, '')}"
            )
        case _:
            return None


def _how_it_goes(observed: Snapshot, run: Run, otherwise: str) -> str:
    """Of a rollout that is under way."""
    hang = new_pods.hang(observed, run.target, run.options.gate)
    return f", and {hang}" if hang else otherwise


def _two_templates(observed: Snapshot, target: DeploymentTarget, run: Run) -> str | None:
    active = [rs.metadata.name for rs in target.replica_sets if rs.is_active]
    if len(active) > 1:
        names = ", ".join(active)
        goes = _how_it_goes(observed, run, "; let it end, or undo it")
        return f"{run.target} has {len(active)} active ReplicaSets ({names}): a rollout is under way{goes}"
    live = active_replica_set(target)
    if live is None or target.deployment is None:
        return f"{run.target} has no ReplicaSet yet: wait until its controller has made one"
    changed = differences(target.deployment.spec.template, live.spec.template)
    if changed:
        return (
            f"the template of {run.target} differs from its pods' ReplicaSet in more than images ({', '.join(changed[:5])}):"
            " roll that out first (kubectl rollout resume), then upgrade images in place"
        )
    return None


def _pods_problem(observed: Snapshot, run: Run, lease: str) -> str | None:
    spec, gate = workload.template_spec(observed), run.options.gate
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
    for facts in observed.pods:
        problem = _pod_problem(facts, run, lease, isinstance(observed.target, PodsTarget))
        if problem is not None:
            return problem
    return None


def _old_kubelet(observed: Snapshot, run: Run) -> Rejected | None:
    """Nodes may be up to three releases behind the API server."""
    for facts in observed.pods:
        if facts.record is None and facts.pod.says_no_generation and not facts.runs(run.images):
            why = f"pod/{facts.pod.name}: {blind_kubelet(facts.pod)}"
            return Rejected(f"{why}: upgrade that node first, or move the pod", facts.pod.spec.node_name)
    return None


def _pod_problem(facts: ObservedPod, run: Run, lease: str, bare: bool) -> str | None:
    pod, record = facts.pod, facts.record
    owner = pod.metadata.controller()
    if bare and "kubernetes.io/config.mirror" in (pod.metadata.annotations or {}):
        return f"pod/{pod.name} is a mirror of a static pod: change its manifest on node {pod.spec.node_name}"
    if bare and owner is not None:
        return owned_by(f"pod/{pod.name}", owner)
    if gate_of(pod, run.options.gate) == "Absent" and not run.options.without_gate:
        return (
            f"pod/{pod.name} has no readiness gate {run.options.gate}: it was created before the template had it; recreate it"
        )
    missing = sorted(name for name in run.images if pod.spec.container(name) is None)
    if missing:
        return f"pod/{pod.name} has no container {missing[0]!r}"
    match record:
        case UnreadableRecord(problem=problem):
            return f"pod/{pod.name}: {problem}; remove it by hand if nothing upgrades this pod"
        case UpgradeRecord(lease=other) if other != lease and bare:
            return f"pod/{pod.name} is being upgraded by another run (Lease {other}): finish that one first (`inplace list`)"
        case _:
            return None


def owned_by(what: str, owner: OwnerReference) -> str:
    """Why an object with a controller is not upgraded by itself, and what is the right tool."""
    return f"{what} is managed by {owner.kind}/{owner.name}, which would undo or repeat the change: {_tool(owner)}"


def _tool(owner: OwnerReference) -> str:
    kind, name = owner.kind, owner.name
    if owner.api_version.startswith("apps.kruise.io/"):
        return f"OpenKruise upgrades it in place itself; change the image in {kind}/{name}"
    match kind:
        case "ReplicaSet":
            return f"upgrade its Deployment, or rs/{name} if it has none"
        case "Deployment":
            return f"upgrade deploy/{name}"
        case "Job" | "CronJob":
            return "a Job's pods run once; change the Job"
        case "StatefulSet":
            return f"upgrade sts/{name}"
        case "DaemonSet":
            return f"upgrade ds/{name}"
        case "Rollout":
            return "Argo Rollouts manages it; change the image there"
        case _:
            return f"change the image in {kind}/{name}"


def _changes(observed: Snapshot, run: Run) -> bool:
    spec = workload.template_spec(observed)
    have = spec.images() if spec is not None else {}
    if any(have.get(name) != image for name, image in run.images.items()):
        return True
    if any(isinstance(facts.record, UpgradeRecord) for facts in observed.pods):
        return True
    behind, label, goal = workload.pods_kept_back(observed, run), "", goal_of(run)
    if isinstance(observed.target, RevisionedTarget):
        newest = newest_revision(observed.target)
        label = label_of(newest, run.target.kind) if newest is not None else ""  # type: ignore[arg-type]
    return any(
        not goal.is_met_by(facts) or (label and revision_label(facts) != label)
        for facts in observed.pods
        if facts.uid not in behind
    )


def _budget_problem(observed: Snapshot, run: Run) -> str | None:
    if run.options.max_unavailable is None and workload.own_max_unavailable(observed, run) in (0, "0%"):
        return (
            f"{run.target} has maxUnavailable 0, but an in-place restart takes a pod out: say how many with --max-unavailable"
        )
    for budget in observed.budgets:
        if never_allows(budget) and any(budget.covers(f.pod.metadata.labels) for f in observed.pods):
            name = budget.metadata.name
            return f"PodDisruptionBudget {name} never allows a pod of {run.target} to be unavailable: relax it first"
    return None


def _service_problem(observed: Snapshot, run: Run) -> str | None:
    ignored = services_not_awaited(observed.services, run.options.accept_undrainable)
    drained = tuple(f for f in observed.pods if gate_of(f.pod, run.options.gate) != "Absent")
    found = undrainable(drained, observed.services, ignored)
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


def _outage_problem(observed: Snapshot, run: Run) -> str | None:
    """A Service with another endpoint is no reason: that one is waited for."""
    if run.options.allow_outage:
        return None
    for service, pod in outages(observed, run):
        return (
            f"Service {service} has no other endpoint than pod/{pod}, so its requests would fail while that restarts: let"
            " another pod serve it first, or say --allow-outage"
        )
    return None
