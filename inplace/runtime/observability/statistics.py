"""Gathers what a run did from its frames, for the summary at the end. Timings are for people and decide nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

import msgspec

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Caution, RunResult, Shows
from inplace.engine.preflight.advisories import count_ungated
from inplace.engine.preflight.new_pods import pods_kept_closed
from inplace.engine.runs.leftovers import describe_held_pod
from inplace.engine.snapshot import ObservedPod
from inplace.model.record import UpgradeRecord
from inplace.model.run import Operation, Outcome, PodFailure, Run
from inplace.runtime.observability.frames import Frame

PHASES: Mapping[str, Shows] = {"drain": "Closing", "settle": "Settling", "restart": "Restarting", "return": "Returning"}


class DurationStats(msgspec.Struct, frozen=True, rename="camel"):
    """Seconds over all pods."""

    median: float
    worst: float
    worst_pod: str


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """What a run did. `phases`: drain, settle, restart, return and `out` (all of them together), each with its durations.
    Schema version 1."""

    v: int
    target: str
    namespace: str
    images: dict[str, str]
    outcome: Outcome
    message: str
    desired: int
    updated: int
    touched: int
    same_uids: int
    same_ips: int
    restarts: int
    seconds: float
    phases: dict[str, DurationStats]
    failures: tuple[PodFailure, ...]
    left: tuple[str, ...]
    """Pods that are still closed by us, or that have no gate and are not back, with the reason."""
    held: dict[str, tuple[str, ...]] = {}
    """Pods that something else keeps out of service by the gate, such as a label: their names by reason."""
    undrained: int = 0
    """How many of `touched` were restarted without a drain, since they have no gate."""
    gate: str = ""
    is_left_paused: bool = False
    """A Deployment is left paused that its owner had not paused."""
    by_others: bool = False
    """The run failed because somebody else changed the workload."""
    watched_seconds: float | None = None
    """How long somebody else's run was followed, if only from its middle on. The timings, `touched` and what follows from them
    then cover the pods that were seen on their way."""
    doing: Operation = "Upgrade"
    cautions: tuple[Caution, ...] = ()
    """The warnings before the first write, each with its reason in one word; of a run that was begun here."""


class RunStatistics:
    """Fed with every frame and the facts that it was planned on."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._stages: dict[str, tuple[Shows, float]] = {}
        self._spent: dict[str, dict[Shows, float]] = {}
        self._names: dict[str, str] = {}
        self._ips: dict[str, frozenset[str]] = {}
        self._restarts: dict[str, int] = {}
        self._touched: set[str] = set()

    def add_frame(self, frame: Frame, facts: Mapping[str, ObservedPod]) -> None:
        for pod in frame.plan.pods:
            stage, since = self._stages.get(pod.uid, (pod.stage, frame.now))
            spent = self._spent.setdefault(pod.uid, {})
            spent[stage] = spent.get(stage, 0.0) + frame.now - since
            self._stages[pod.uid] = (pod.stage, frame.now)
            self._names[pod.uid] = pod.name
            observed = facts.get(pod.uid)
            if observed is None:
                continue
            if ips := observed.pod.ips():
                self._ips.setdefault(pod.uid, ips)  # a pod that is created meanwhile has none at first
            self._restarts.setdefault(pod.uid, _restarts(observed))
            if isinstance(observed.record, UpgradeRecord):
                self._touched.add(pod.uid)

    def summary(self, run: Run, finished: RunResult, last: Frame, observed: Mapping[str, ObservedPod]) -> Summary:
        """`observed`: every watched pod by uid; those of other targets do not count."""
        own = {pod.uid for pod in last.plan.pods}
        facts = {uid: pod for uid, pod in observed.items() if uid in own}
        still = [uid for uid in self._touched if uid in facts]
        restarts = sum(_restarts(facts[uid]) - self._restarts.get(uid, 0) for uid in still)
        return Summary(
            v=1,
            target=str(run.target),
            namespace=run.target.namespace,
            images=run.requested_images,
            outcome=finished.outcome,
            message=finished.message,
            desired=last.plan.progress.desired,
            updated=last.plan.progress.updated,
            touched=len(self._touched),
            same_uids=len(still),
            same_ips=sum(facts[uid].pod.ips() == self._ips.get(uid) for uid in still),
            restarts=restarts,
            seconds=round(last.now - self._started_at, 2),
            phases=self._phases(),
            failures=run.failures,
            left=_left(run, facts.values()),
            held=pods_kept_closed(facts.values(), run.options.gate),
            undrained=count_ungated((f for uid, f in facts.items() if uid in self._touched), run),
            gate=run.options.gate,
            is_left_paused=strategy_for(last.snapshot).is_left_paused(run),
            by_others=finished.external_change,
            doing=run.operation,
        )

    def _phases(self) -> dict[str, DurationStats]:
        result = {}
        for phase, stage in PHASES.items():
            times = {self._names[uid]: self._spent[uid][stage] for uid in self._touched if stage in self._spent.get(uid, {})}
            if times:
                result[phase] = _spread(times)
        totals = {
            self._names[uid]: sum(self._spent.get(uid, {}).get(stage, 0.0) for stage in PHASES.values())
            for uid in self._touched
        }
        return {**result, "out": _spread(totals)} if totals else result


def _spread(times: Mapping[str, float]) -> DurationStats:
    worst = max(times, key=lambda name: times[name])
    return DurationStats(round(median(times.values()), 2), round(times[worst], 2), worst)


def _restarts(facts: ObservedPod) -> int:
    status = facts.pod.status
    return sum(s.restart_count for s in (status.container_statuses or ()) + (status.init_container_statuses or ()))


def _left(run: Run, pods: Iterable[ObservedPod]) -> tuple[str, ...]:
    why = {failure.uid: f" ({failure.reason})" for failure in run.failures}
    return tuple(
        describe_held_pod(f) + why.get(f.uid, "") for f in pods if isinstance(f.record, UpgradeRecord) and not _is_leaving(f)
    )


def _is_leaving(facts: ObservedPod) -> bool:
    """Whether the pod is being deleted, by a scale-down say: it leaves nothing behind."""
    return facts.pod.is_terminating or facts.pod.is_terminal
