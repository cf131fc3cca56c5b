"""Estimates the stages of a run's pods in a process that has not watched them, from what is stored in the cluster.

The driver's evidence exists only in its process. Here the timestamps of conditions and containers replace it, and the time at
which the holder took the Lease, since a new holder gathers its evidence anew. The result is good enough to display, but no
action may depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from inplace.engine.planning.plan import Plan, PlanContext, Progress
from inplace.engine.planning.planner import plan, pod_policy
from inplace.engine.planning.projection import Shown, show
from inplace.engine.pods.drain import services_still_sending
from inplace.engine.pods.proof import steady_before
from inplace.engine.pods.stages import SETTLED_VIEW_SECONDS, SETTLING, PodAssessment, PodPolicy, assess_pod
from inplace.engine.snapshot import Evidence, ObservedPod, Snapshot
from inplace.model.objects.pods import Pod
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run


class CurrentTime(msgspec.Struct, frozen=True):
    """The current time in monotonic seconds. `seconds_since`: how long ago a timestamp of the cluster was by the wall clock, 0
    if it is in the future; None if it is no timestamp."""

    now: float
    seconds_since: Callable[[str], float | None]

    def monotonic(self, stamp: str | None) -> float | None:
        """Converts a timestamp of the cluster into monotonic seconds; None if it is no timestamp."""
        passed = self.seconds_since(stamp or "")
        return None if passed is None else self.now - passed


def estimate_pods(
    snapshot: Snapshot, run: Run, lease: str, at: CurrentTime, *, held_since: str = "", superseded: bool = False
) -> Shown:
    """Estimates the pods of a stored run, whatever process drives it. `held_since`: when its holder took the Lease."""
    policy = pod_policy(snapshot, PlanContext(lease), run, None)
    held_at = at.monotonic(held_since)
    assessments, since = [], {}
    for facts in snapshot.pods:
        evidence = _estimated_evidence(facts, policy, at, held_at)
        assessment = assess_pod(facts, policy, evidence, at.now)
        assessments.append(_still_settling(assessment, at.now))
        began_at = _stage_began_at(assessment, evidence, at)
        if began_at is not None:
            since[facts.uid] = began_at
    shown = show(snapshot, run, policy, assessments, superseded=superseded)
    return msgspec.structs.replace(shown, since=since)


def assess_idle_run(snapshot: Snapshot, run: Run, lease: str, now: float) -> Plan:
    """Assesses the pods of an idle run in a process that has watched them, without planning any action."""
    policy = pod_policy(snapshot, PlanContext(lease), run, None)
    assessments = [assess_pod(facts, policy, snapshot.evidence.get(facts.uid), now) for facts in snapshot.pods]
    shown = show(snapshot, run, policy, assessments)
    return Plan(run=run, pods=shown.pods, progress=shown.progress)


def estimate_wait(snapshot: Snapshot, run: Run, lease: str, at: CurrentTime, held_since: str = "") -> Progress:
    """Estimates what the driver of a run waits for, and until when. The counts of the result are meaningless."""
    policy, held_at = pod_policy(snapshot, PlanContext(lease), run, None), at.monotonic(held_since)
    evidence = {facts.uid: _estimated_evidence(facts, policy, at, held_at) for facts in snapshot.pods}
    timers = {name: began for name, stamp in run.waits.items() if (began := at.monotonic(stamp)) is not None}
    estimated = msgspec.structs.replace(snapshot, evidence=evidence, timers=timers)
    return plan(estimated, PlanContext(lease), run, at.now).progress


def _estimated_evidence(facts: ObservedPod, policy: PodPolicy, at: CurrentTime, held_at: float | None) -> Evidence:
    """Returns the evidence of a process that had watched from the beginning, or since the holder took over."""
    pod = facts.pod
    quiet_since = None
    if not pod.is_ready and not services_still_sending(facts, policy.ignored_services):
        quiet_since = _latest(_transition_at(pod, "Ready", at), held_at)
    record = facts.record
    ours, ready_since = isinstance(record, UpgradeRecord), None
    if pod.condition_is_true("ContainersReady"):
        ready_since = _latest(_transition_at(pod, "ContainersReady", at), held_at)
    steady = record.steady if isinstance(record, UpgradeRecord) and steady_before(facts, record) else None
    return Evidence(
        had_record=ours,
        consistent_since=at.now - SETTLED_VIEW_SECONDS,
        quiet_since=quiet_since,
        saw_ready=ours,
        saw_transition=quiet_since is not None,
        containers_ready_since=ready_since,
        steady_since=at.monotonic(steady.since) if steady is not None else None,
        running_since=_running_since(pod, at, held_at),
        surviving_containers=_old_containers(facts),
    )


def _still_settling(assessment: PodAssessment, now: float) -> PodAssessment:
    """Keeps a pod in its settle time that should be over: the driver saw the slices later than the condition changed, and would
    have patched the image by now otherwise."""
    if assessment.stage != "Settling" or assessment.requeue_at is not None or not assessment.timer.endswith("/patch"):
        return assessment
    return msgspec.structs.replace(assessment, reason=SETTLING, requeue_at=now)


def _stage_began_at(assessment: PodAssessment, evidence: Evidence, at: CurrentTime) -> float | None:
    """Returns when the stage began, if it can be derived."""
    record = assessment.facts.record
    match assessment.stage:
        case "Closing" if isinstance(record, UpgradeRecord):
            return at.monotonic(record.since)
        case "Settling":
            return evidence.quiet_since
        case "Restarting" if isinstance(record, UpgradeRecord):
            return at.monotonic(record.patched_at)
        case "Returning":
            return _latest(*(evidence.running_since.values()))
        case _:
            return None


def _transition_at(pod: Pod, condition: str, at: CurrentTime) -> float | None:
    status_condition = pod.condition(condition)
    return at.monotonic(status_condition.last_transition_time) if status_condition is not None else None


def _running_since(pod: Pod, at: CurrentTime, held_at: float | None) -> Mapping[str, float]:
    since_by_id = {}
    for status in (pod.status.container_statuses or ()) + (pod.status.init_container_statuses or ()):
        if status.container_id and status.state.running is not None:
            since = _latest(at.monotonic(status.state.running.started_at), held_at)
            since_by_id[status.container_id] = at.now if since is None else since
    return since_by_id


def _old_containers(facts: ObservedPod) -> frozenset[str]:
    """Returns the ids of the old containers, so that any other one counts as new."""
    record = facts.record
    return (
        frozenset(b.container_id for b in (record.before or {}).values()) if isinstance(record, UpgradeRecord) else frozenset()
    )


def _latest(*instants: float | None) -> float | None:
    known: Iterable[float] = [instant for instant in instants if instant is not None]
    return max(known, default=None)
