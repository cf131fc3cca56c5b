"""Progress as lines, for pipes and CI logs: one timestamped line per change, greppable by pod.

A pod's new stage is always told. Within a stage a new reason is told only if it stays: most last milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from inplace.cli import out
from inplace.engine.plan import PodView
from inplace.runtime.driver import Frame

REASON_SECONDS = 2.0
"""How long a reason must have stood before it is worth a line."""


def _now() -> datetime:
    return datetime.now(UTC)


class Lines:
    """`err`: to stderr, since stdout is for the data."""

    def __init__(self, *, err: bool = False, utcnow: Callable[[], datetime] = _now) -> None:
        self._err = err
        self._utcnow = utcnow
        self._stages: dict[str, str] = {}
        self._reasons: dict[str, tuple[str, float, bool]] = {}
        """Who (pod uid, or the run) to the reason, since when, and whether it was told."""

    def note(self, line: str) -> None:
        out.note(line)

    def saw(self, frame: Frame) -> None:
        progress = frame.plan.progress
        for pod in frame.plan.pods:
            self._saw_pod(pod, frame)
        if frame.plan.finished is None:
            step = f"{progress.step}: " if progress.step else ""
            self._reason("run", f"{step}{progress.waiting}" if progress.waiting else progress.step, frame.now, "")
            self._reason("trouble", f"trouble: {frame.trouble}" if frame.trouble else "", frame.now, "")

    def close(self) -> None:
        pass

    def _saw_pod(self, pod: PodView, frame: Frame) -> None:
        before, reason = self._stages.get(pod.uid), pod.words
        self._stages[pod.uid] = pod.stage
        if pod.stage == before:
            if pod.stage not in ("Pending", "Updated"):
                self._reason(pod.uid, reason, frame.now, f"pod/{pod.name} {pod.stage}: ")
            return
        self._reasons[pod.uid] = (reason, frame.now, True)
        if before is None and pod.stage in ("Pending", "Updated"):
            return
        progress = frame.plan.progress
        more = f" ({progress.updated} of {progress.desired})" if pod.stage == "Updated" else ""
        self._print(f"pod/{pod.name} {pod.stage}{more}{f': {reason}' if reason else ''}")

    def _reason(self, who: str, reason: str, now: float, prefix: str) -> None:
        known, since, told = self._reasons.get(who, ("", now, True))
        if reason != known:
            known, since, told = reason, now, not reason
        if not told and now - since >= (REASON_SECONDS if prefix else 0.0):
            self._print(f"{prefix}{reason}")
            told = True
        self._reasons[who] = (known, since, told)

    def _print(self, text: str) -> None:
        out.lines([f"{self._utcnow():%H:%M:%SZ}  {text}"], err=self._err)
