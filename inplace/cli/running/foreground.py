"""Runs a session in the foreground: handles signals, shows progress, prints the summary, and returns the exit code.

`upgrade` and `undo` drive a run by it, `watch` and `--controller` follow one. The commands that send a request to the holder of
a run use it if that holder is dead.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Message
from inplace.cli.common.exit_codes import EXIT_CODES, CommandExit, ExitCode
from inplace.cli.common.signals import InterruptHandler, TimedOut
from inplace.cli.output import streams, tables
from inplace.cli.output.text import labelled, plural
from inplace.cli.progress.views import ProgressView, choose_view
from inplace.cli.running.summary import next_steps, summary_lines, verb_onward
from inplace.engine.status.run_state import with_message
from inplace.kube.errors import ApiError
from inplace.model.durations import format_duration
from inplace.model.refs import TargetRef
from inplace.model.run import Outcome
from inplace.runtime.caller import new_identity
from inplace.runtime.errors import ForcedExit
from inplace.runtime.foreground.followed_run import FinishedUnseen
from inplace.runtime.foreground.follower import FollowInterrupted
from inplace.runtime.foreground.session import Result as Driven
from inplace.runtime.foreground.session import Session, StillPaused
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.permissions import Purpose
from inplace.runtime.run.resolver import AlreadyDone

Result = Driven | FinishedUnseen
SessionAction = Callable[[Session, Callable[[Frame], None]], Result]


class ForegroundOptions(msgspec.Struct, frozen=True):
    """How a foreground command behaves. `again`: the command line that resumes the run. `wanted`: the outcome that the command
    is for, which exits with 0."""

    is_json: bool
    is_quiet: bool
    timeout_seconds: float | None
    again: str
    wanted: Outcome = "Succeeded"
    follows: bool = False
    """Another process drives the run, which goes on without this command."""
    footer: str = ""
    """The line below a live view."""


class _SafeView:
    """Guards the run from its view, whose errors it swallows, and keeps the last frame."""

    def __init__(self, view: ProgressView, interrupts: InterruptHandler, *, follows: bool) -> None:
        self.view = view
        self.last: Frame | None = None
        self._interrupts = interrupts
        self._has_noted_stop = follows

    def update(self, frame: Frame) -> None:
        self.last = frame
        with suppress(Exception):
            self.view.update(frame)
        stop = self._interrupts.stop_request
        if stop is not None and not self._has_noted_stop:
            self._has_noted_stop = True
            self.note(f"{stop.message}: stopping once the pods in flight are done; press Ctrl-C to quit now")

    def note(self, line: str) -> None:
        with suppress(Exception):
            self.view.note(line)

    def close(self) -> None:
        with suppress(Exception):
            self.view.close()


def run_foreground(cluster: ClusterContext, target: TargetRef, action: SessionAction, options: ForegroundOptions) -> ExitCode:
    """Raises expected errors before the first write as they are, and as `CommandExit` after it."""
    with cluster.context.make_interrupt_handler(options.timeout_seconds) as interrupts:
        view = _SafeView(
            choose_view(target, cluster.api.clock, quiet=options.is_quiet, beside_json=options.is_json, footer=options.footer),
            interrupts,
            follows=options.follows,
        )
        purpose: Purpose = "look" if options.follows else "upgrade"
        try:
            backend = cluster.context.make_backend()
            with Session(cluster.api, target, new_identity(), purpose, view.note, backend, lambda: cluster.caller) as session:
                interrupts.attach(session)
                result = action(session, view.update)
        except TimedOut:
            text = format_duration(options.timeout_seconds or 0.0)
            when = "before anything was seen" if options.follows else "before anything was changed"
            raise CommandExit(f"timed out after {text}, {when}", ExitCode.TIMED_OUT) from None
        except BaseException as error:
            _raise_exit(error, view, options, cluster, target)
            raise
        finally:
            view.close()
    return _end(result, view, cluster, target, options)


def _raise_exit(
    error: BaseException, view: _SafeView, options: ForegroundOptions, cluster: ClusterContext, target: TargetRef
) -> None:
    """Raises `CommandExit` in place of an error that is expected once the run has begun."""
    if isinstance(error, FollowInterrupted):
        view.close()
        # Not the same command again: if the run has ended by then, that would start another one.
        watch = cluster.context.command("watch", *error.cli_args, "-n", target.namespace, *cluster.flags)
        raise CommandExit(f"{error}; watch it with: {watch}", EXIT_CODES[error.stop.outcome]) from None
    if view.last is None:
        return
    view.close()
    again = f"watch it with: {cluster.command('watch', target)}" if options.follows else f"resume with: {options.again}"
    match error:
        case ForcedExit() | KeyboardInterrupt():
            in_flight = plural(view.last.plan.progress.in_flight, "pod")
            raise CommandExit(f"stopped at once, with {in_flight} in flight; {again}", ExitCode.INTERRUPTED) from None
        case ApiError():
            raise CommandExit(f"{error}; the run stays as it is; {again}", ExitCode.FAILED) from None
        case _:
            return


def _end(result: Result, view: _SafeView, cluster: ClusterContext, target: TargetRef, options: ForegroundOptions) -> ExitCode:
    match result:
        case Summary(outcome=outcome):
            if options.is_json:
                streams.as_json(result)
            else:
                tables.show_lines(summary_lines(result), 4, outcome)
            run = view.last.plan.run if view.last is not None else None
            hints = next_steps(result, run, cluster, target, options.again)
            if options.follows and outcome == "Paused":
                hints.append(("watch it", cluster.command("watch", target)))
            for line in labelled(hints):
                streams.note(line)
            return ExitCode.DONE if outcome == options.wanted else EXIT_CODES[outcome]
        case FinishedUnseen(outcome=outcome, message=message):
            ended = f"{target} in {target.namespace}: {with_message(outcome, message)}"
            print_message(message if outcome == "Succeeded" and message else ended, outcome, target, is_json=options.is_json)
            return EXIT_CODES[outcome]
        case AlreadyDone(message=message):
            print_message(message, "NothingToDo", target, is_json=options.is_json)
            return ExitCode.DONE
        case StillPaused(run=run):
            print_message(f"{target} is {run.message or 'paused'}", "Paused", target, is_json=options.is_json)
            verb = verb_onward(run.message)
            streams.note(f"{verb} with: {cluster.command(verb, target)}")
            return ExitCode.DONE if options.wanted == "Paused" else ExitCode.STOPPED


def print_message(message: str, outcome: str, target: TargetRef, *, is_json: bool) -> None:
    """Prints a message where there is no summary, since this process drove no run."""
    if is_json:
        streams.as_json(Message(str(target), target.namespace, outcome, message))
    else:
        streams.data(message)


def print_succeeded(target: TargetRef, *, is_json: bool = False) -> ExitCode:
    print_message(f"{target} is done: its run succeeded", "Succeeded", target, is_json=is_json)
    return ExitCode.DONE
