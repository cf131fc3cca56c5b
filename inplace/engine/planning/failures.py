"""Decides when a pod has failed, and when the run must therefore stop or go back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inplace.engine.actions import OpenGate, RemoveRecord
from inplace.engine.kinds.external_changes import detect_external_change
from inplace.engine.planning.plan import PlanContext
from inplace.engine.pods.gates import gate_state
from inplace.engine.pods.stages import CHANGED, PodAssessment, blind_kubelet
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import Timers
from inplace.model.durations import format_duration
from inplace.model.objects.pods import Pod
from inplace.model.run import PodFailure, RollbackReason, Run, StopRequest, truncate

OTHER_GATE_CLOSED = "OtherGateClosed"
"""The new containers are ready, but another gate keeps the pod out of service: no proof of a bad image."""


def new_failures(assessments: Iterable[PodAssessment], run: Run, timers: Timers) -> tuple[PodFailure, ...]:
    """Failures that the run has not recorded yet. Also starts the pods' deadlines."""
    recorded = {failure.uid for failure in run.failures}
    failures = (_detect_failure(a, run, timers) for a in assessments if a.uid not in recorded)
    return tuple(failure for failure in failures if failure is not None)


def _detect_failure(a: PodAssessment, run: Run, timers: Timers) -> PodFailure | None:
    pod = a.facts.pod
    if a.stage == "Failed" and a.problem is not None:
        return _failure(pod, a.problem.reason, a.problem.message)
    if (
        a.stage == "Pending"
        and pod.is_scheduled
        and gate_state(pod, run.options.gate) == "Absent"
        and not run.options.without_gate
    ):
        return _failure(pod, "NoGate", f"has no readinessGate {run.options.gate}, so it cannot be drained")
    if a.stage == "Pending" and pod.lacks_observed_generation:
        return _failure(pod, "KubeletTooOld", blind_kubelet(pod))
    if not a.timer:
        return None
    if a.problem is not None and a.problem.reason == CHANGED:
        return _failure(pod, CHANGED, a.problem.message) if isinstance(a.action, (OpenGate, RemoveRecord)) else None
    # From the patch on, whether or not the old container has ended.
    watched_since = timers.started_at(f"{pod.uid}/patched") if a.timer.endswith(("/stop", "/restart")) else timers.now
    if a.problem is not None:
        # A problem that this process found when it began to watch proves nothing: the kubelet may be about to try again, or has
        # not reached the new image yet. Then the deadline decides.
        problem_since = timers.started_at(f"{pod.uid}/trouble/{a.problem.identity}")
        if problem_since > watched_since and pod.is_observed:
            return _failure(pod, a.problem.reason, a.problem.message)
    if timers.expired(a.timer, a.deadline_seconds):
        reason = _TIMEOUT_REASONS[a.timer.removeprefix(f"{a.uid}/")]
        return _failure(pod, reason, f"{a.reason or 'nothing'} (for {format_duration(a.deadline_seconds)})")
    return None


def rewritten(run: Run, assessments: Iterable[PodAssessment], failures: Iterable[PodFailure]) -> dict[str, str]:
    """`Run.rewritten` with what admission made of the images, on the pods that failed for it."""
    uids = {failure.uid for failure in failures if failure.reason == CHANGED}
    made = (a.facts.images for a in assessments if a.uid in uids)
    return {**run.rewritten, **{name: images[name] for images in made for name in run.images if name in images}}


_TIMEOUT_REASONS = {
    "drain": "DrainTimeout",
    "earlier": "RestartTimeout",
    "template": "TemplateTimeout",
    "patch": "PatchTimeout",
    "restart": "RestartTimeout",
    "gate": OTHER_GATE_CLOSED,
    "stop": "RestartTimeout",
}
"""By `PodAssessment.timer`, without the pod's uid."""


def _failure(pod: Pod, reason: str, message: str) -> PodFailure:
    return PodFailure(pod=pod.name, uid=pod.uid, reason=reason, message=truncate(message))


def stop_reason(snapshot: Snapshot, context: PlanContext, run: Run, timers: Timers) -> StopRequest | None:
    """Why no more pods may be started; None: go on. A commit that has begun is finished before anybody's stop."""
    change = detect_external_change(snapshot, run, timers)
    if change is not None:
        return StopRequest("Failed", change.reason, external_change=True)
    if run.gave_up:
        return StopRequest("Failed", run.gave_up)
    if _too_many(run) and (run.options.on_failure != "continue" or run.rolling_back):
        return StopRequest("Failed", _format_failures(run))
    return context.stop if run.commit is None else None


def should_roll_back(run: Run, context: PlanContext) -> bool:
    """With `--on-failure rollback`, goes back to the images before; but once a commit has begun, it is finished."""
    may = not run.rolling_back and run.commit is None and context.stop is None
    blameless = sum(failure.reason == OTHER_GATE_CLOSED for failure in run.failures)
    return may and run.options.on_failure == "rollback" and run.failed_count - blameless > run.options.max_failed


def _too_many(run: Run) -> bool:
    return run.failed_count > run.options.max_failed


def roll_back(run: Run) -> Run:
    return reverse_run(run, "Failure", f"rolled back, because {_format_failures(run)}")


def reverse_run(run: Run, why: RollbackReason, message: str) -> Run:
    """The same run, going back. Restores only images that the run itself recorded."""
    if run.rollback_reason is not None:
        return msgspec.structs.replace(run, rollback_reason=why, message=message)
    back = {name: run.from_images[name] for name in run.images if name in run.from_images}
    anew = msgspec.structs.replace(run, revision="", failures=(), more_failed=0, message=message, gave_up="")
    return msgspec.structs.replace(anew, rollback_reason=why, original_images=run.images, images=back)


def _format_failures(run: Run) -> str:
    first, others = run.failures[0], run.failed_count - 1
    more = f", and {others} more" if others else ""
    return f"pod/{first.pod} failed with {first.reason}: {first.message}{more}"
