"""Drives a run in the foreground: signals, the view, the summary, and the exit code that belongs to the end.

Shared by `upgrade` and `undo`, and by the verbs that ask a run's holder, where none is alive.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Said
from inplace.cli.common.exit_codes import EXIT_CODES, CommandExit, ExitCode
from inplace.cli.common.signals import InterruptHandler, TimedOut
from inplace.cli.output import streams, tables
from inplace.cli.output.text import labelled, plural
from inplace.cli.progress.views import ProgressView, choose_view
from inplace.cli.running.summary import next_steps, summary_lines, verb_onward
from inplace.engine.status.account import with_message
from inplace.kube.errors import ApiError
from inplace.model.durations import format_duration
from inplace.model.refs import TargetRef
from inplace.model.run import Outcome
from inplace.runtime.foreground.followed_run import FinishedUnseen
from inplace.runtime.foreground.follower import FollowInterrupted
from inplace.runtime.foreground.session import Result as Driven
from inplace.runtime.foreground.session import Session, StillPaused, identity
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.permissions import Purpose
from inplace.runtime.run.driver import ForcedExit
from inplace.runtime.run.resolver import AlreadyDone

Result = Driven | FinishedUnseen
SessionAction = Callable[[Session, Callable[[Frame], None]], Result]


class ForegroundOptions(msgspec.Struct, frozen=True):
    """How a foreground command speaks. `again`: the command line that goes on after a break. `wanted`: the outcome that this
    command is for, so that it is no failure."""

    is_json: bool
    is_quiet: bool
    timeout_seconds: float | None
    again: str
    wanted: Outcome = "Succeeded"
    follows: bool = False
    """The run is somebody else's to drive, and goes on without this command."""
    footer: str = ""
    """What stands below the live view."""


class _SafeView:
    """The view behind a guard that never raises, and the last frame."""

    def __init__(self, view: ProgressView, stopper: InterruptHandler, *, follows: bool) -> None:
        self.view = view
        self.last: Frame | None = None
        self._stopper = stopper
        self._said_stop = follows

    def saw(self, frame: Frame) -> None:
        self.last = frame
        with suppress(Exception):
            self.view.saw(frame)
        if self._stopper.asked is not None and not self._said_stop:
            self._said_stop = True
            self.note(f"{self._stopper.asked.message}: stopping once the pods in flight are done; press Ctrl-C to quit now")

    def note(self, line: str) -> None:
        with suppress(Exception):
            self.view.note(line)


def run_foreground(cluster: ClusterContext, target: TargetRef, act: SessionAction, how: ForegroundOptions) -> ExitCode:
    """Raises what is expected before the first write as it comes; later, `Ended`."""
    with cluster.world.make_stopper(how.timeout_seconds) as stopper:
        watched = _SafeView(
            choose_view(target, cluster.api.clock, quiet=how.is_quiet, beside_json=how.is_json, footer=how.footer),
            stopper,
            follows=how.follows,
        )
        purpose: Purpose = "look" if how.follows else "upgrade"
        try:
            host = cluster.world.make_host()
            with Session(cluster.api, target, identity(), purpose, watched.note, host, lambda: cluster.who) as session:
                stopper.attach(session)
                result = act(session, watched.saw)
        except TimedOut:
            text = format_duration(how.timeout_seconds or 0.0)
            when = "before anything was seen" if how.follows else "before anything was changed"
            raise CommandExit(f"timed out after {text}, {when}", ExitCode.TIMED_OUT) from None
        except BaseException as error:
            _tell_break(error, watched, how, cluster, target)
            raise
        finally:
            with suppress(Exception):
                watched.view.close()
    return _end(result, watched, cluster, target, how)


def _tell_break(
    error: BaseException, watched: _SafeView, how: ForegroundOptions, cluster: ClusterContext, target: TargetRef
) -> None:
    """Raises `Ended` for what is expected once the run has begun."""
    if isinstance(error, FollowInterrupted):
        with suppress(Exception):
            watched.view.close()
        # Not the same command again: once the run has ended that would ask for another one.
        look = cluster.world.command("watch", *error.words, "-n", target.namespace, *cluster.flags)
        raise CommandExit(f"{error}; watch it with: {look}", EXIT_CODES[error.stop.outcome]) from None
    if watched.last is None:
        return
    with suppress(Exception):
        watched.view.close()
    again = f"watch it with: {cluster.command('watch', target)}" if how.follows else f"resume with: {how.again}"
    match error:
        case ForcedExit() | KeyboardInterrupt():
            flying = plural(watched.last.plan.progress.in_flight, "pod")
            raise CommandExit(f"stopped at once, with {flying} in flight; {again}", ExitCode.INTERRUPTED) from None
        case ApiError():
            raise CommandExit(f"{error}; the run stays as it is; {again}", ExitCode.FAILED) from None
        case _:
            return


def _end(result: Result, watched: _SafeView, cluster: ClusterContext, target: TargetRef, how: ForegroundOptions) -> ExitCode:
    match result:
        case Summary(outcome=outcome):
            if how.is_json:
                streams.as_json(result)
            else:
                tables.show_lines(summary_lines(result), 4, outcome)
            run = watched.last.plan.run if watched.last is not None else None
            hints = next_steps(result, run, cluster, target, how.again)
            if how.follows and outcome == "Paused":
                hints.append(("watch it", cluster.command("watch", target)))
            for line in labelled(hints):
                streams.note(line)
            return ExitCode.DONE if outcome == how.wanted else EXIT_CODES[outcome]
        case FinishedUnseen(outcome=outcome, message=message):
            ended = f"{target} in {target.namespace}: {with_message(outcome, message)}"
            print_message(message if outcome == "Succeeded" and message else ended, outcome, target, is_json=how.is_json)
            return EXIT_CODES[outcome]
        case AlreadyDone(message=message):
            print_message(message, "NothingToDo", target, is_json=how.is_json)
            return ExitCode.DONE
        case StillPaused(run=run):
            print_message(f"{target} is {run.message or 'paused'}", "Paused", target, is_json=how.is_json)
            verb = verb_onward(run.message)
            streams.note(f"{verb} with: {cluster.command(verb, target)}")
            return ExitCode.DONE if how.wanted == "Paused" else ExitCode.STOPPED


def print_message(message: str, outcome: str, target: TargetRef, *, is_json: bool) -> None:
    """Instead of a summary."""
    if is_json:
        streams.as_json(Said(str(target), target.namespace, outcome, message))
    else:
        streams.data(message)
