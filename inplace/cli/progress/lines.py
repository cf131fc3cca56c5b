"""Prints progress as lines, for pipes and CI logs: one timestamped line per change, greppable by pod.

Prints each new stage of a pod. Within a stage it prints a new reason only if the reason stays, since most last milliseconds. It
prints once what the whole run waits for, and what troubles it, as long as that lasts: numbers that tick are no change, and
neither are two troubles that alternate.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from inplace.cli.output import streams
from inplace.cli.output.text import images_text
from inplace.engine.planning.plan import ARRIVED, Plan, PodProgress
from inplace.engine.status.run_state import with_message
from inplace.runtime.observability.frames import Frame

REASON_SECONDS = 2.0
"""How long a reason must stay before it is printed."""
OVER_SECONDS = 10.0
"""How long something must be over before it is printed again."""
TICKING = re.compile(r"(?<![\w./:-])\d+(?:\.\d+)?(?:ms|[smhd]|(?= s\b))(?:\d+[smhd])*(?![\w./:-])")
"""Durations that change from frame to frame: `9m57s`, `0.3s`, `23 s`."""


def _now() -> datetime:
    return datetime.now(UTC)


class LineProgress:
    """`err`: prints to stderr, since stdout is for the data."""

    def __init__(self, *, err: bool = False, utcnow: Callable[[], datetime] = _now) -> None:
        self._err = err
        self._utcnow = utcnow
        self._stages: dict[str, str] = {}
        self._reasons: dict[str, tuple[str, float, bool]] = {}
        """By pod uid: the reason, since when, and whether it was printed."""
        self._updated = 0
        """How many of the printed pods have arrived."""
        self._step = ""
        self._goes_back = False
        self._printed: dict[tuple[str, str], float | None] = {}
        """What was printed of the whole run, with the time since which it no longer holds; None while it holds."""

    def note(self, line: str) -> None:
        streams.note(line)

    def update(self, frame: Frame) -> None:
        progress = frame.plan.progress
        newly_arrived = sum(pod.stage in ARRIVED and self._is_news(pod) for pod in frame.plan.pods)
        self._updated = progress.arrived - newly_arrived
        for pod in frame.plan.pods:
            self._update_pod(pod, frame)
        if frame.plan.finished is not None:
            return
        self._update_run(frame.plan, frame)

    def _update_run(self, plan: Plan, frame: Frame) -> None:
        progress, run = plan.progress, plan.run
        if run.rolling_back and not self._goes_back:
            self._print(f"going back to {images_text(run.images)}")
        self._goes_back = run.rolling_back
        waiting = progress.waiting if run.outcome is None else ""
        if progress.step and progress.step != self._step and not waiting:
            self._print(progress.step)
        self._step = progress.step
        about = {
            progress.step: ": ".join(filter(None, (progress.step, waiting))) if waiting else "",
            "outcome": with_message(run.outcome, run.message) if run.outcome is not None else "",
            "trouble": f"trouble: {frame.trouble}" if frame.trouble else "",
        }
        self._print_once({key: text for key, text in about.items() if text}, frame.now)

    def close(self) -> None:
        pass

    def _update_pod(self, pod: PodProgress, frame: Frame) -> None:
        before, is_news, reason = self._stages.get(pod.uid), self._is_news(pod), pod.description
        self._stages[pod.uid] = pod.stage
        if pod.stage == before:
            if pod.stage not in ("Pending", *ARRIVED, ""):
                self._reason(pod.uid, reason, frame.now, f"pod/{pod.name} {pod.stage}: ")
            return
        self._reasons[pod.uid] = (reason, frame.now, True)
        if not is_news:
            return
        self._updated += pod.stage in ARRIVED
        more = f" ({self._updated} of {frame.plan.progress.desired})" if pod.stage in ARRIVED else ""
        self._print(f"pod/{pod.name} {pod.stage}{more}{f': {reason}' if reason else ''}")

    def _is_news(self, pod: PodProgress) -> bool:
        """True if the stage has changed. When a run goes back, an untouched pod counts as Restored, which is no change."""
        match self._stages.get(pod.uid):
            case None:
                return pod.stage not in ("Pending", *ARRIVED, "")
            case before if pod.stage == "Restored":
                return before not in ("Pending", "Restored")
            case before:
                return pod.stage != before

    def _reason(self, uid: str, reason: str, now: float, prefix: str) -> None:
        previous, since, is_printed = self._reasons.get(uid, ("", now, True))
        if steady(reason) != steady(previous):
            previous, since, is_printed = reason, now, not reason
        if not is_printed and now - since >= REASON_SECONDS:
            self._print(f"{prefix}{reason}")
            is_printed = True
        self._reasons[uid] = (previous, since, is_printed)

    def _print_once(self, texts: dict[str, str], now: float) -> None:
        """Prints each text, by what it is about, unless the same text held a moment ago."""
        current = {(about, steady(text)): text for about, text in texts.items()}
        for key, text in current.items():
            if key not in self._printed:
                self._print(text)
        over = {key: now if since is None else since for key, since in self._printed.items() if key not in current}
        self._printed = {key: since for key, since in over.items() if now - since < OVER_SECONDS} | dict.fromkeys(current)

    def _print(self, text: str) -> None:
        streams.lines([f"{self._utcnow():%H:%M:%SZ}  {text}"], err=self._err)


def steady(text: str) -> str:
    """Returns the text without the durations that tick in it."""
    return TICKING.sub("…", text)
