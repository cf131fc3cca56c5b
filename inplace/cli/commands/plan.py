"""`inplace plan`: what `upgrade` would do with the same words, changing nothing; and `upgrade --dry-run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from inplace.cli.commands.upgrade import asked_run, require_template
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import (
    as_usage_error,
    connection_options,
    output_option,
    run_options,
    selector_option,
    words_argument,
)
from inplace.cli.common.targets import parse_arguments
from inplace.cli.output import streams, tables
from inplace.cli.output.plan_report import PlanReport, details, headline, outline
from inplace.cli.running.foreground import print_message
from inplace.engine.planning.plan import Caution
from inplace.engine.preflight import new_pods
from inplace.engine.preflight.checks import Accepted, Rejected, UpToDate
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.session import Preview, Session, identity
from inplace.runtime.permissions import Purpose, format_permissions, missing_permissions, required_permissions
from inplace.runtime.run.resolver import AlreadyDone


@click.command()
@words_argument("TARGET CONTAINER=IMAGE...")
@selector_option
@run_options
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there is something to do.")
@output_option("json", "yaml", "wide")
@connection_options
def plan(
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    given: dict[str, Any],
    exit_code: bool,
    output: str | None,
) -> int:
    """Show what an upgrade would do, and change nothing.

    Takes the words of `upgrade`. Lists every pod in the order of work, with what would happen to it and why not.

    Where somebody holds the target's lock it says so, and not whether that one lives: while it does, `upgrade` is refused.

    Exit codes: 0 shown, a target that is locked, too (with --exit-code: 1 where there is something to do), 2 usage, 5 the
    upgrade would be refused for another reason than a lock.
    """
    target, images = as_usage_error(parse_arguments, words, selector)
    require_template(target, images)
    cluster = connect()
    asked = asked_run(cluster, target, images, given)
    return show(
        cluster, asked, lambda session: session.preview(asked, given), output, rehearses=True, wants_exit_code=exit_code
    )


def show(
    cluster: ClusterContext,
    asked: Run,
    look: Callable[[Session], Preview | AlreadyDone],
    output: str | None,
    *,
    is_dry: bool = False,
    on_server: bool = False,
    rehearses: bool = False,
    by_controller: bool = False,
    wants_exit_code: bool = False,
) -> ExitCode:
    """What `look` finds. Raises what is expected; `Refused` where the upgrade, or the undo, would be whoever holds the lock."""
    purpose: Purpose = "upgrade" if on_server else "look"
    with Session(cluster.api, asked.target, identity(), purpose, streams.note, cluster.world.make_host()) as session:
        preview = look(session)
        if isinstance(preview, AlreadyDone):
            print_message(preview.message, "NothingToDo", asked.target, is_json=output == "json")
            for warning in session.new_pods(asked):
                streams.note(f"warning: {warning}")
            return ExitCode.DONE
        if isinstance(preview.verdict, Rejected):
            raise RefusedError(preview.verdict.message)
        warnings = () if on_server else _rights_warning(cluster, asked)
        if isinstance(preview.verdict, UpToDate):
            warnings += tuple(new_pods.cautions(preview.snapshot, asked.target, asked.options.gate))
        verdict, is_allowed = preview.verdict, on_server or (rehearses and not warnings)
        if is_allowed and isinstance(verdict, Accepted):
            preview, verdict = _rehearsed(session, preview, verdict)
        now = cluster.api.clock.monotonic()
        found = outline(preview, verdict, now, warnings, by_controller=by_controller)
    if output in ("json", "yaml"):
        streams.structured(found, output)
    else:
        _print(found, "server dry run" if on_server else "dry run" if is_dry else "", is_wide=output == "wide")
    return ExitCode.FAILED if wants_exit_code and found.changes else ExitCode.DONE


def _rehearsed(session: Session, preview: Preview, verdict: Accepted) -> tuple[Preview, Accepted | UpToDate]:
    """With what the API server makes of the images. Raises `Refused` where it would not take a write."""
    if preview.is_resumed and preview.stored_run is not None and preview.stored_run.id == preview.run.id:
        return preview, verdict
    found = session.rehearse(preview.run)
    if found.problem:
        raise RefusedError(found.problem)
    again = session.recheck(found.run, preview)
    if isinstance(again.verdict, Rejected):
        raise RefusedError(again.verdict.message)
    if isinstance(again.verdict, Accepted):
        told = (*again.verdict.warnings, *found.cautions)
        return again, msgspec.structs.replace(again.verdict, warnings=told)
    return again, again.verdict


def _rights_warning(cluster: ClusterContext, asked: Run) -> tuple[Caution, ...]:
    """Whoever may look need not be allowed to upgrade."""
    api, namespace = cluster.api.replace(limiter=None), asked.target.namespace
    missing = missing_permissions(api, namespace, required_permissions(asked.target.kind, "upgrade"))
    if not missing:
        return ()
    why = f"you may not {format_permissions(missing)} in namespace {namespace}, so the upgrade itself would be refused"
    return (Caution("MissingRights", why),)


def _print(found: PlanReport, suffix: str, *, is_wide: bool) -> None:
    streams.data(headline(found, suffix))
    if found.changes:
        tables.show_lines(details(found))
        has_steps = len(found.steps) > 1
        head = ("POD", "NODE", *(("STEP",) if has_steps else ()), "ACTION", "WHY")
        rows = [(pod.name, pod.node, *((str(pod.step or "-"),) if has_steps else ()), pod.does, pod.why) for pod in found.pods]
        streams.data()
        tables.show(head, rows, is_wide=is_wide)
    for warning in found.warnings:
        streams.note(f"warning: {warning}")
