"""`inplace abort` and `inplace undo`: back to the images before, in place, by the same steps and rules as forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from inplace.cli.commands.resume import connect_target, describe_end
from inplace.cli.commands.upgrade import asked_run
from inplace.cli.common import completions
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import (
    connection_options,
    controller_option,
    dry_run_option,
    output_option,
    quiet_option,
    run_options,
    selector_option,
    timeout_option,
    words_argument,
)
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, print_message, run_foreground
from inplace.cli.running.holder_requests import Acknowledged, HolderGone, Released, send_command, stored_run
from inplace.model.refs import TargetRef
from inplace.model.rollout import Undo
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.spec_paused import require_not_paused
from inplace.runtime.foreground.target_status import read_status
from inplace.runtime.lease.lock import parse_leader

UNDO_EXAMPLES = """\
\b
  inplace undo deploy/web
  inplace undo deploy/web --to-revision 3 --max-unavailable 1
"""


@click.command()
@words_argument("TARGET")
@selector_option
@output_option("json")
@quiet_option
@connection_options
def abort(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, output: str | None, quiet: bool) -> int:
    """Abort a run and roll its pods back, in place.

    Leaves nothing of the run on the pods or the workload; a template that its owner had changed before the run stays. To stop
    halfway and go on later, use `pause`. A run whose commit has begun is finished first, and then undone. A living holder is
    asked to go back, and waited for; else it is done here.

    Exit codes: 0 the pods run what they ran before, else as for `upgrade`; 5 where there is no run. Of bare pods nothing is
    kept to undo a run that has succeeded meanwhile: then 1.
    """
    cluster, target = connect_target(connect, words, selector)
    match send_command(cluster, target, "abort", until_it_ends=True):
        case Released(run=run) if run is not None and run.outcome in ("Aborted", "RolledBack"):
            told = f"{target} is back at its previous images: {run.message}"
            print_message(told, run.outcome, target, is_json=output == "json")
            return ExitCode.DONE
        case Released(run=None, last=last):
            return _abort_after_lease_deleted(cluster, target, last, is_json=output == "json")
        case Released(run=run) if run is not None and run.rollback_reason is not None:
            raise CommandExit(f"{target} could not be rolled back: {describe_end(run)}", ExitCode.FAILED)
        case Released(run=run) if run is not None and run.outcome == "Succeeded":
            streams.note(f"{target} had already succeeded: undoing it")
        case Released() | HolderGone() | Acknowledged():
            pass
    asked = asked_run(cluster, target, {}, {})
    how = ForegroundOptions(output == "json", quiet, None, cluster.command("abort", target), "Aborted")
    return run_foreground(cluster, target, lambda session, told: session.abort(asked, told), how)


def _abort_after_lease_deleted(cluster: ClusterContext, target: TargetRef, last: Run, *, is_json: bool) -> ExitCode:
    """The Lease went while its holder was asked, as that of bare pods does at the end: what they run now tells which end."""
    pods = read_status(cluster.api, target).pods if target.kind == "Pods" else ()

    def all_run(images: dict[str, str]) -> bool:
        return bool(pods and images) and all(pod.images.get(name) == images[name] for pod in pods for name in images)

    if all_run(last.from_images):
        print_message(f"{target} is back at its previous images", "Aborted", target, is_json=is_json)
        return ExitCode.DONE
    if all_run(last.requested_images):
        raise CommandExit(f"the run of {target} had already succeeded: nothing to abort", ExitCode.FAILED)
    look = cluster.command("status", target)
    raise CommandExit(f"the Lease of {target} is gone, so how its run ended is unknown; see: {look}", ExitCode.FAILED)


@click.command(epilog=UNDO_EXAMPLES)
@words_argument("TARGET")
@selector_option
@click.option(
    "--to-revision",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=completions.revisions,
    help="The revision to go back to (the previous one).",
)
@run_options
@timeout_option
@dry_run_option
@controller_option
@output_option("json")
@quiet_option
@connection_options
@click.pass_context
def undo(
    ctx: click.Context,
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    to_revision: int | None,
    given: dict[str, Any],
    timeout: float | None,
    dry_run: str,
    with_controller: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Roll back to the previous images, or to those of a revision, in place.

    In the middle of a run: to what its pods ran before it; its holder is asked to pause, and taken over from. Else to the
    revision before the newest, as `kubectl rollout undo` does, if that differs in images alone. It is done as the last run was
    (gate, settle time, budget), unless options say otherwise, but in one step. The same command again goes on, until it has
    ended. Bare pods can be undone in the middle of a run only: nothing is kept of it once it has ended.

    Exit codes: as for `upgrade`.
    """
    cluster, target = connect_target(connect, words, selector)
    asked = asked_run(cluster, target, {}, given)
    if dry_run != "none":
        from inplace.cli.commands.plan import show

        look = lambda session: session.preview_undo(asked, to_revision, given)  # noqa: E731
        on_server = dry_run == "server"
        return show(cluster, asked, look, output, is_dry=True, on_server=on_server, by_controller=with_controller)
    how = ForegroundOptions(output == "json", quiet, timeout, ctx.obj.same_command(), follows=with_controller)
    if with_controller:
        from inplace.cli.running.via_controller import run_via_controller

        return run_via_controller(cluster, asked, how, Undo(to_revision=to_revision or 0))
    has_paused = _pause_holder(cluster, target)
    try:
        return run_foreground(cluster, target, lambda session, told: session.undo(asked, to_revision, given, told), how)
    except KeyboardInterrupt:
        if has_paused:
            line = f"interrupted; the run before was paused for this; resume it with: {cluster.command('resume', target)}"
            raise CommandExit(line, ExitCode.INTERRUPTED) from None
        raise


def _pause_holder(cluster: ClusterContext, target: TargetRef) -> bool:
    """A living holder of anything but an undo is asked to stop. Whether one has paused for us."""
    lease, run = stored_run(cluster, target)
    if lease is None or run is None or run.operation == "Undo" or not lease.spec.holder_identity:
        return False
    require_not_paused(cluster.api, target, run)
    if parse_leader(lease.spec.holder_identity) is not None:
        # A controller holds on to what it has paused, so there is no taking over from it.
        raise RefusedError(
            f"{target} is being upgraded by a controller; to roll that run back: {cluster.command('abort', target)}"
        )
    match send_command(cluster, target, "pause", until_it_ends=True):
        case Released(run=ended) if ended is not None:
            streams.note(f"its run has stopped: {describe_end(ended)}")
            return ended.outcome == "Paused"
        case _:
            return False
