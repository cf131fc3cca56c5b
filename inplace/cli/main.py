"""The program `inplace`, also `kubectl inplace`: runs a command, and prints an error as one line.

A command is imported when it is called, so that `inplace --help` is instant. Each command returns its exit code.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import click

from inplace import __version__
from inplace.cli.common.context import CliContext
from inplace.cli.common.exit_codes import ExitCode, exit_for
from inplace.cli.common.typos import commands_like, did_you_mean
from inplace.cli.output.streams import note

REQUESTED_ENDS = (ExitCode.INTERRUPTED, ExitCode.STOPPED)
"""Exit codes of a command that a person stopped: no error."""
COMMANDS = {
    "upgrade": ("inplace.cli.commands.upgrade:upgrade", "Upgrade the images of running pods without recreating them."),
    "plan": ("inplace.cli.commands.plan:plan", "Show what an upgrade would do, and change nothing."),
    "status": ("inplace.cli.commands.status:status", "Show a target's run and its pods."),
    "watch": ("inplace.cli.commands.watch:watch", "Watch a run to its end, whoever drives it."),
    "list": ("inplace.cli.commands.listing:list_runs", "List runs: the active ones, and the last one of each target."),
    "history": ("inplace.cli.commands.history:history", "List a target's revisions, and how each was made."),
    "pause": ("inplace.cli.commands.pause:pause", "Pause a run once the pods in flight are done."),
    "resume": ("inplace.cli.commands.resume:resume", "Resume a paused or interrupted run, past its pause if it waits at one."),
    "promote": ("inplace.cli.commands.resume:promote", "Promote a run past the pause it waits at, timed or not."),
    "abort": ("inplace.cli.commands.abort:abort", "Abort a run and roll its pods back, in place."),
    "undo": ("inplace.cli.commands.undo:undo", "Roll back to the previous images, or to those of a revision, in place."),
    "repair": ("inplace.cli.commands.repair:repair", "Clean up after crashed runs."),
    "controller": (
        "inplace.cli.admin.controller:controller",
        "Run the controller: carry out InPlaceRollouts, and sync readiness gates with pod labels.",
    ),
    "gate": ("inplace.cli.admin.gate:gate", "Sync readiness gates with pod labels, without the controller."),
    "install": ("inplace.cli.admin.install:install", "Install the controller on a cluster."),
    "uninstall": ("inplace.cli.admin.install:uninstall", "Remove the controller from a cluster."),
    "demo": ("inplace.cli.demo.command:demo", "Show an upgrade beside a classic rollout, on a simulated cluster."),
    "version": ("inplace.cli.admin.version:version", "Print the version."),
    "completion": ("inplace.cli.admin.completion:completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """Knows the name and one line of help of each command, and imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Proposes what may have been meant by an unknown command."""
        word = args[0]
        if word in COMMANDS or word.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        hint = did_you_mean(commands_like(word, COMMANDS))
        raise click.exceptions.NoSuchCommand(word, f"no such command {word!r}.{hint}", ctx=ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="inplace", message="%(prog)s %(version)s")
def cli() -> None:
    """Upgrade the images of running Kubernetes pods without recreating them.

    Takes each pod out of its Services, restarts it with the new image, checks that the restart worked, and puts it back: same
    pod, same name, same IP.

    \b
      inplace plan deploy/web app=registry/app:1.5
      inplace upgrade deploy/web app=registry/app:1.5
    """


def main(args: Sequence[str] | None = None, context: CliContext | None = None) -> None:
    """Runs the command, and exits the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    context = context or CliContext(program_name(sys.argv[0]), tuple(sys.argv[1:] if args is None else args))
    code = run(context)
    # The result is printed: another Ctrl-C would only interrupt the exit with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _flush()
    sys.exit(code)


def program_name(path: str) -> str:
    """Returns `kubectl inplace` if kubectl runs us as its plugin `kubectl-inplace`, for the help; else `inplace`."""
    name = PurePath(path).name
    return name.replace("-", " ", 1) if name.startswith("kubectl-") else "inplace"


def run(context: CliContext) -> int:
    """Runs the command and returns its exit code. Prints errors, and raises none."""
    complete = f"_{context.prog.replace(' ', '_').upper()}_COMPLETE"
    if complete in os.environ:
        importlib.import_module("inplace.cli.common.shells").register_shells()
    try:
        code: Any = cli.main(list(context.args), context.prog, complete, standalone_mode=False, obj=context)
        return int(code or ExitCode.DONE)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx is not None else "")
        return int(ExitCode.DONE)
    except (Exception, KeyboardInterrupt) as error:
        if context.is_debugging:
            import traceback

            traceback.print_exc()
        line, ended = exit_for(error, _command_path(context), context.flags) or _bug(error)
        if line:
            note(line if ended in REQUESTED_ENDS else f"error: {line}")
        return int(ended)


def _command_path(context: CliContext) -> str:
    """Returns the command whose help an error refers to, unless it names one itself."""
    word = context.args[0] if context.args else ""
    return f"{context.prog} {word}" if word in COMMANDS else context.prog


def _bug(error: BaseException) -> tuple[str, ExitCode]:
    return f"this is a bug in inplace: {type(error).__name__}: {error} (--debug shows where)", ExitCode.FAILED


def _flush() -> None:
    """Flushes the output, so that Python does not report at exit that its reader has gone away."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def kubectl_complete() -> None:
    """The program `kubectl_complete-inplace`. Its last argument is the word being typed, and may be empty."""
    from click.shell_completion import ShellComplete

    from inplace.cli.common.shells import format_for_cobra

    *before, incomplete = sys.argv[1:] or [""]
    completer = ShellComplete(cli, {"obj": CliContext("kubectl inplace")}, "kubectl inplace", "")
    click.echo(format_for_cobra(completer, before, incomplete))
