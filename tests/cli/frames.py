"""Builds frames as a driver would."""

from __future__ import annotations

from inplace.engine.planning.plan import Plan, PodProgress, Progress
from inplace.engine.pods.stages import Stage
from inplace.model.run import Run
from inplace.runtime.observability.frames import Frame
from tests.builders import observed
from tests.builders import run as a_run


def view(name: str, stage: Stage = "Pending", reason: str = "", image: str = "repo/app:1", node: str = "node-1") -> PodProgress:
    return PodProgress(name, f"uid-{name}", node, stage, reason, image)


def frame(
    now: float,
    *pods: PodProgress,
    step: str = "",
    waiting: str = "",
    trouble: str = "",
    since: dict[str, float] | None = None,
    failed: int = 0,
    run: Run | None = None,
) -> Frame:
    updated = sum(pod.stage == "Updated" for pod in pods)
    flying = sum(pod.stage in ("Closing", "Settling", "Restarting", "Returning") for pod in pods)
    progress = Progress(len(pods), updated, flying, flying, failed, step, waiting, arrived=updated)
    return Frame(observed(), Plan(run=run or a_run(), pods=pods, progress=progress), since or {}, now, trouble)
