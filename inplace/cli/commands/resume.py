"""`inplace resume` and `promote`: ask the run's holder to go on, or, if the holder is dead, take the lock and drive the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import F, output_option, quiet_option, selector_option, timeout_option, words_argument
from inplace.cli.common.sections import command
from inplace.cli.running.foreground import ForegroundOptions, print_message, print_succeeded, run_foreground
from inplace.cli.running.holder_requests import Acknowledged, Released, open_run, send_command
from inplace.engine.runs.lifecycle import is_at_pause_step
from inplace.model.refs import TargetRef
from inplace.model.run import RunCommand
from inplace.runtime.errors import RefusedError


def resume_options(function: F) -> click.Command:
    """Makes a command of `function`, with the arguments and options that `resume` and `promote` share."""
    words = words_argument("TARGET")
    words_and_options = words(
        selector_option(timeout_option(output_option("json")(quiet_option(connection_options(function)))))
    )
    resuming: click.Command = command()(words_and_options)
    return resuming


@resume_options
def resume(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, **output: Any) -> int:
    """Resume a paused or interrupted run, past its pause if it waits at one.

    If another process drives the run, asks that process to go on, past a timed pause, too. Otherwise drives the run here, as
    `upgrade` does.

    Exit codes: as for `upgrade`; 5 if there is no run.
    """
    cluster, target = connect_target(connect, words, selector)
    return _resume(cluster, target, "resume", **output)


@resume_options
def promote(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, **output: Any) -> int:
    """Promote a run past the pause it waits at, timed or not.

    Like `resume`, but refused unless the run is waiting at a pause of its steps.

    Exit codes: as for `upgrade`; 5 if there is no run, or it is not at a pause.
    """
    cluster, target = connect_target(connect, words, selector)
    _, run = open_run(cluster, target, "promote")
    if run.rolling_back:
        raise RefusedError(f"{target} in {target.namespace} is being rolled back, which stops at no pause")
    if not is_at_pause_step(run):
        hint = f"; to resume it: {cluster.command('resume', target)}" if run.outcome is not None else ""
        raise RefusedError(f"{target} in {target.namespace} is not waiting at a pause{hint}")
    return _resume(cluster, target, "promote", **output)


def _resume(
    cluster: ClusterContext, target: TargetRef, verb: RunCommand, timeout: float | None, output: str | None, quiet: bool
) -> int:
    match send_command(cluster, target, verb, until_it_ends=False):
        case Acknowledged(holder=holder):
            print_message(f"{target} resumed (run by {holder})", "Resumed", target, is_json=output == "json")
            return ExitCode.DONE
        case Released(run=run) if run is None or run.outcome == "Succeeded":
            return print_succeeded(target, is_json=output == "json")
        case _:
            options = ForegroundOptions(
                is_json=output == "json", is_quiet=quiet, timeout_seconds=timeout, again=cluster.command("resume", target)
            )
            return run_foreground(cluster, target, lambda session, on_frame: session.resume(on_frame), options)
