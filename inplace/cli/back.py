"""`inplace abort` and `inplace undo`: back to the images before, in place, by the same steps and rules as forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from inplace.cli import names, out
from inplace.cli.asking import LetGo, NoHolder, Obeyed, ask, stored_run
from inplace.cli.driving import Showing, drive, say
from inplace.cli.exits import Code, Ended
from inplace.cli.options import (
    connected,
    controller_option,
    dry_run_option,
    output_option,
    quiet_option,
    run_options,
    selector_option,
    timeout_option,
    words_argument,
)
from inplace.cli.upgrade import asked_run
from inplace.cli.verbs import how_it_ended, opened
from inplace.cli.world import Cluster
from inplace.model.names import TargetRef
from inplace.model.rollout import Undo
from inplace.model.run import Run
from inplace.runtime.brakes import refuse_braked
from inplace.runtime.found import Refused
from inplace.runtime.lock import leader_of
from inplace.runtime.overview import overview

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
@connected
def abort(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, output: str | None, quiet: bool) -> int:
    """Abort a run and roll its pods back, in place.

    Leaves nothing of the run on the pods or the workload; a template that its owner had changed before the run stays. To stop
    halfway and go on later, use `pause`. A run whose commit has begun is finished first, and then undone. A living holder is
    asked to go back, and waited for; else it is done here.

    Exit codes: 0 the pods run what they ran before, else as for `upgrade`; 5 where there is no run. Of bare pods nothing is
    kept to undo a run that has succeeded meanwhile: then 1.
    """
    cluster, target = opened(connect, words, selector)
    match ask(cluster, target, "abort", until_it_ends=True):
        case LetGo(run=run) if run is not None and run.outcome in ("Aborted", "RolledBack"):
            told = f"{target} is back at its previous images: {run.message}"
            say(told, run.outcome, target, is_json=output == "json")
            return Code.DONE
        case LetGo(run=None, last=last):
            return _gone(cluster, target, last, is_json=output == "json")
        case LetGo(run=run) if run is not None and run.back is not None:
            raise Ended(f"{target} could not be rolled back: {how_it_ended(run)}", Code.FAILED)
        case LetGo(run=run) if run is not None and run.outcome == "Succeeded":
            out.note(f"{target} had already succeeded: undoing it")
        case LetGo() | NoHolder() | Obeyed():
            pass
    asked = asked_run(cluster, target, {}, {})
    how = Showing(output == "json", quiet, None, cluster.command("abort", target), "Aborted")
    return drive(cluster, target, lambda session, told: session.abort(asked, told), how)


def _gone(cluster: Cluster, target: TargetRef, last: Run, *, is_json: bool) -> Code:
    """The Lease went while its holder was asked, as that of bare pods does at the end: what they run now tells which end."""
    pods = overview(cluster.api, target).pods if target.kind == "Pods" else ()

    def all_run(images: dict[str, str]) -> bool:
        return bool(pods and images) and all(pod.images.get(name) == images[name] for pod in pods for name in images)

    if all_run(last.from_images):
        say(f"{target} is back at its previous images", "Aborted", target, is_json=is_json)
        return Code.DONE
    if all_run(last.asked_images):
        raise Ended(f"the run of {target} had already succeeded: nothing to abort", Code.FAILED)
    look = cluster.command("status", target)
    raise Ended(f"the Lease of {target} is gone, so how its run ended is unknown; see: {look}", Code.FAILED)


@click.command(epilog=UNDO_EXAMPLES)
@words_argument("TARGET")
@selector_option
@click.option(
    "--to-revision",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=names.revisions,
    help="The revision to go back to (the previous one).",
)
@run_options
@timeout_option
@dry_run_option
@controller_option
@output_option("json")
@quiet_option
@connected
@click.pass_context
def undo(
    ctx: click.Context,
    connect: Callable[[], Cluster],
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
    cluster, target = opened(connect, words, selector)
    asked = asked_run(cluster, target, {}, given)
    if dry_run != "none":
        from inplace.cli.plan import show

        look = lambda session: session.preview_undo(asked, to_revision, given)  # noqa: E731
        on_server = dry_run == "server"
        return show(cluster, asked, look, output, is_dry=True, on_server=on_server, by_controller=with_controller)
    how = Showing(output == "json", quiet, timeout, ctx.obj.same_command(), follows=with_controller)
    if with_controller:
        from inplace.cli.controlled import hand_over

        return hand_over(cluster, asked, how, Undo(to_revision=to_revision or 0))
    has_paused = _make_room(cluster, target)
    try:
        return drive(cluster, target, lambda session, told: session.undo(asked, to_revision, given, told), how)
    except KeyboardInterrupt:
        if has_paused:
            line = f"interrupted; the run before was paused for this; resume it with: {cluster.command('resume', target)}"
            raise Ended(line, Code.INTERRUPTED) from None
        raise


def _make_room(cluster: Cluster, target: TargetRef) -> bool:
    """A living holder of anything but an undo is asked to stop. Whether one has paused for us."""
    lease, run = stored_run(cluster, target)
    if lease is None or run is None or run.doing == "Undo" or not lease.spec.holder_identity:
        return False
    refuse_braked(cluster.api, target, run)
    if leader_of(lease.spec.holder_identity) is not None:
        # A controller holds on to what it has paused, so there is no taking over from it.
        raise Refused(f"{target} is being upgraded by a controller; to roll that run back: {cluster.command('abort', target)}")
    match ask(cluster, target, "pause", until_it_ends=True):
        case LetGo(run=ended) if ended is not None:
            out.note(f"its run has stopped: {how_it_ended(ended)}")
            return ended.outcome == "Paused"
        case _:
            return False
