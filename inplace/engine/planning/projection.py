"""How the pods of a run look to people: the one projection behind the live view, `status` and an InPlaceRollout's status.

A process that drives a run shows its pods by the evidence that it has gathered; other processes judge what is written down
(`engine.status.estimate`) and arrive at the same stages. It shows what is, never what would start next, and decides nothing.

Always holds: a pod counts as updated only while it runs the requested images in service; in a run that goes or went back, a pod
that is back counts as restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from inplace.engine.availability.budget import is_available
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import PodProgress, Progress, Shows
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.stages import IN_FLIGHT, PodAssessment, PodPolicy
from inplace.engine.snapshot import Snapshot
from inplace.model.record import UpgradeRecord
from inplace.model.run import TERMINAL_OUTCOMES, PodFailure, Run

TO_GO_BACK = "to be rolled back"


class Shown(msgspec.Struct, frozen=True):
    """`since`: pod uid to the monotonic instant at which its stage began, where known."""

    pods: tuple[PodProgress, ...]
    progress: Progress
    since: Mapping[str, float] = {}


def show(
    snapshot: Snapshot,
    run: Run,
    policy: PodPolicy,
    assessments: Sequence[PodAssessment],
    closing: frozenset[str] = frozenset(),
    *,
    superseded: bool = False,
) -> Shown:
    """`closing`: uids of pods that are being closed right now. `superseded`: a later rollout has taken the pods over."""
    failures = {failure.uid: failure for failure in run.failures}
    pods = tuple(_pod(a, failures.get(a.uid), closing, run, superseded=superseded) for a in assessments)
    return Shown(pods, _progress(snapshot, run, policy, assessments, pods, closing))


def is_ours(assessment: PodAssessment) -> bool:
    """Whether this run has the pod in flight: it carries a record, or has the new image and is not back in service yet."""
    if isinstance(assessment.facts.record, UpgradeRecord):
        return assessment.stage not in ("Gone", "Failed")
    return assessment.stage == "Returning"


def _progress(
    snapshot: Snapshot,
    run: Run,
    policy: PodPolicy,
    assessments: Sequence[PodAssessment],
    pods: Sequence[PodProgress],
    closing: frozenset[str],
) -> Progress:
    failed = {failure.uid for failure in run.failures}
    desired = strategy_for(snapshot).desired_replicas()
    available = sum(is_available(f, closing, policy.ignored_services) for f in snapshot.pods)
    flying = (a for a in assessments if a.uid not in failed and (is_ours(a) or (a.uid in closing and a.stage == "Pending")))
    updated, restored = (sum(pod.stage == stage for pod in pods) for stage in ("Updated", "Restored"))
    return Progress(
        desired=workload.pods_to_update(snapshot, run),
        updated=updated,
        in_flight=sum(1 for _ in flying),
        unavailable=max(0, desired - available),
        failed=run.failed_count,
        ready=available,
        unscheduled=sum(a.stage == "Updated" and not a.facts.pod.is_scheduled for a in assessments),
        restored=restored,
        arrived=restored if run.rolling_back else updated,
    )


def _pod(
    assessment: PodAssessment, failure: PodFailure | None, closing: frozenset[str], run: Run, *, superseded: bool
) -> PodProgress:
    pod = assessment.facts.pod
    image = ", ".join([assessment.facts.images.get(name, "") for name in run.images])
    shown = PodProgress(
        pod.name, pod.uid, pod.spec.node_name, assessment.stage, assessment.reason, image, assessment.at_most_seconds
    )
    if failure is not None:
        return _replace(shown, "Failed", f"{failure.reason}: {failure.message}", at_most_seconds=0.0)
    if assessment.stage in IN_FLIGHT:
        return msgspec.structs.replace(shown, until=_until(assessment))
    if assessment.stage == "Pending" and assessment.uid in closing:
        if gate_state(pod, run.options.gate) == "Absent":
            return _replace(shown, "Restarting", "patching the image; it has no gate and is not drained")
        return _replace(shown, "Closing", assessment.reason)
    if superseded and assessment.stage in ("Pending", "Updated", "Kept"):
        return _replace(shown, "", "")
    return _settled(shown, assessment, run)


def _settled(shown: PodProgress, assessment: PodAssessment, run: Run) -> PodProgress:
    """A pod that nobody works on, in a run that goes forward, that goes back, or that is over."""
    match assessment.stage:
        case "Updated" if run.rolling_back:
            return _replace(shown, "Restored", assessment.reason)
        case "Pending" if run.outcome in TERMINAL_OUTCOMES:
            return _replace(shown, "", "runs other images than those that the run has ended with")
        case "Pending" if run.rolling_back and assessment.facts.spec_has_images({**run.requested_images, **run.pod_images}):
            return _replace(shown, "Updated" if assessment.facts.is_ready else "Pending", TO_GO_BACK)
        case _:
            return shown


def _until(assessment: PodAssessment) -> float | None:
    """When what the pod waits for is over by itself. Waiting for an earlier restart is not, though it is looked at again."""
    return None if assessment.timer.endswith("/earlier") else assessment.requeue_at


def _replace(shown: PodProgress, stage: Shows, reason: str, at_most_seconds: float | None = None) -> PodProgress:
    limit = shown.at_most_seconds if at_most_seconds is None else at_most_seconds
    return msgspec.structs.replace(shown, stage=stage, reason=reason, at_most_seconds=limit)
