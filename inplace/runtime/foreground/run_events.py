"""Reports a run that a command drives as Events on the target and on its pods, with the same reasons as the controller.

Always holds: reporting never delays or fails the run (see `event_recorder`); if no Events may be written the person reads that
once.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.engine.planning.plan import Progress, RunResult
from inplace.kube.resources import WORKLOADS
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.observability.event_reasons import OF_OUTCOME, Reason, describe_begin, describe_counts
from inplace.runtime.observability.event_recorder import EventRecorder, EventType, ObjectReference
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.pod_transitions import PodTransitions
from inplace.runtime.run.backend import Runnable


class RunEventReporter:
    """Reports one run, from its first frame to its end. `running`: runs the recorder meanwhile. `target`: what the Events of
    the run itself are about; None: nothing. `by`: who drives the run. `is_resumed`: it was begun earlier. `notify`: gets lines
    for a person."""

    def __init__(
        self,
        recorder: EventRecorder,
        running: Runnable,
        target: ObjectReference | None,
        notify: Callable[[str], None],
        *,
        by: str,
        is_resumed: bool,
    ) -> None:
        self._recorder = recorder
        self._running = running
        self._target = target
        self._notify = notify
        self._by = by
        self._is_resumed = is_resumed
        self._pods = PodTransitions()
        self._last: tuple[int, Progress] | None = None
        self._has_complained = False

    def __enter__(self) -> RunEventReporter:
        self._running.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what is still queued, as far as that takes a moment only."""
        self._running.stop()
        self._report_refusal()

    def add_frame(self, frame: Frame) -> None:
        """Call it after each pass."""
        run, progress = frame.plan.run, frame.plan.progress
        if self._last is None:
            self._report_begin(run, progress)
        elif run.steps_passed > self._last[0] and self._last[1].step and run.outcome is None:
            self._emit(run, "Normal", "StepFinished", f"{self._last[1].step} is done: {_counts(progress)}")
        self._last = run.steps_passed, progress
        for change in self._pods.add_frame(frame):
            if change.reason is not None:
                pod = change.reference(run.target.namespace)
                self._recorder.emit(pod, change.event_type, change.reason, "Upgrade", f"{change.note} (run {run.id})")
        self._report_refusal()

    def report_end(self, run: Run, finished: RunResult) -> None:
        event_type, reason = OF_OUTCOME[finished.outcome]
        updated = _counts(self._last[1]) if self._last is not None else ""
        self._emit(run, event_type, reason, finished.message or updated)

    def _report_begin(self, run: Run, progress: Progress) -> None:
        by = f" (by {self._by})" if self._by else ""
        if self._is_resumed:
            self._emit(run, "Normal", "RunResumed", f"{_counts(progress)}{by}")
            return
        note = describe_begin(progress.desired, run.from_images, run.images, is_undo=run.operation == "Undo", by=by)
        self._emit(run, "Normal", "RunStarted", note)

    def _emit(self, run: Run, event_type: EventType, reason: Reason, note: str) -> None:
        if self._target is not None:
            self._recorder.emit(self._target, event_type, reason, "Upgrade", f"run {run.id}: {note}")

    def _report_refusal(self) -> None:
        if self._recorder.refusal and not self._has_complained:
            self._has_complained = True
            self._notify(f"note: no Events are written, and the run goes on without: {self._recorder.refusal}")


def target_reference(target: TargetRef, uid: str) -> ObjectReference | None:
    """Refers to the workload; None for bare pods, where each pod has Events of its own."""
    if target.kind == "Pods":
        return None
    return ObjectReference(WORKLOADS[target.kind].api_version, target.kind, target.namespace, target.name, uid)


def _counts(progress: Progress) -> str:
    return describe_counts(progress.updated, progress.desired)
