"""`inplace pause`, `resume` and `promote`: ask the run's holder, or, where that is dead, take the lock and do it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import (
    F,
    as_usage_error,
    connection_options,
    output_option,
    quiet_option,
    selector_option,
    timeout_option,
    words_argument,
)
from inplace.cli.common.targets import parse_target
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, print_message, run_foreground
from inplace.cli.running.holder_requests import Acknowledged, Released, open_run, send_command
from inplace.engine.runs.lifecycle import is_at_pause_step
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunCommand
from inplace.runtime.errors import RefusedError


@click.command()
@words_argument("TARGET")
@selector_option
@quiet_option
@connection_options
def pause(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, quiet: bool) -> int:
    """Pause a run once the pods in flight are done.

    Waits until the run says that it is paused. Where its holder has died, the pods in flight are finished here.
    """
    cluster, target = connect_target(connect, words, selector)
    match send_command(cluster, target, "pause", until_it_ends=True):
        case Released(run=run) if run is not None and run.outcome == "Paused":
            streams.data(f"{target} is paused")
            return ExitCode.DONE
        case Released(run=run) if run is None or run.outcome == "Succeeded":
            return say_done(target)
        case Released(run=run):
            raise CommandExit(f"{target} was not paused, its run has ended: {describe_end(run)}", ExitCode.FAILED)
        case _:
            how = ForegroundOptions(False, quiet, None, cluster.command("pause", target), "Paused")
            return run_foreground(cluster, target, lambda session, told: session.pause(told), how)


def resume_options(command: F) -> click.Command:
    """A command with the words and options of one that drives a run on."""
    words = words_argument("TARGET")
    return click.command()(
        words(selector_option(timeout_option(output_option("json")(quiet_option(connection_options(command))))))
    )


@resume_options
def resume(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, **how: Any) -> int:
    """Resume a paused or interrupted run, past its pause if it waits at one.

    A living holder is asked to go on (past a pause with a time, say); else the run is driven here, as `upgrade` would.

    Exit codes: as for `upgrade`; 5 where there is no run.
    """
    cluster, target = connect_target(connect, words, selector)
    return _go_on(cluster, target, "resume", **how)


@resume_options
def promote(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, **how: Any) -> int:
    """Promote a run past the pause it waits at, timed or not.

    Like `resume`, but refused unless the run is waiting at a pause of its steps.

    Exit codes: as for `upgrade`; 5 where there is no run, or no pause.
    """
    cluster, target = connect_target(connect, words, selector)
    _, run = open_run(cluster, target, "promote")
    if run.rolling_back:
        raise RefusedError(f"{target} in {target.namespace} is being rolled back, which stops at no pause")
    if not is_at_pause_step(run):
        how_on = f"; to resume it: {cluster.command('resume', target)}" if run.outcome is not None else ""
        raise RefusedError(f"{target} in {target.namespace} is not waiting at a pause{how_on}")
    return _go_on(cluster, target, "promote", **how)


def _go_on(
    cluster: ClusterContext, target: TargetRef, verb: RunCommand, timeout: float | None, output: str | None, quiet: bool
) -> int:
    match send_command(cluster, target, verb, until_it_ends=False):
        case Acknowledged(holder=holder):
            print_message(f"{target} resumed (run by {holder})", "Resumed", target, is_json=output == "json")
            return ExitCode.DONE
        case Released(run=run) if run is None or run.outcome == "Succeeded":
            return say_done(target, is_json=output == "json")
        case _:
            how = ForegroundOptions(output == "json", quiet, timeout, again=cluster.command("resume", target))
            return run_foreground(cluster, target, lambda session, told: session.resume(told), how)


def connect_target(
    connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str
) -> tuple[ClusterContext, TargetRef]:
    target = as_usage_error(parse_target, words, selector)
    cluster = connect()
    return cluster, msgspec.structs.replace(target, namespace=cluster.namespace)


def say_done(target: TargetRef, *, is_json: bool = False) -> ExitCode:
    print_message(f"{target} is done: its run succeeded", "Succeeded", target, is_json=is_json)
    return ExitCode.DONE


def describe_end(run: Run | None) -> str:
    return (run.message or run.outcome or "no message") if run is not None else "its Lease is gone"
