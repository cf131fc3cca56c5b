"""What `plan` and the dry runs show: the run that an upgrade or an undo would drive now, and whether it may begin. Only
reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.preflight import checks
from inplace.engine.runs import lifecycle
from inplace.engine.snapshot import Snapshot
from inplace.model.objects.coordination import Lease
from inplace.model.run import Run, lease_name
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.run.assembly import new_lock
from inplace.runtime.run.resolver import AlreadyDone, load_stored_run


class Preview(msgspec.Struct, frozen=True):
    """What an upgrade would be judged on now. `requested`: as a new run would be; `run`: as it would be driven; `stored_run`:
    as the Lease has it, whose `holder` need not be alive."""

    snapshot: Snapshot
    requested: Run
    run: Run
    is_resumed: bool
    verdict: checks.Verdict
    stored_run: Run | None = None
    holder: str = ""


def preview_upgrade(view: TargetView, requested: Run, overrides: Mapping[str, Any]) -> Preview:
    """`overrides`: the options that the person named. Raises `RefusedError` where a stored run cannot be read."""
    return _preview(view, requested, overrides, _read_lease(view))


def preview_undo(
    view: TargetView, requested: Run, to_revision: int | None, overrides: Mapping[str, Any]
) -> Preview | AlreadyDone:
    """As `preview_upgrade`, for an undo."""
    lease = _read_lease(view)
    undo = view.resolver.resolve_undo(requested, to_revision, overrides, load_stored_run(lease))
    return undo if isinstance(undo, AlreadyDone) else _preview(view, undo, overrides, lease)


def recheck(view: TargetView, run: Run, preview: Preview) -> Preview:
    """The same preview of the run as it is known now, judged on a new snapshot."""
    snapshot = view.look_with_openers(run)
    verdict = checks.preflight(snapshot, run, lease_name(view.target), preview.is_resumed)
    return msgspec.structs.replace(preview, snapshot=snapshot, run=run, verdict=verdict)


def _preview(view: TargetView, requested: Run, overrides: Mapping[str, Any], lease: Lease | None) -> Preview:
    stored, holder = load_stored_run(lease), (lease.spec.holder_identity or "") if lease is not None else ""
    match view.resolver.decide(requested, overrides, stored):
        case lifecycle.BeginRun(run=run, resuming=is_resumed):
            pass
        case lifecycle.FinishCommitFirst(run=run) | lifecycle.StillPaused(run=run):
            is_resumed = True
    snapshot = view.look_with_openers(run)
    if not run.images:
        return Preview(snapshot, requested, run, is_resumed, checks.UpToDate(), stored, holder)
    verdict = view.resolver.preflight(snapshot, run, is_resumed)
    return Preview(snapshot, requested, run, is_resumed, verdict, stored, holder)


def _read_lease(view: TargetView) -> Lease | None:
    return new_lock(view.api, view.target, None, "").read()
