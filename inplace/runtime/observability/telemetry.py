"""Turns what a controller does into metrics, events and log lines: it hears of every change of a rollout's status and of
every frame of a run, and remembers just enough to see what is new.

Always holds: a new leader repeats nothing that the status says already, since only changes are told; what is remembered of a
run goes with its end. It is a `watched.Watched` and a `gates.Heard`: quick, and never raises.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import structlog

from inplace.engine.gate_rules import GateUpdate
from inplace.kube.codec import Unreadable
from inplace.kube.errors import ApiError
from inplace.kube.resources import INPLACE_ROLLOUTS, PODS
from inplace.model.constants import CLIENT_ANNOTATION, CREATED_BY_ANNOTATION
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.pods import Pod
from inplace.model.refs import TargetRef
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout, Phase, RolloutStatus
from inplace.model.run import Run, format_signature
from inplace.runtime.observability.event_reasons import PodReason, Reason, began, counts
from inplace.runtime.observability.event_recorder import EventRecorder, EventType, ObjectReference
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.metrics import Metrics
from inplace.runtime.observability.pod_transitions import PodTransition, PodTransitions

CONTROLLER = "inplacerollout"
PHASE_EVENTS: dict[Phase, tuple[EventType, Reason]] = {
    "Waiting": ("Normal", "RunWaiting"),
    "Paused": ("Normal", "RunPaused"),
    "Succeeded": ("Normal", "RunSucceeded"),
    "Failed": ("Warning", "RunFailed"),
    "RolledBack": ("Warning", "RunRolledBack"),
    "Aborted": ("Normal", "RunAborted"),
    "Refused": ("Warning", "RunRefused"),
}
"""What it means to come into a phase, `Progressing` apart."""


LEVELS: dict[EventType, int] = {"Normal": logging.INFO, "Warning": logging.WARNING}


class _Seen:
    """One run, and how many of its pods are counted as out of service."""

    def __init__(self) -> None:
        self.pods = PodTransitions()
        self.out = 0


class TelemetryListener:
    """`find_target`: the object that a rollout's target is, where there is one."""

    def __init__(self, metrics: Metrics, events: EventRecorder) -> None:
        self._metrics = metrics
        self._events = events
        self._log = structlog.get_logger()
        self.find_target: Callable[[TargetRef], ObjectReference | None] = lambda _target: None
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.phase in TERMINAL_PHASES:
            self._end(rollout.metadata.uid)
        if after.phase != before.phase:
            self._phase_changed(rollout, before, after)
        elif after.step_index != before.step_index and after.phase == "Progressing" and before.step:
            self._tell(rollout, "Normal", "StepFinished", f"step {before.step} is done: {_counts(after)}")

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        self._tell(rollout, "Warning", "RunWarning", message)

    def unreadable(self, lost: Unreadable) -> None:
        self._metrics.unreadable.labels(lost.kind).inc()
        meta = lost.metadata
        self._log.warning("cannot be read", kind=lost.kind, object=f"{meta.namespace}/{meta.name}", uid=meta.uid, why=lost.why)

    def reconciled(self, seconds: float, error: BaseException | None) -> None:
        self._metrics.reconciled(CONTROLLER, seconds, error)

    def on_frame(self, rollout: InPlaceRollout, frame: Frame) -> None:
        """After each pass of a run."""
        meta, run = rollout.metadata, frame.plan.run
        with self._lock:
            seen = self._seen.setdefault(meta.uid, _Seen())
        for news in seen.pods.add_frame(frame):
            if news.left is not None:
                stage, seconds = news.left
                self._metrics.stage_seconds.labels(stage).observe(seconds)
            if news.reason == "PodUpgraded":
                self._metrics.pods_upgraded.inc()
            if news.failure is not None:
                self._metrics.failures.labels(news.failure.reason).inc()
            if news.reason is not None:
                self._pod(meta, run, news, news.reason)
        self._set_out(seen, seen.pods.in_flight)

    def gate_changed(self, before: Pod, wanted: GateUpdate) -> None:
        """By a label rule. That a new pod's gate is opened is no news."""
        result = {True: "opened", False: "closed", None: "held"}[wanted.status]
        self._metrics.gate_writes.labels(wanted.gate, result).inc()
        if wanted.status is None or (wanted.status and before.condition(wanted.gate) is None):
            return
        pod = wanted.pod
        about = ObjectReference(PODS.api_version, PODS.kind, pod.namespace, pod.name, pod.uid)
        reason: Reason = "GateOpened" if wanted.status else "GateClosed"
        self._events.emit(about, "Normal", reason, "FollowLabel", f"{wanted.gate}: {wanted.why}")

    def gate_refused(self, wanted: GateUpdate, error: ApiError) -> None:  # noqa: ARG002
        self._metrics.gate_writes.labels(wanted.gate, "refused").inc()

    def released(self, uid: str) -> None:
        """A rollout that nobody drives here any more."""
        self._end(uid)

    def _end(self, uid: str) -> None:
        with self._lock:
            seen = self._seen.pop(uid, None)
        if seen is not None:
            self._set_out(seen, 0)

    def _set_out(self, seen: _Seen, out: int) -> None:
        self._metrics.pods_out.inc(out - seen.out)
        seen.out = out

    def _phase_changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.phase is None or after.phase == "Pending":
            return
        if after.phase == "Progressing":
            reason: Reason = "RunResumed" if before.phase == "Paused" or before.phase in TERMINAL_PHASES else "RunStarted"
            told = _started(rollout, after) if reason == "RunStarted" else after.message or _counts(after)
            self._tell(rollout, "Normal", reason, told)
            return
        kind, reason = PHASE_EVENTS[after.phase]
        self._tell(rollout, kind, reason, after.message or _counts(after))

    def _tell(self, rollout: InPlaceRollout, kind: EventType, reason: Reason, note: str) -> None:
        """To those who look at the rollout, and to those who look at its target."""
        meta, target = rollout.metadata, rollout.spec.target.ref(rollout.metadata.namespace)
        facts = {"rollout": f"{meta.namespace}/{meta.name}", "target": str(target)}
        self._log.log(LEVELS[kind], "rollout", action=reason, **facts, why=note)
        about = ObjectReference(INPLACE_ROLLOUTS.api_version, INPLACE_ROLLOUTS.kind, meta.namespace, meta.name, meta.uid)
        self._events.emit(about, kind, reason, "Upgrade", f"{target}: {note}")
        found = self.find_target(target)
        if found is not None and reason != "RunWaiting":
            self._events.emit(found, kind, reason, "Upgrade", f"inplacerollout/{meta.name}: {note}")

    def _pod(self, rollout: ObjectMeta, run: Run, news: PodTransition, reason: PodReason) -> None:
        facts = {"rollout": f"{rollout.namespace}/{rollout.name}", "run": run.id, "pod": f"{rollout.namespace}/{news.name}"}
        self._log.log(LEVELS[news.event_type], "pod", action=reason, **facts, why=news.note)
        note = f"{news.note} (inplacerollout/{rollout.name})"
        self._events.emit(news.reference(rollout.namespace), news.event_type, reason, "Upgrade", note)


def _started(rollout: InPlaceRollout, status: RolloutStatus) -> str:
    before = {each.container: each.image for each in status.from_images}
    after = {each.container: each.image for each in rollout.spec.images}
    by = format_signature(
        rollout.metadata.annotation(CREATED_BY_ANNOTATION) or "", rollout.metadata.annotation(CLIENT_ANNOTATION) or ""
    )
    is_undo = rollout.spec.undo is not None
    return began(status.desired or 0, before, after, is_undo=is_undo, by=f" (by {by})" if by else "")


def _counts(status: RolloutStatus) -> str:
    return counts(status.updated or 0, status.desired or 0)
