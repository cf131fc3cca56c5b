"""Prints what a run would do: for `inplace plan`, and for `--dry-run` of `upgrade` and `undo`. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.output import streams, tables
from inplace.cli.output.plan_report import PlanReport, details, headline, plan_report
from inplace.cli.running.foreground import print_message
from inplace.engine.planning.plan import Caution
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.checks import Accepted, Rejected, UpToDate
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.preview import Preview, recheck
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.permissions import Purpose, format_permissions, missing_permissions, required_permissions
from inplace.runtime.run.resolver import AlreadyDone


def print_plan(
    cluster: ClusterContext,
    requested: Run,
    read_preview: Callable[[TargetView], Preview | AlreadyDone],
    output: str | None,
    *,
    is_dry: bool = False,
    on_server: bool = False,
    rehearses: bool = False,
    by_controller: bool = False,
    wants_exit_code: bool = False,
) -> ExitCode:
    """Raises `RefusedError` if the run would be refused, whoever holds the lock; other expected errors as they come."""
    purpose: Purpose = "upgrade" if on_server else "look"
    with TargetView(cluster.api, requested.target, purpose, cluster.context.make_backend()) as view:
        preview = read_preview(view)
        if isinstance(preview, AlreadyDone):
            print_message(preview.message, "NothingToDo", requested.target, is_json=output == "json")
            for warning in view.new_pod_warnings(requested):
                streams.note(f"warning: {warning}")
            return ExitCode.DONE
        if isinstance(preview.verdict, Rejected):
            raise RefusedError(preview.verdict.message)
        warnings = () if on_server else _permission_warnings(cluster, requested)
        if isinstance(preview.verdict, UpToDate):
            warnings += tuple(new_pods.cautions(preview.snapshot, requested.target, requested.options.gate))
        verdict, is_allowed = preview.verdict, on_server or (rehearses and not warnings)
        if is_allowed and isinstance(verdict, Accepted):
            preview, verdict = _rehearse(view, preview, verdict)
        now = cluster.api.clock.monotonic()
        report = plan_report(preview, verdict, now, warnings, by_controller=by_controller)
    if output in ("json", "yaml"):
        streams.structured(report, output)
    else:
        _print(report, "server dry run" if on_server else "dry run" if is_dry else "", is_wide=output == "wide")
    return ExitCode.FAILED if wants_exit_code and report.changes else ExitCode.DONE


def _rehearse(view: TargetView, preview: Preview, verdict: Accepted) -> tuple[Preview, Accepted | UpToDate]:
    """Judges the run again with the images that admission makes of it. Raises `RefusedError` if a write would be refused."""
    if preview.is_resumed and preview.stored_run is not None and preview.stored_run.id == preview.run.id:
        return preview, verdict
    rehearsal = view.resolver.rehearse(preview.run)
    if rehearsal.problem:
        raise RefusedError(rehearsal.problem)
    again = recheck(view, rehearsal.run, preview)
    if isinstance(again.verdict, Rejected):
        raise RefusedError(again.verdict.message)
    if isinstance(again.verdict, Accepted):
        warnings = (*again.verdict.warnings, *rehearsal.cautions)
        return again, msgspec.structs.replace(again.verdict, warnings=warnings)
    return again, again.verdict


def _permission_warnings(cluster: ClusterContext, requested: Run) -> tuple[Caution, ...]:
    """Warns a user who may read the target, but not upgrade it."""
    api, namespace = cluster.api.replace(limiter=None), requested.target.namespace
    missing = missing_permissions(api, namespace, required_permissions(requested.target.kind, "upgrade"))
    if not missing:
        return ()
    why = f"you may not {format_permissions(missing)} in namespace {namespace}, so the upgrade itself would be refused"
    return (Caution("MissingRights", why),)


def _print(report: PlanReport, suffix: str, *, is_wide: bool) -> None:
    streams.data(headline(report, suffix))
    if report.changes:
        tables.show_lines(details(report))
        has_steps = len(report.steps) > 1
        head = ("POD", "NODE", *(("STEP",) if has_steps else ()), "ACTION", "WHY")
        rows = [
            (pod.name, pod.node, *((str(pod.step or "-"),) if has_steps else ()), pod.action, pod.why) for pod in report.pods
        ]
        streams.data()
        tables.show(head, rows, is_wide=is_wide)
    for warning in report.warnings:
        streams.note(f"warning: {warning}")
