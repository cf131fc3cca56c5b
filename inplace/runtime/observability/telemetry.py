"""Turns a controller's work into metrics, events and log lines.

It hears of every change of a rollout's status and of every frame of a run, and remembers just enough to see what is new. Always
holds: a new leader repeats nothing that the status says already, since only changes are reported; what is remembered of a run
is dropped when the run ends.
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
from inplace.runtime.observability.event_reasons import PodReason, Reason, describe_begin, describe_counts
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
"""The event for entering a phase, except `Progressing`."""
LEVELS: dict[EventType, int] = {"Normal": logging.INFO, "Warning": logging.WARNING}


class _RunTelemetry:
    """What is remembered of one run."""

    def __init__(self) -> None:
        self.pods = PodTransitions()
        self.out_of_service = 0
        """Its share of the gauge of pods out of service."""


class TelemetryListener:
    """A `ControllerListener` and a `GateListener`: quick, and it never raises. `find_target` returns the object that a target
    is, if there is one."""

    def __init__(self, metrics: Metrics, events: EventRecorder) -> None:
        self._metrics = metrics
        self._events = events
        self._log = structlog.get_logger()
        self.find_target: Callable[[TargetRef], ObjectReference | None] = lambda _target: None
        self._lock = threading.Lock()
        self._runs: dict[str, _RunTelemetry] = {}

    def changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.phase in TERMINAL_PHASES:
            self._end(rollout.metadata.uid)
        if after.phase != before.phase:
            self._phase_changed(rollout, before, after)
        elif after.step_index != before.step_index and after.phase == "Progressing" and before.step:
            self._emit(rollout, "Normal", "StepFinished", f"step {before.step} is done: {_counts(after)}")

    def warned(self, rollout: InPlaceRollout, message: str) -> None:
        self._emit(rollout, "Warning", "RunWarning", message)

    def unreadable(self, unreadable: Unreadable) -> None:
        self._metrics.unreadable.labels(unreadable.kind).inc()
        meta = unreadable.metadata
        self._log.warning(
            "cannot be read", kind=unreadable.kind, object=f"{meta.namespace}/{meta.name}", uid=meta.uid, why=unreadable.why
        )

    def reconciled(self, seconds: float, error: BaseException | None) -> None:
        self._metrics.reconciled(CONTROLLER, seconds, error)

    def on_frame(self, rollout: InPlaceRollout, frame: Frame) -> None:
        """Report what has changed since the run's last frame."""
        meta, run = rollout.metadata, frame.plan.run
        with self._lock:
            remembered = self._runs.setdefault(meta.uid, _RunTelemetry())
        for transition in remembered.pods.add_frame(frame):
            if transition.left is not None:
                stage, seconds = transition.left
                self._metrics.stage_seconds.labels(stage).observe(seconds)
            if transition.reason == "PodUpgraded":
                self._metrics.pods_upgraded.inc()
            if transition.failure is not None:
                self._metrics.failures.labels(transition.failure.reason).inc()
            if transition.reason is not None:
                self._emit_for_pod(meta, run, transition, transition.reason)
        self._set_out_of_service(remembered, remembered.pods.in_flight)

    def gate_changed(self, before: Pod, update: GateUpdate) -> None:
        """Report a write by a label rule; opening a new pod's gate gets no event."""
        result = {True: "opened", False: "closed", None: "held"}[update.status]
        self._metrics.gate_writes.labels(update.gate, result).inc()
        if update.status is None or (update.status and before.condition(update.gate) is None):
            return
        pod = update.pod
        about = ObjectReference(PODS.api_version, PODS.kind, pod.namespace, pod.name, pod.uid)
        reason: Reason = "GateOpened" if update.status else "GateClosed"
        self._events.emit(about, "Normal", reason, "FollowLabel", f"{update.gate}: {update.why}")

    def gate_refused(self, update: GateUpdate, error: ApiError) -> None:  # noqa: ARG002
        self._metrics.gate_writes.labels(update.gate, "refused").inc()

    def released(self, uid: str) -> None:
        """Forget a rollout that is not reconciled here any more."""
        self._end(uid)

    def _end(self, uid: str) -> None:
        with self._lock:
            remembered = self._runs.pop(uid, None)
        if remembered is not None:
            self._set_out_of_service(remembered, 0)

    def _set_out_of_service(self, remembered: _RunTelemetry, out: int) -> None:
        self._metrics.pods_out.inc(out - remembered.out_of_service)
        remembered.out_of_service = out

    def _phase_changed(self, rollout: InPlaceRollout, before: RolloutStatus, after: RolloutStatus) -> None:
        if after.phase is None or after.phase == "Pending":
            return
        if after.phase == "Progressing":
            reason: Reason = "RunResumed" if before.phase == "Paused" or before.phase in TERMINAL_PHASES else "RunStarted"
            note = _started(rollout, after) if reason == "RunStarted" else after.message or _counts(after)
            self._emit(rollout, "Normal", reason, note)
            return
        kind, reason = PHASE_EVENTS[after.phase]
        self._emit(rollout, kind, reason, after.message or _counts(after))

    def _emit(self, rollout: InPlaceRollout, kind: EventType, reason: Reason, note: str) -> None:
        """Log it, and emit an event on the rollout and one on its target."""
        meta, target = rollout.metadata, rollout.spec.target.ref(rollout.metadata.namespace)
        fields = {"rollout": f"{meta.namespace}/{meta.name}", "target": str(target)}
        self._log.log(LEVELS[kind], "rollout", action=reason, **fields, why=note)
        about = ObjectReference(INPLACE_ROLLOUTS.api_version, INPLACE_ROLLOUTS.kind, meta.namespace, meta.name, meta.uid)
        self._events.emit(about, kind, reason, "Upgrade", f"{target}: {note}")
        target_reference = self.find_target(target)
        if target_reference is not None and reason != "RunWaiting":
            self._events.emit(target_reference, kind, reason, "Upgrade", f"inplacerollout/{meta.name}: {note}")

    def _emit_for_pod(self, rollout: ObjectMeta, run: Run, transition: PodTransition, reason: PodReason) -> None:
        fields = {
            "rollout": f"{rollout.namespace}/{rollout.name}",
            "run": run.id,
            "pod": f"{rollout.namespace}/{transition.name}",
        }
        self._log.log(LEVELS[transition.event_type], "pod", action=reason, **fields, why=transition.note)
        note = f"{transition.note} (inplacerollout/{rollout.name})"
        self._events.emit(transition.reference(rollout.namespace), transition.event_type, reason, "Upgrade", note)


def _started(rollout: InPlaceRollout, status: RolloutStatus) -> str:
    before = {image.container: image.image for image in status.from_images}
    after = {image.container: image.image for image in rollout.spec.images}
    by = format_signature(
        rollout.metadata.annotation(CREATED_BY_ANNOTATION) or "", rollout.metadata.annotation(CLIENT_ANNOTATION) or ""
    )
    is_undo = rollout.spec.undo is not None
    return describe_begin(status.desired or 0, before, after, is_undo=is_undo, by=f" (by {by})" if by else "")


def _counts(status: RolloutStatus) -> str:
    return describe_counts(status.updated or 0, status.desired or 0)
