"""`inplace undo`: rolls a target back in place, by the same steps and rules as the way forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from inplace.cli.common import completions
from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import driving_options, selector_option, words_argument
from inplace.cli.common.sections import command, option
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, SessionAction, run_foreground
from inplace.cli.running.holder_requests import Released, describe_end, send_command, stored_run
from inplace.cli.running.new_run import new_run
from inplace.model.refs import TargetRef
from inplace.model.rollout import Undo
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.spec_paused import require_not_paused
from inplace.runtime.lease.lock import parse_leader

EXAMPLES = """\
\b
  inplace undo deploy/web
  inplace undo deploy/web --to-revision 3 --max-unavailable 1
"""


@command(epilog=EXAMPLES)
@words_argument("TARGET")
@selector_option
@option(
    "--to-revision",
    type=click.IntRange(min=1),
    metavar="N",
    section="Target",
    shell_complete=completions.revisions,
    help="Revision to go back to (default: the previous one).",
)
@driving_options
@connection_options
@click.pass_obj
def undo(
    context: CliContext,
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    to_revision: int | None,
    overrides: dict[str, Any],
    timeout: float | None,
    dry_run: str,
    with_controller: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Roll back to the previous images, or to those of a revision, in place.

    While a run is going on, goes back to the images that its pods ran before. If another process drives that run, `undo` pauses
    it and then takes over. After a run, goes back to the previous revision, as `kubectl rollout undo` does, provided that the
    revisions differ only in images. Bare pods can be undone only while their run is going on, since nothing is kept of it
    afterwards.

    The rollback uses the options of the last run (gate, settle time, budget), unless you override them, but goes back in a
    single step. If it is interrupted, the same command resumes it.

    Exit codes: as for `upgrade`.
    """
    cluster, target = connect_target(connect, words, selector)
    requested = new_run(cluster, target, {}, overrides)
    if dry_run != "none":
        from inplace.cli.running.dry_run import print_plan
        from inplace.runtime.foreground.preview import preview_undo

        return print_plan(
            cluster,
            requested,
            lambda view: preview_undo(view, requested, to_revision, overrides),
            output,
            is_dry=True,
            on_server=dry_run == "server",
            by_controller=with_controller,
        )
    options = ForegroundOptions(
        is_json=output == "json", is_quiet=quiet, timeout_seconds=timeout, again=context.same_command(), follows=with_controller
    )
    if with_controller:
        from inplace.cli.running.via_controller import run_via_controller

        return run_via_controller(cluster, requested, options, Undo(to_revision=to_revision or 0))
    return _undo_in_foreground(
        cluster, target, lambda session, on_frame: session.undo(requested, to_revision, overrides, on_frame), options
    )


def _undo_in_foreground(cluster: ClusterContext, target: TargetRef, act: SessionAction, options: ForegroundOptions) -> ExitCode:
    """Pauses a living holder first, and says how to resume its run if this undo is interrupted before it has begun."""
    has_paused = _pause_holder(cluster, target)
    try:
        return run_foreground(cluster, target, act, options)
    except KeyboardInterrupt:
        if has_paused:
            resume = cluster.command("resume", target)
            line = f"interrupted; the previous run was paused for this undo; resume it with: {resume}"
            raise CommandExit(line, ExitCode.INTERRUPTED) from None
        raise


def _pause_holder(cluster: ClusterContext, target: TargetRef) -> bool:
    """Pauses a living holder, unless it drives an undo. Returns whether it paused. Raises `RefusedError` for a controller."""
    lease, run = stored_run(cluster, target)
    if lease is None or run is None or run.operation == "Undo" or not lease.spec.holder_identity:
        return False
    require_not_paused(cluster.api, target, run)
    if parse_leader(lease.spec.holder_identity) is not None:
        # A controller keeps the Lease of a run that it has paused, so that nobody else can take it over.
        raise RefusedError(
            f"{target} is being upgraded by a controller; to roll that run back: {cluster.command('abort', target)}"
        )
    match send_command(cluster, target, "pause", until_it_ends=True):
        case Released(run=ended) if ended is not None:
            streams.note(f"its run has stopped: {describe_end(ended)}")
            return ended.outcome == "Paused"
        case _:
            return False
