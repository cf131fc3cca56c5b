"""Decides what a command means for a target that may already have a run.

The same images resume that run, but only `resume` continues one that is paused. For other images a half-done commit is
finished first; then a new run adopts the old one's pods, whose records keep the first from-images and gate-before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.kinds.external_changes import detect_external_change, yield_to_owner
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.failures import reverse_run
from inplace.engine.planning.waits import given_up_again
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import Timers
from inplace.model.run import PauseStep, Run, RunOptions

MAX_SUPERSEDED_IMAGES = 10


class BeginRun(msgspec.Struct, frozen=True):
    """This run is to be driven. `resuming`: it was begun before."""

    run: Run
    resuming: bool


class FinishCommitFirst(msgspec.Struct, frozen=True):
    """This run's commit is to be finished; then the command is resolved again."""

    run: Run


class StillPaused(msgspec.Struct, frozen=True):
    """The run is paused, and the command does not resume it."""

    run: Run


class Overtaken(msgspec.Struct, frozen=True):
    """The workload was changed externally or replaced, so the run goes neither on nor back. When driven, it frees its pods and
    ends."""

    run: Run
    why: str


Decision = BeginRun | FinishCommitFirst | StillPaused


def resolve_command(stored: Run | None, requested: Run, overrides: Mapping[str, Any], *, overtaken: bool = False) -> Decision:
    """Resolves `upgrade`. `requested`: the run as a new one would be; `overrides`: the options that the user gave now.

    `overtaken`: somebody else has changed the workload since, so that the stored run can only be begun anew.
    """
    if stored is None or not stored.is_unfinished or stored.target_uid != requested.target_uid:
        return BeginRun(requested, resuming=False)
    if overtaken and stored.commit is None:
        return BeginRun(requested, resuming=False)
    if requested.images and not stored.is_for(requested.images):
        if stored.commit is not None:
            return FinishCommitFirst(_reopen_with(stored, {}))
        return BeginRun(_adopt_open_run(stored, requested), resuming=True)
    if stored.outcome == "Paused":
        return StillPaused(stored)
    return BeginRun(_reopen_with(stored, overrides), resuming=True)


def _adopt_open_run(stored: Run, requested: Run) -> Run:
    """Returns the new run with the pods of the open one and their previous images. Containers that only the old run named keep
    its images as their goal."""
    on_pods = {**stored.requested_images, **stored.pod_images}
    goes_back = {
        name: i for name, i in stored.pod_from_images.items() if requested.images.get(name) == stored.from_images.get(name)
    }
    return msgspec.structs.replace(
        requested,
        images={**stored.requested_images, **requested.images},
        images_before_admission={
            name: image for name, image in stored.images_before_admission.items() if name not in requested.images
        },
        pod_images={**{n: i for n, i in stored.pod_images.items() if n not in requested.images}, **goes_back},
        pod_from_images=stored.pod_from_images,
        rewritten=stored.rewritten,
        from_images={**requested.from_images, **stored.from_images},
        owners=stored.owners or requested.owners,
        superseded_images=(*stored.superseded_images, stored.requested_images, *([on_pods] if stored.pod_images else []))[
            -MAX_SUPERSEDED_IMAGES:
        ],
        adopts_template=requested.adopts_template or stored.adopts_template,
    )


def inherit_strategy(requested: Run, stored: Run | None, target_uid: str) -> Run:
    """Returns a new run with the update strategy that an open one saved, since the present one is that run's, not the
    owner's."""
    if stored is None or not stored.is_unfinished or stored.target_uid != target_uid:
        return requested
    return msgspec.structs.replace(requested, saved_strategy=stored.saved_strategy)


def check_overtaken(stored: Run | None, snapshot: Snapshot) -> Overtaken | None:
    """Returns how an open run was overtaken by an external change of the workload; None if it was not."""
    if stored is None or not stored.is_unfinished:
        return None
    broken = detect_external_change(snapshot, refresh_owner_settings(stored, snapshot), Timers({}, 0.0))
    if broken is None:
        return None
    return Overtaken(for_next_start(stored), broken.reason)


def has_leftovers(overtaken_run: Overtaken, snapshot: Snapshot) -> bool:
    """Whether an overtaken run still has records on the pods, or holds the workload back."""
    run = refresh_owner_settings(overtaken_run.run, snapshot)
    return any(facts.record is not None for facts in snapshot.pods) or yield_to_owner(snapshot, run) is not None


def refresh_owner_settings(run: Run, snapshot: Snapshot) -> Run:
    """Returns the run with the owner's present settings of the workload: `paused`, or the update strategy unless this run has
    set it itself."""
    return strategy_for(snapshot).owner_settings(run)


def resume(stored: Run, snapshot: Snapshot) -> BeginRun | Overtaken:
    """Resolves `resume` for an open run without a living holder: passes the pause step that it is at."""
    return check_overtaken(stored, snapshot) or BeginRun(_reopen_with(pass_pause(stored), {}), resuming=True)


def is_at_pause_step(run: Run) -> bool:
    """Whether the run is at a pause step, with or without a duration."""
    step = run.steps_passed
    return step < len(run.options.steps) and isinstance(run.options.steps[step], PauseStep)


def pass_pause(run: Run) -> Run:
    return msgspec.structs.replace(run, steps_passed=run.steps_passed + 1) if is_at_pause_step(run) else run


def abort(run: Run, by: str) -> Run:
    """Returns the run reversed at the request of `by`. Once the commit has begun it is finished instead, and can be undone."""
    return run if run.commit is not None else reverse_run(run, "Abort", f"aborted {format_requester(by)}")


def format_requester(by: str) -> str:
    """Formats who requested it, as far as that is known."""
    return f"by {by}" if by else "on request"


def abort_orphaned(stored: Run, snapshot: Snapshot, by: str) -> BeginRun | FinishCommitFirst | Overtaken:
    """Resolves `abort` for an open run without a living holder."""
    overtaken_run, again = check_overtaken(stored, snapshot), _reopen_with(stored, {})
    if overtaken_run is not None:
        return overtaken_run
    return FinishCommitFirst(again) if again.commit is not None else BeginRun(abort(again, by), resuming=True)


def for_next_start(run: Run) -> Run:
    """Returns the run as it is started again: what failed or was given up is retried. A run whose holder died keeps its
    deadlines."""
    commit = msgspec.structs.replace(run.commit, undo_reason="") if run.commit is not None else None
    waits = run.waits if run.outcome is None else given_up_again(run.waits)
    return msgspec.structs.replace(
        run, outcome=None, failures=(), more_failed=0, gave_up="", forgone={}, commit=commit, waits=waits
    )


def reopen(run: Run) -> Run:
    """Returns an open run to be continued with its own options."""
    return _reopen_with(run, {})


def _reopen_with(run: Run, overrides: Mapping[str, Any]) -> Run:
    options: RunOptions = msgspec.structs.replace(run.options, **overrides)
    # With other steps than before, the position follows from the pods, and pause steps are met again.
    steps_passed = run.steps_passed if options.steps == run.options.steps else 0
    return msgspec.structs.replace(
        for_next_start(run),
        options=options,
        steps_passed=steps_passed,
        revision="",
        message="" if not run.rolling_back else run.message,
    )
