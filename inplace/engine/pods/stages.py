"""Derives the stage of a pod from what is observed, never from stored state, and decides its next action.

Pending > Closing > Settling > Restarting > Returning > Updated      and from anywhere: Failed, Released, Gone
Kept: not part of this run, because of the user's own update strategy.
A pod without the gate, if the run allows that, goes from Pending to Restarting without a drain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from inplace.engine.actions import Action, CloseGate, KeepSteady, OpenGate, PatchImages, RemoveRecord
from inplace.engine.pods.container_problems import ContainerProblem, container_problem, is_backing_off
from inplace.engine.pods.drain import disagreeing_slices, drained_at, is_in_service, services_still_sending
from inplace.engine.pods.gates import OPENED_BY_US, gate_closed_by_us, gate_state, other_gates_closed
from inplace.engine.pods.goals import Goal
from inplace.engine.pods.proof import (
    MIN_READY,
    NotYet,
    has_readiness_probes,
    previous_container,
    readiness_proof,
    restart_proof,
    steady_before,
    steady_now,
    stop_seconds,
    stopping_containers,
)
from inplace.engine.snapshot import NO_EVIDENCE, Evidence, ObservedPod
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH
from inplace.model.record import UnreadableRecord, UpgradeRecord, format_holds, holds_for_gate, read_holds

Stage = Literal["Pending", "Closing", "Settling", "Restarting", "Returning", "Updated", "Failed", "Released", "Gone", "Kept"]

CHANGED = "ImageChangedByAdmission"
IN_FLIGHT: frozenset[Stage] = frozenset({"Closing", "Settling", "Restarting", "Returning"})
SETTLED_VIEW_SECONDS = 2.0
LONG_READY_SECONDS = 60.0
"""From this minReadySeconds on, the pod's record notes since when it has been ready. A takeover takes 15 s by itself."""
SETTLING = "drained; waiting for proxies and open connections"
WITHOUT_NODE = "waiting for a node"
"""Reason of a pod that counts as updated although none of its containers runs yet, so that there is nothing to prove."""


class PodAssessment(msgspec.Struct, frozen=True, gc=False):
    """The stage of a pod with its reason, next action (None: wait) and deadline.

    `timer` names the timer of the current deadline, which runs as long as consecutive plans use it.
    """

    facts: ObservedPod
    stage: Stage
    reason: str = ""
    action: Action | None = None
    requeue_at: float | None = None
    timer: str = ""
    deadline_seconds: float = 0.0
    problem: ContainerProblem | None = None
    at_most_seconds: float = 0.0
    """How long the wait that `reason` describes may take at most; 0 if unknown."""
    needs_slice_list: bool = False
    """Only a quorum read of the slices that is sent after now can decide."""

    @property
    def uid(self) -> str:
        return self.facts.uid


class PodPolicy(msgspec.Struct, frozen=True):
    """The run's requirements for every pod."""

    run_id: str
    lease_name: str
    gate: str
    goal: Goal
    settle_seconds: float
    drain_timeout_seconds: float
    restart_timeout_seconds: float
    min_ready_seconds: float
    ignored_services: frozenset[str] = frozenset()
    stopping: bool = False
    """Reopens pods whose image was not patched."""
    is_bare_pods: bool = False
    """The target is bare pods, which another run's selection may include, too."""
    dead_leases: frozenset[str] = frozenset()
    """Leases of other runs that hold nothing any more."""
    revision: str | None = None
    """The `controller-revision-hash` of an updated pod. Empty: not known yet, so that no image may be patched. None: the pods
    have no such label."""
    excluded: frozenset[str] = frozenset()
    """Uids of pods that are left as they are."""
    timestamp: str = ""
    """The current time as text, for records; empty if nothing will be written."""
    without_gate: bool = False
    """Restarts pods that have no gate without a drain."""
    patches_images: bool = True
    """False: a pod in flight is finished on the image that it has, or reopened."""
    unreadable_reason: str = ""
    """What cannot be read: it may be a slice that sends to any pod."""

    @property
    def images(self) -> dict[str, str]:
        return self.goal.images

    def is_current(self, facts: ObservedPod) -> bool:
        """Whether the spec is what the run wants. It says nothing about what runs."""
        if not self.goal.is_met_by(facts):
            return False
        return not self.revision or facts.pod.metadata.label(CONTROLLER_REVISION_HASH) == self.revision


def _for_gate_of(facts: ObservedPod, policy: PodPolicy) -> PodPolicy:
    """Returns the policy with the gate that the pod was closed by, which differs if an earlier run used another gate."""
    record = facts.record
    if not isinstance(record, UpgradeRecord) or record.gate == policy.gate:
        return policy
    gate = gate_closed_by_us(facts.pod, record)
    return msgspec.structs.replace(policy, gate=gate) if gate not in ("", policy.gate) else policy


def assess_pod(facts: ObservedPod, policy: PodPolicy, evidence: Evidence | None, now: float) -> PodAssessment:
    """Derives the stage of a pod and its next action. `now`: monotonic seconds."""
    pod, record, policy = facts.pod, facts.record, _for_gate_of(facts, policy)
    evidence = evidence or NO_EVIDENCE
    if pod.is_terminating:
        return PodAssessment(facts, "Gone", "is being deleted")
    current = policy.is_current(facts)
    match record:
        case UnreadableRecord(problem=problem):
            return PodAssessment(facts, "Failed", problem, problem=ContainerProblem("BadRecord", problem))
        case UpgradeRecord(lease=other) if policy.is_bare_pods and other not in (policy.lease_name, *policy.dead_leases):
            problem = f"is being upgraded by another run (Lease {other})"
            return PodAssessment(facts, "Failed", problem, problem=ContainerProblem("OtherRun", problem))
        case None if facts.uid in policy.excluded:
            return PodAssessment(facts, "Kept", "the workload's own update strategy keeps it")
        case None if current:
            return _without_record(facts, policy)
        case None:
            return PodAssessment(facts, "Pending")
        case UpgradeRecord() if not pod.is_scheduled:
            return _release(facts, policy, "has no node, so that nothing of it runs")
        case UpgradeRecord() if not current and (why := _rewritten(facts, record, policy, evidence)):
            # The restart is proven like any other; then the pod has failed, with its gate open.
            returning = _returning(facts, record, policy, evidence, now)
            return msgspec.structs.replace(returning, problem=returning.problem or ContainerProblem(CHANGED, why))
        case UpgradeRecord() if not current:
            return _draining(facts, record, policy, evidence, now)
        case UpgradeRecord(before=None):
            return _release(facts, policy, "needs no change")
        case _:
            return _returning(facts, record, policy, evidence, now)


def _rewritten(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, evidence: Evidence) -> str:
    """Says how admission changed the images of the last patch, if the run still wants those; empty if it did not."""
    if (
        not evidence.admitted_images
        or record.before is None
        or record.run != policy.run_id
        or record.to_images != policy.goal.images_for(facts)
    ):
        return ""
    made = ((name, record.to_images.get(name, ""), image) for name, image in sorted(evidence.admitted_images.items()))
    return ", ".join(f"admission makes {got} of {image} (container {name})" for name, image, got in made if got != image)


def _without_record(facts: ObservedPod, policy: PodPolicy) -> PodAssessment:
    """Assesses a pod on the wanted images without a record: one that was opened before, or created from the new template."""
    pod = facts.pod
    timer, patience = f"{pod.uid}/restart", policy.restart_timeout_seconds + policy.min_ready_seconds
    gate = gate_state(pod, policy.gate)
    if gate == "Missing" and not _held_by(pod, policy):
        return PodAssessment(
            facts, "Returning", "its gate has no condition yet", _open(facts, policy, "GateAdded"), None, timer, patience
        )
    if not pod.is_scheduled:
        return PodAssessment(facts, "Updated", WITHOUT_NODE)
    if not pod.is_observed:
        return PodAssessment(facts, "Returning", "waiting for the kubelet to see the image", None, None, timer, patience)
    if pod.is_ready:
        if is_in_service(facts, policy.ignored_services):
            return PodAssessment(facts, "Updated")
        reason = f"waiting for its EndpointSlices to list it as ready: {disagreeing_slices(facts, policy.ignored_services)}"
        return PodAssessment(facts, "Returning", reason, None, None, timer, patience)
    if gate in ("Closed", "Missing") and pod.condition_is_true("ContainersReady"):
        return PodAssessment(facts, "Updated", _why_held(pod, policy))
    others = other_gates_closed(pod, policy.gate)
    if others and pod.condition_is_true("ContainersReady"):
        # The timer begins when nothing else is missing: opening that gate may take as long as the restart.
        reason = f"its containers are ready, and gate {', '.join(others)} is not open"
        return PodAssessment(facts, "Returning", reason, None, None, f"{pod.uid}/gate", patience)
    problem = container_problem(pod, frozenset(policy.images), {})
    return PodAssessment(facts, "Returning", "waiting to be Ready", None, None, timer, patience, problem)


def _draining(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, evidence: Evidence, now: float) -> PodAssessment:
    """Assesses a pod that the run has closed and whose image is not patched yet."""
    pod = facts.pod
    if record.before is None and (policy.stopping or not policy.patches_images):
        return _release(facts, policy, "stopped before its image was patched")
    if not policy.patches_images:
        return _returning(facts, record, policy, evidence, now)
    timer = f"{pod.uid}/drain"
    gate = gate_state(pod, policy.gate)
    if gate == "Absent" and policy.without_gate:
        return _patching(facts, record, policy, evidence, now)
    if gate != "Closed":
        # Somebody else opened the gate: closing it again is idempotent.
        record = msgspec.structs.replace(record, gate=policy.gate)
        again = CloseGate(facts.ref, policy.gate, record, require_resource_version=policy.is_bare_pods)
        return PodAssessment(
            facts, "Closing", "its gate was opened by somebody else", again, None, timer, policy.drain_timeout_seconds
        )
    if policy.unreadable_reason:
        return PodAssessment(facts, "Closing", policy.unreadable_reason, None, None, timer, policy.drain_timeout_seconds)
    since = drained_at(evidence)
    if since is None:
        reason, needs_slice_list = _why_not_drained(facts, policy, evidence)
        return PodAssessment(
            facts, "Closing", reason, None, None, timer, policy.drain_timeout_seconds, needs_slice_list=needs_slice_list
        )
    # A pod that was not Ready before the close may still become Ready until the kubelet has seen the gate: wait for that.
    until = since + (policy.settle_seconds if evidence.saw_transition else max(policy.settle_seconds, SETTLED_VIEW_SECONDS))
    if now < until:
        return PodAssessment(facts, "Settling", SETTLING, requeue_at=until)
    return _patching(facts, record, policy, evidence, now)


def _patching(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, evidence: Evidence, now: float) -> PodAssessment:
    """Assesses a pod that is drained, or that has no gate to drain it with. It is out of service, so every further wait has a
    deadline, including one for a write that the API server refuses."""
    stage: Stage = "Restarting" if gate_state(facts.pod, policy.gate) == "Absent" else "Settling"
    unclear = _restart_under_way(facts, record, evidence, now)
    if unclear is not None:
        timer, limit = f"{facts.uid}/earlier", policy.restart_timeout_seconds + stop_seconds(facts.pod, record.before or ())
        return PodAssessment(facts, stage, unclear, None, now + 1.0, timer, limit)
    if policy.revision != "":
        timer, what = f"{facts.uid}/patch", "waiting for the API server to accept the image"
        return PodAssessment(facts, stage, what, patch_images(facts, record, policy), None, timer, DEFAULT_WAIT_SECONDS)
    if policy.stopping:
        # The image is not changed again, and that of an earlier patch is proven like any other.
        return _returning(facts, record, policy, evidence, now)
    # The run gives up by itself if the controller does not observe the strategy, or after that the template.
    return PodAssessment(
        facts, stage, "waiting for the template", None, None, f"{facts.uid}/template", 2 * DEFAULT_WAIT_SECONDS
    )


def _why_not_drained(facts: ObservedPod, policy: PodPolicy, evidence: Evidence) -> tuple[str, bool]:
    if facts.pod.is_ready:
        return "waiting for the kubelet to report it not ready", False
    services = services_still_sending(facts, policy.ignored_services)
    if services:
        return f"waiting for the EndpointSlices of {', '.join(services)}", False
    return "checking its EndpointSlices with the API server", evidence.quiet_since is not None


def _restart_under_way(facts: ObservedPod, record: UpgradeRecord, evidence: Evidence, now: float) -> str | None:
    """Says that an earlier patch may still be restarting the container, whose new container would be mistaken for that of the
    next patch; None if it runs, or if the kubelet backs off from starting it."""
    if record.before is None or is_backing_off(facts.pod, frozenset(record.before)):
        return None
    under_way = isinstance(restart_proof(facts, record, evidence, now), NotYet)
    return "waiting for an earlier restart to end" if under_way else None


def blind_kubelet(pod: Pod) -> str:
    """Says why a restart could not be proven on the pod's node."""
    return (
        f"its node {pod.spec.node_name} has a kubelet that reports no status.observedGeneration (one older than 1.34), so that"
        " a restart could not be proven"
    )


def changed_images(facts: ObservedPod, policy: PodPolicy) -> dict[str, str]:
    return {name: image for name, image in policy.goal.images_for(facts).items() if facts.images.get(name) != image}


def restarted_containers(pod: Pod, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the containers that a new image restarts: all but regular init containers, whose image takes effect when the pod
    is next recreated (measured)."""
    return tuple(name for name in sorted(names) if not pod.spec.is_regular_init_container(name))


def patch_images(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, budgets: tuple[str, ...] = ()) -> Action:
    """Patches all containers that differ at once. Those of an earlier patch stay recorded, since their restart is not
    proven."""
    pod, have = facts.pod, facts.images
    changed = changed_images(facts, policy)
    before = dict(record.before or {})
    for name in restarted_containers(pod, changed):
        status = pod.container_status(name)
        before[name] = previous_container(status, have.get(name, ""))
    written = msgspec.structs.replace(
        record,
        run=policy.run_id,
        lease=policy.lease_name,
        to_images=policy.goal.images_for(facts),
        from_images={**{name: have[name] for name in changed}, **record.from_images},
        before=before,
        patched_at=policy.timestamp,
        steady=None,
    )
    return PatchImages(facts.ref, changed, written, pod.spec.init_container_names(), policy.revision or "", budgets)


def _stopping(facts: ObservedPod, policy: PodPolicy, old: tuple[str, ...], proof: NotYet) -> PodAssessment:
    """Assesses a pod whose old containers still stop, which does not count as restart time: each has its preStop and grace
    period, and the kubelet stops one after the other (measured, 1.36.3). The restart's time is added as a limit for containers
    that never stop, as on a node that does not report."""
    grace, timer = stop_seconds(facts.pod, old), f"{facts.uid}/stop"
    limit = grace + policy.restart_timeout_seconds
    if not facts.pod.is_observed:
        return PodAssessment(facts, "Restarting", proof.reason, None, None, timer, limit)
    return PodAssessment(facts, "Restarting", f"stopping {', '.join(old)}", None, None, timer, limit, at_most_seconds=grace)


def _returning(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, evidence: Evidence, now: float) -> PodAssessment:
    """Assesses a pod whose image the run has patched and whose gate it still keeps closed."""
    pod = facts.pod
    timer, patience = f"{pod.uid}/restart", policy.restart_timeout_seconds + policy.min_ready_seconds
    problem = container_problem(pod, frozenset(record.before or {}), record.before or {})
    proof = restart_proof(facts, record, evidence, now)
    if isinstance(proof, NotYet):
        old = stopping_containers(facts.pod, record)
        if old:
            return _stopping(facts, policy, old, proof)
        return PodAssessment(facts, "Restarting", proof.reason, None, proof.until, timer, patience, problem)
    opening = readiness_proof(facts, record, evidence, policy.min_ready_seconds, now)
    if isinstance(opening, NotYet):
        keep = _keep_steady(facts, record, policy, opening)
        return PodAssessment(facts, "Returning", opening.reason, keep, opening.until, timer, patience, problem)
    if record.gate_before == "Absent":
        return PodAssessment(
            facts, "Returning", "its restart is proven", RemoveRecord(facts.ref), None, timer, patience, problem
        )
    if record.gate_before != "False" and not _held_by(pod, policy):
        return PodAssessment(
            facts, "Returning", "opening the gate", _open(facts, policy, OPENED_BY_US), None, timer, patience, problem
        )
    if pod.condition_is_true("ContainersReady"):
        return PodAssessment(
            facts, "Returning", _why_held(pod, policy), RemoveRecord(facts.ref), None, timer, patience, problem
        )
    return PodAssessment(facts, "Returning", "waiting for the containers to be ready", None, None, timer, patience, problem)


def _keep_steady(facts: ObservedPod, record: UpgradeRecord, policy: PodPolicy, opening: NotYet) -> Action | None:
    """Notes readiness in the record if minReadySeconds is long: the extra write keeps that time through a takeover."""
    is_long = opening.reason == MIN_READY and policy.min_ready_seconds >= LONG_READY_SECONDS and policy.timestamp
    is_new = is_long and not steady_before(facts, record)
    return KeepSteady(facts.ref, steady_now(facts, record, policy.timestamp)) if is_new else None


def _release(facts: ObservedPod, policy: PodPolicy, why: str) -> PodAssessment:
    record = facts.record
    if isinstance(record, UpgradeRecord) and (record.gate_before in ("False", "Absent") or _held_by(facts.pod, policy)):
        return PodAssessment(facts, "Released", why, RemoveRecord(facts.ref))
    return PodAssessment(facts, "Released", why, _open(facts, policy, "Released"))


def release_failed(assessment: PodAssessment, policy: PodPolicy) -> Action | None:
    """Returns the action that frees a failed pod: its gate is opened if the image was not patched, or if the restart is proven
    and probes guard the new containers. Otherwise the pod stays closed with its record, and the run reports it: without a
    probe, a container that crashes at once counts as ready for a moment, again and again."""
    record, policy = assessment.facts.record, _for_gate_of(assessment.facts, policy)
    if not isinstance(record, UpgradeRecord) or assessment.stage == "Failed":
        return None
    if record.before is None or (
        assessment.stage == "Returning" and has_readiness_probes(assessment.facts.pod, frozenset(record.before))
    ):
        return _release(assessment.facts, policy, "failed").action
    return assessment.action if isinstance(assessment.action, (OpenGate, RemoveRecord)) else None


def _open(facts: ObservedPod, policy: PodPolicy, reason: str) -> Action:
    return OpenGate(facts.ref, policy.gate, reason)


def _held_by(pod: Pod, policy: PodPolicy) -> dict[str, str]:
    return holds_for_gate(read_holds(pod), policy.gate)


def _why_held(pod: Pod, policy: PodPolicy) -> str:
    holds = _held_by(pod, policy)
    return f"kept closed: {format_holds(holds)}" if holds else "was closed before the upgrade, and stays closed"
