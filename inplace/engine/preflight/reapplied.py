"""Recognizes an `InPlaceRollout` that expired by its ttl and exists again, since a tool keeps applying it from Git.

A run is done once. If its result is still in place, the new object has nothing to do. If a user has undone it or moved on to
other images, it would revert that after each sync. The history in the target's Lease has the last runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.templates import has_images
from inplace.model.history import PastRun
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import Run, format_signature

TRACKED: Mapping[str, str] = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Annotations and labels by which these tools recognize what they apply."""


def reapplied_reason(rollout: InPlaceRollout, run: Run, history: Sequence[PastRun], snapshot: Snapshot) -> str:
    """Says why the run of a new object must not begin; empty if it may. `run`: the new run; `history`: the newest last.

    A run that failed before is tried again.
    """
    target_workload = snapshot.target.workload
    matching = [i for i, past in enumerate(history) if past.expiring_rollout == rollout.metadata.name and _did(past, run)]
    if not matching or target_workload is None or run.adopts_template:
        return ""
    mine, later = history[matching[-1]], history[matching[-1] + 1 :]
    if run.operation == "Upgrade" and has_images(target_workload.spec.template, run.images):
        return ""
    return f"{_how_it_went(mine, later)}; to do it again make another object, with another name or other images"


def _did(past: PastRun, run: Run) -> bool:
    """Whether the past run did the same, to the end or until a user aborted it."""
    if past.operation != run.operation or past.outcome not in ("Succeeded", "Aborted"):
        return False
    return run.operation == "Undo" or run.images.items() <= past.images.items()


def _how_it_went(mine: PastRun, later: Sequence[PastRun]) -> str:
    ran = f"it ran already, as an object of this name that has expired (run {mine.id})"
    if mine.outcome == "Aborted":
        return f"{ran}, and was aborted at {mine.ended_at}"
    if mine.operation == "Undo":
        return f"{ran}, until {mine.ended_at}: a second undo would go forward again"
    other = next((past for past in later if past.images.items() != mine.images.items()), None)
    if other is None:
        return f"{ran}, until {mine.ended_at}, and somebody has rolled out other images since"
    what = "undone" if other.operation == "Undo" else "replaced by other images"
    return f"{ran}, and was {what} at {other.ended_at} by {format_signature(other.created_by, other.client) or 'somebody'}"


def gitops_warning(rollout: InPlaceRollout) -> str:
    """Returns a warning if a tool that applies objects repeatedly manages one that expires; else empty."""
    marks = {**(rollout.metadata.labels or {}), **(rollout.metadata.annotations or {})}
    tools = sorted({tool for mark, tool in TRACKED.items() if mark in marks})
    if rollout.spec.ttl_seconds_after_finished is None or not tools:
        return ""
    return f"{', '.join(tools)} applies it again after each ttlSecondsAfterFinished: leave that out, and remove it from Git"
