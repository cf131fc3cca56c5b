"""Defines the exit codes, and turns every expected error into one line for a person and an exit code (design, section 7)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inplace.model.run import Outcome

CLICK_BEGINS = ("No such ", "Invalid value", "Missing ", "Got unexpected ", "Option ")


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    STOPPED = 4
    """Paused, or aborted."""
    REFUSED = 5
    """Refused before any write, also if the cluster is unreachable."""
    INTERRUPTED = 130


EXIT_CODES: dict[Outcome, ExitCode] = {
    "Succeeded": ExitCode.DONE,
    "Failed": ExitCode.FAILED,
    "TimedOut": ExitCode.TIMED_OUT,
    "RolledBack": ExitCode.FAILED,
    "Aborted": ExitCode.STOPPED,
    "Paused": ExitCode.STOPPED,
    "Interrupted": ExitCode.INTERRUPTED,
}


class CommandExit(Exception):
    """Ends a command with a line for a person (empty for none) and an exit code."""

    def __init__(self, line: str, code: ExitCode) -> None:
        super().__init__(line)
        self.code = code


def exit_for(error: BaseException, prog: str, flags: Sequence[str] = ()) -> tuple[str, ExitCode] | None:
    """Returns the line for a person, without `error: `, and the exit code; None for a bug.

    `flags` name the cluster, for kubectl commands that the line proposes. A command that has begun to write raises
    `CommandExit` itself: other errors are taken to come before the first write.
    """
    match error:
        case CommandExit(code=code):
            return str(error), code
        case click.exceptions.NoSuchCommand() | click.UsageError():
            return _usage(error, prog), ExitCode.USAGE
        case click.ClickException():
            return error.format_message(), ExitCode.USAGE
        case OSError() if error.strerror:
            return f"cannot write the output or read a file: {error.strerror}", ExitCode.FAILED
        case click.Abort() | KeyboardInterrupt():
            return "interrupted; nothing was changed", ExitCode.INTERRUPTED
        case _:
            return _exit_for_runtime_error(error, flags)


def _exit_for_runtime_error(error: BaseException, flags: Sequence[str]) -> tuple[str, ExitCode] | None:
    """Imports the errors of the runtime only once there is an error."""
    from inplace.kube.errors import ApiError, ConfigError, Forbidden
    from inplace.runtime.errors import ForcedExit, RefusedError, RunAbandoned
    from inplace.runtime.lease.leader_election import LeadershipLost
    from inplace.runtime.lease.lock import LockHeldError, LockLostError

    match error:
        case RefusedError(shown_by=shown_by) | Forbidden(shown_by=shown_by) if shown_by:
            return f"{error} (see: {' '.join([shown_by, *map(shlex.quote, flags)])})", ExitCode.REFUSED
        case RefusedError() | LockHeldError() | ConfigError() | ApiError():
            return str(error), ExitCode.REFUSED
        case LockLostError():
            return f"{error}: this process stopped at once and writes nothing more", ExitCode.FAILED
        case RunAbandoned():
            return str(error), ExitCode.FAILED
        case LeadershipLost():
            return f"{error}: this process ends and writes nothing more", ExitCode.FAILED
        case ForcedExit():
            return "left in the middle", ExitCode.INTERRUPTED
        case _:
            return None


def _usage(error: click.UsageError, prog: str) -> str:
    path = error.ctx.command_path if error.ctx is not None else prog
    text = " ".join(error.format_message().split()).rstrip(".")
    if text.startswith(CLICK_BEGINS):
        text = text[0].lower() + text[1:]
    return f"{text} (see `{path} --help`)"
