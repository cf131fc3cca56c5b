"""How a command ends that did not do what it was asked to do. `str()` of each is one line for a person."""

from __future__ import annotations


class RefusedError(Exception):
    """Nothing was written. The line says what, which object, why, and what to do next. `shown_by`: the command that shows it,
    where there is one."""

    def __init__(self, message: str, *, shown_by: str = "") -> None:
        super().__init__(message)
        self.shown_by = shown_by


class RunAbandoned(Exception):
    """The run cannot go on now and is left as it is. The same command resumes it."""


class ForcedExit(Exception):
    """The person interrupted twice: leave at once."""
