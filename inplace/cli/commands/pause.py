"""`inplace pause`: asks the run's holder to pause, or, if the holder is dead, takes the lock and pauses the run here."""

from __future__ import annotations

from collections.abc import Callable

from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import quiet_option, selector_option, words_argument
from inplace.cli.common.sections import command
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, print_succeeded, run_foreground
from inplace.cli.running.holder_requests import Released, describe_end, send_command


@command()
@words_argument("TARGET")
@selector_option
@quiet_option
@connection_options
def pause(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, quiet: bool) -> int:
    """Pause a run once the pods in flight are done.

    Waits until the run is paused. If the process that drives the run has died, this command finishes the pods in flight.
    """
    cluster, target = connect_target(connect, words, selector)
    match send_command(cluster, target, "pause", until_it_ends=True):
        case Released(run=run) if run is not None and run.outcome == "Paused":
            streams.data(f"{target} is paused")
            return ExitCode.DONE
        case Released(run=run) if run is None or run.outcome == "Succeeded":
            return print_succeeded(target)
        case Released(run=run):
            raise CommandExit(f"{target} was not paused, its run has ended: {describe_end(run)}", ExitCode.FAILED)
        case _:
            options = ForegroundOptions(
                is_json=False, is_quiet=quiet, timeout_seconds=None, again=cluster.command("pause", target), wanted="Paused"
            )
            return run_foreground(cluster, target, lambda session, on_frame: session.pause(on_frame), options)
