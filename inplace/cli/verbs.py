"""`inplace pause`, `resume` and `promote`: ask the run's holder, or, where that is dead, take the lock and do it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from inplace.cli import out
from inplace.cli.asking import LetGo, Obeyed, ask, open_run
from inplace.cli.driving import Showing, drive, say
from inplace.cli.exits import Code, Ended
from inplace.cli.options import (
    F,
    connected,
    output_option,
    quiet_option,
    selector_option,
    timeout_option,
    understood,
    words_argument,
)
from inplace.cli.targets import parse_target
from inplace.cli.world import Cluster
from inplace.engine.resume import stands_at_pause
from inplace.model.names import TargetRef
from inplace.model.run import Run, Verb
from inplace.runtime.session import Refused


@click.command()
@words_argument("TARGET")
@selector_option
@quiet_option
@connected
def pause(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, quiet: bool) -> int:
    """Pause a run once the pods in flight are done.

    Waits until the run says that it is paused. Where its holder has died, the pods in flight are finished here.
    """
    cluster, target = opened(connect, words, selector)
    match ask(cluster, target, "pause", until_it_ends=True):
        case LetGo(run=run) if run is not None and run.outcome == "Paused":
            out.data(f"{target} is paused")
            return Code.DONE
        case LetGo(run=run) if run is None or run.outcome == "Succeeded":
            return say_done(target)
        case LetGo(run=run):
            raise Ended(f"{target} was not paused, its run has ended: {how_it_ended(run)}", Code.FAILED)
        case _:
            how = Showing(False, quiet, None, cluster.command("pause", target), "Paused")
            return drive(cluster, target, lambda session, told: session.pause(told), how)


def going_on(command: F) -> click.Command:
    """A command with the words and options of one that drives a run on."""
    words = words_argument("TARGET")
    return click.command()(words(selector_option(timeout_option(output_option("json")(quiet_option(connected(command)))))))


@going_on
def resume(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, **how: Any) -> int:
    """Resume a paused or interrupted run, past its pause if it waits at one.

    A living holder is asked to go on (past a pause with a time, say); else the run is driven here, as `upgrade` would.

    Exit codes: as for `upgrade`; 5 where there is no run.
    """
    cluster, target = opened(connect, words, selector)
    return _go_on(cluster, target, "resume", **how)


@going_on
def promote(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, **how: Any) -> int:
    """Promote a run past the pause it waits at, timed or not.

    Like `resume`, but refused unless the run is waiting at a pause of its steps.

    Exit codes: as for `upgrade`; 5 where there is no run, or no pause.
    """
    cluster, target = opened(connect, words, selector)
    _, run = open_run(cluster, target, "promote")
    if run.rolling_back:
        raise Refused(f"{target} in {target.namespace} is being rolled back, which stops at no pause")
    if not stands_at_pause(run):
        how_on = f"; to resume it: {cluster.command('resume', target)}" if run.outcome is not None else ""
        raise Refused(f"{target} in {target.namespace} is not waiting at a pause{how_on}")
    return _go_on(cluster, target, "promote", **how)


def _go_on(cluster: Cluster, target: TargetRef, verb: Verb, timeout: float | None, output: str | None, quiet: bool) -> int:
    match ask(cluster, target, verb, until_it_ends=False):
        case Obeyed(holder=holder):
            say(f"{target} resumed (run by {holder})", "Resumed", target, is_json=output == "json")
            return Code.DONE
        case LetGo(run=run) if run is None or run.outcome == "Succeeded":
            return say_done(target, is_json=output == "json")
        case _:
            how = Showing(output == "json", quiet, timeout, again=cluster.command("resume", target))
            return drive(cluster, target, lambda session, told: session.resume(told), how)


def opened(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str) -> tuple[Cluster, TargetRef]:
    target = understood(parse_target, words, selector)
    cluster = connect()
    return cluster, msgspec.structs.replace(target, namespace=cluster.namespace)


def say_done(target: TargetRef, *, is_json: bool = False) -> Code:
    say(f"{target} is done: its run succeeded", "Succeeded", target, is_json=is_json)
    return Code.DONE


def how_it_ended(run: Run | None) -> str:
    return (run.message or run.outcome or "no message") if run is not None else "its Lease is gone"
