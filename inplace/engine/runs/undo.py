"""Resolves the images that `undo` returns to: those before an open run, else those of a revision of the workload's history,
else those before the last run.

Only images can change in place, so a revision that differs in more is refused, with its differences named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.pods.goals import goal_of
from inplace.engine.preflight.checks import Rejected
from inplace.engine.runs.history import revisions
from inplace.engine.runs.lifecycle import check_overtaken
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.revisions import Revision
from inplace.engine.workloads.templates import differences, images_of
from inplace.model.run import Run, RunOptions, parse_steps


class UndoTarget(msgspec.Struct, frozen=True):
    """The images to return to; none if the pods run them already. `what`: a description for users."""

    images: dict[str, str]
    what: str


def resolve_undo_target(snapshot: Snapshot, name: str, stored: Run | None, to_revision: int | None) -> UndoTarget | Rejected:
    """Resolves the target of an undo. `stored`: the last run, open or not; `name`: the target for messages. If others have
    rolled out something since an open run began, their revision is what is undone."""
    is_of_this = stored is not None and stored.target_uid == workload.uid_of(snapshot)
    is_open = stored is not None and stored.is_unfinished and is_of_this and check_overtaken(stored, snapshot) is None
    if stored is not None and is_open and to_revision is None:
        return _before_run(stored)
    history = revisions(snapshot.target)
    if to_revision is not None:
        if not strategy_for(snapshot).has_history:
            return Rejected(f"{name} has no revision history: say the images, with `inplace upgrade`")
        revision = next((r for r in history if r.number == to_revision), None)
        if revision is None:
            have = ", ".join(str(r.number) for r in history) or "none"
            return Rejected(f"{name} has no revision {to_revision}; it has: {have}")
        return _to_revision(snapshot, revision, stored if is_open else None, name)
    is_last = stored is not None and _all_pods_match(snapshot, stored)
    if stored is not None and stored.from_images and is_last and (len(history) < 2 or "history" in stored.forgone):
        return UndoTarget(stored.from_images, f"what they ran before run {stored.id}")
    if len(history) > 1:
        return _to_revision(snapshot, history[-2], None, name)
    if stored is None and not strategy_for(snapshot).has_controller:
        why = "nothing is kept of a bare pod's run once it has ended"
        return Rejected(f"{name} cannot be undone: {why}: say the images, with `upgrade`")
    why = "its history has one revision only" if history else "it has no revision history"
    return Rejected(f"{name} cannot be undone: {why}, and its pods are not as a run left them: say the images, with `upgrade`")


def _all_pods_match(snapshot: Snapshot, stored: Run) -> bool:
    goal = goal_of(msgspec.structs.replace(stored, images=stored.requested_images, rollback_reason=None, original_images=None))
    return all(goal.is_met_by(facts) for facts in snapshot.pods)


def undo_options(stored: Run | None, overrides: Mapping[str, Any]) -> RunOptions:
    """Returns the options of the previous run, but in one step and pausing at a failure, unless overridden."""
    before = stored.options if stored is not None else RunOptions()
    usual: dict[str, Any] = {"steps": parse_steps("100%"), "on_failure": "pause", "max_failed": 0}
    return msgspec.structs.replace(before, **{**usual, **overrides})


def _before_run(stored: Run) -> UndoTarget | Rejected:
    if stored.operation == "Undo":
        return UndoTarget(stored.requested_images, f"to the end of run {stored.id}, which is an undo")
    images = {name: stored.from_images[name] for name in stored.requested_images if name in stored.from_images}
    if not images:
        return Rejected(f"the run of {stored.target} does not say what its pods ran before: say the images, with `upgrade`")
    return UndoTarget(images, f"what they ran before run {stored.id}")


def _to_revision(snapshot: Snapshot, revision: Revision, open_run: Run | None, name: str) -> UndoTarget | Rejected:
    target_workload = snapshot.target.workload
    assert target_workload is not None
    template = target_workload.spec.template
    changed = differences(revision.template, template)
    if changed:
        return Rejected(
            f"revision {revision.number} of {name} differs from its template in more than images ({', '.join(changed[:5])}):"
            f" that takes new pods, `kubectl rollout undo {name} --to-revision={revision.number}`"
        )
    have = images_of(template)
    begun = open_run.requested_images if open_run is not None else {}
    images = {c: image for c, image in revision.images.items() if c in begun or have.get(c) != image}
    return UndoTarget(images, f"revision {revision.number}")
