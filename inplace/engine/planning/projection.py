"""How the pods of a run look to people: the one projection behind the live view, `status` and an InPlaceRollout's status.

A process that drives shows its pods on the evidence that it has gathered; whoever looks from elsewhere judges what is written
down (`glance`), and comes to the same stages. It shows what is, never what would be begun next, and decides nothing.

Always holds: a pod counts as updated only while it runs the images that were asked for, in service; on the way back, and after
it, one that is back counts as restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from inplace.engine.availability.budget import is_available
from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import PodProgress, Progress, Shows
from inplace.engine.pods.stages import IN_FLIGHT, PodAssessment, PodPolicy, gate_state
from inplace.engine.snapshot import Snapshot
from inplace.model.record import UpgradeRecord
from inplace.model.run import TERMINAL_OUTCOMES, PodFailure, Run

TO_GO_BACK = "to be rolled back"


class Shown(msgspec.Struct, frozen=True):
    """`since`: pod uid to the instant at which its stage began, as far as it is known, by the clock that judged."""

    pods: tuple[PodProgress, ...]
    progress: Progress
    since: Mapping[str, float] = {}


def show(
    observed: Snapshot,
    run: Run,
    rules: PodPolicy,
    judged: Sequence[PodAssessment],
    closing: frozenset[str] = frozenset(),
    *,
    superseded: bool = False,
) -> Shown:
    """`closing`: uids of pods that are being closed at this moment. `superseded`: a later rollout has the pods by now."""
    failures = {failure.uid: failure for failure in run.failures}
    pods = tuple(_pod(j, failures.get(j.uid), closing, run, superseded=superseded) for j in judged)
    return Shown(pods, _progress(observed, run, rules, judged, pods, closing))


def is_ours(judged: PodAssessment) -> bool:
    """In flight: carries our record, or has the new image and is not back yet."""
    if isinstance(judged.facts.record, UpgradeRecord):
        return judged.stage not in ("Gone", "Failed")
    return judged.stage == "Returning"


def _progress(
    observed: Snapshot,
    run: Run,
    rules: PodPolicy,
    judged: Sequence[PodAssessment],
    pods: Sequence[PodProgress],
    closing: frozenset[str],
) -> Progress:
    failed = {failure.uid for failure in run.failures}
    desired = strategy_for(observed).desired_replicas()
    available = sum(is_available(f, closing, rules.ignored_services) for f in observed.pods)
    flying = (j for j in judged if j.uid not in failed and (is_ours(j) or (j.uid in closing and j.stage == "Pending")))
    updated, restored = (sum(pod.stage == stage for pod in pods) for stage in ("Updated", "Restored"))
    return Progress(
        desired=workload.pods_to_update(observed, run),
        updated=updated,
        in_flight=sum(1 for _ in flying),
        unavailable=max(0, desired - available),
        failed=run.failed_count,
        ready=available,
        unscheduled=sum(j.stage == "Updated" and not j.facts.pod.is_scheduled for j in judged),
        restored=restored,
        arrived=restored if run.rolling_back else updated,
    )


def _pod(
    judged: PodAssessment, failure: PodFailure | None, closing: frozenset[str], run: Run, *, superseded: bool
) -> PodProgress:
    pod = judged.facts.pod
    image = ", ".join([judged.facts.images.get(name, "") for name in run.images])
    view = PodProgress(pod.name, pod.uid, pod.spec.node_name, judged.stage, judged.reason, image, judged.at_most_seconds)
    if failure is not None:
        return _replace(view, "Failed", f"{failure.reason}: {failure.message}", at_most_seconds=0.0)
    if judged.stage in IN_FLIGHT:
        return msgspec.structs.replace(view, until=_until(judged))
    if judged.stage == "Pending" and judged.uid in closing:
        if gate_state(pod, run.options.gate) == "Absent":
            return _replace(view, "Restarting", "patching the image; it has no gate and is not drained")
        return _replace(view, "Closing", judged.reason)
    if superseded and judged.stage in ("Pending", "Updated", "Kept"):
        return _replace(view, "", "")
    return _settled(view, judged, run)


def _settled(view: PodProgress, judged: PodAssessment, run: Run) -> PodProgress:
    """One that nobody works on: where it is in a run that goes forward, that goes back, or that is over."""
    match judged.stage:
        case "Updated" if run.rolling_back:
            return _replace(view, "Restored", judged.reason)
        case "Pending" if run.outcome in TERMINAL_OUTCOMES:
            return _replace(view, "", "runs other images than those that the run has ended with")
        case "Pending" if run.rolling_back and judged.facts.spec_has_images({**run.requested_images, **run.pod_images}):
            return _replace(view, "Updated" if judged.facts.is_ready else "Pending", TO_GO_BACK)
        case _:
            return view


def _until(judged: PodAssessment) -> float | None:
    """When what it waits for is over by itself. To be looked at again is not that where an earlier restart is waited for."""
    return None if judged.timer.endswith("/earlier") else judged.requeue_at


def _replace(view: PodProgress, stage: Shows, reason: str, at_most_seconds: float | None = None) -> PodProgress:
    limit = view.at_most_seconds if at_most_seconds is None else at_most_seconds
    return msgspec.structs.replace(view, stage=stage, reason=reason, at_most_seconds=limit)
