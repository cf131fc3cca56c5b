"""Finds what has changed about the pods of a run from frame to frame, for a command and for the controller alike.

Remembers the pods in flight and the failures that were reported; started in the middle of a run it repeats nothing.
"""

from __future__ import annotations

import msgspec

from inplace.engine.planning.plan import ARRIVED, Shows
from inplace.engine.pods.stages import IN_FLIGHT
from inplace.kube.resources import PODS
from inplace.model.run import PodFailure
from inplace.runtime.observability.event_reasons import PodReason
from inplace.runtime.observability.event_recorder import EventType, ObjectReference
from inplace.runtime.observability.frames import Frame


class PodTransition(msgspec.Struct, frozen=True):
    """A change of one pod. `reason` None: for metrics alone. `left`: the stage that it has left, and how many seconds that
    took."""

    name: str
    uid: str
    reason: PodReason | None
    note: str = ""
    left: tuple[Shows, float] | None = None
    failure: PodFailure | None = None

    @property
    def event_type(self) -> EventType:
        return "Warning" if self.reason == "PodFailed" else "Normal"

    def reference(self, namespace: str) -> ObjectReference:
        return ObjectReference(PODS.api_version, PODS.kind, namespace, self.name, self.uid)


class PodTransitions:
    """Those of one run."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[Shows, float]] = {}
        self._failed: set[str] = set()
        self._is_first = True

    @property
    def in_flight(self) -> int:
        return len(self._stages)

    def add_frame(self, frame: Frame) -> list[PodTransition]:
        """Call it after each pass; returns what has changed since the last."""
        run, transitions = frame.plan.run, list[PodTransition]()
        if self._is_first:
            # Earlier failures were reported by the process that saw them.
            self._failed = {failure.uid for failure in run.failures}
        stages: dict[str, tuple[Shows, float]] = {}
        for pod in frame.plan.pods:
            before = self._stages.get(pod.uid)
            if pod.stage in IN_FLIGHT:
                stages[pod.uid] = before if before and before[0] == pod.stage else (pod.stage, frame.now)
            # On a busy machine a pod may be drained already by the next frame.
            if before is None and pod.stage in ("Closing", "Settling") and not self._is_first:
                transitions.append(PodTransition(pod.name, pod.uid, "PodClosed", "taken out of service to be upgraded"))
            if before is not None and before[0] != pod.stage:
                left = (before[0], frame.now - before[1])
                if pod.stage in ARRIVED:
                    runs = "runs" if pod.stage == "Updated" else "is rolled back: it runs"
                    note = f"{runs} {pod.image}, proven and back in service"
                    transitions.append(PodTransition(pod.name, pod.uid, "PodUpgraded", note, left))
                else:
                    transitions.append(PodTransition(pod.name, pod.uid, None, left=left))
        for failure in run.failures:
            if failure.uid not in self._failed:
                why = f"{failure.reason}: {failure.message}"
                transitions.append(PodTransition(failure.pod, failure.uid, "PodFailed", why, failure=failure))
        self._failed = {failure.uid for failure in run.failures}
        self._stages, self._is_first = stages, False
        return transitions
