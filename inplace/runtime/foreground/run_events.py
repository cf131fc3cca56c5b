"""The Events of a run that a command drives: the same reasons as the controller's, on the target and on its pods.

Always holds: telling never delays or fails the run, see `events`; where none may be written that is said once.
"""

from __future__ import annotations

from collections.abc import Callable

from inplace.engine.planning.plan import Progress, RunResult
from inplace.kube.resources import WORKLOADS
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.observability.event_reasons import OF_OUTCOME, Reason, began, counts
from inplace.runtime.observability.event_recorder import EventRecorder, EventType, ObjectReference
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.pod_transitions import PodTransitions
from inplace.runtime.run.backend import Runnable


class RunEventReporter:
    """One run, from its first frame to its end. `by`: who drives it. `is_resumed`: it was begun before. `said`: gets lines
    for a person."""

    def __init__(
        self,
        events: EventRecorder,
        recording: Runnable,
        about: ObjectReference | None,
        said: Callable[[str], None],
        *,
        by: str,
        is_resumed: bool,
    ) -> None:
        self._events = events
        self._recording = recording
        self._about = about
        self._said = said
        self._by = by
        self._is_resumed = is_resumed
        self._pods = PodTransitions()
        self._last: tuple[int, Progress] | None = None
        self._has_complained = False

    def __enter__(self) -> RunEventReporter:
        self._recording.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What was told is written, as far as that takes a moment."""
        self._recording.stop()
        self._complain()

    def add_frame(self, frame: Frame) -> None:
        """After each pass."""
        run, progress = frame.plan.run, frame.plan.progress
        if self._last is None:
            self._began(run, progress)
        elif run.steps_passed > self._last[0] and self._last[1].step and run.outcome is None:
            self._tell(run, "Normal", "StepFinished", f"{self._last[1].step} is done: {_counts(progress)}")
        self._last = run.steps_passed, progress
        for news in self._pods.add_frame(frame):
            if news.reason is not None:
                about = news.reference(run.target.namespace)
                self._events.emit(about, news.event_type, news.reason, "Upgrade", f"{news.note} (run {run.id})")
        self._complain()

    def ended(self, run: Run, finished: RunResult) -> None:
        kind, reason = OF_OUTCOME[finished.outcome]
        told = _counts(self._last[1]) if self._last is not None else ""
        self._tell(run, kind, reason, finished.message or told)

    def _began(self, run: Run, progress: Progress) -> None:
        by = f" (by {self._by})" if self._by else ""
        if self._is_resumed:
            self._tell(run, "Normal", "RunResumed", f"{_counts(progress)}{by}")
            return
        note = began(progress.desired, run.from_images, run.images, is_undo=run.operation == "Undo", by=by)
        self._tell(run, "Normal", "RunStarted", note)

    def _tell(self, run: Run, kind: EventType, reason: Reason, note: str) -> None:
        if self._about is not None:
            self._events.emit(self._about, kind, reason, "Upgrade", f"run {run.id}: {note}")

    def _complain(self) -> None:
        if self._events.refusal and not self._has_complained:
            self._has_complained = True
            self._said(f"note: no Events are written, and the run goes on without: {self._events.refusal}")


def about(target: TargetRef, uid: str) -> ObjectReference | None:
    """The object that the target is; None: pods, which are told of each by itself."""
    if target.kind == "Pods":
        return None
    return ObjectReference(WORKLOADS[target.kind].api_version, target.kind, target.namespace, target.name, uid)


def _counts(progress: Progress) -> str:
    return counts(progress.updated, progress.desired)
