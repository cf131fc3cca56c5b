"""The error of a command that changed nothing, since something speaks against it."""

from __future__ import annotations


class RefusedError(Exception):
    """Nothing was written. `str()` is one line: what, which object, why, what to do next. `shown_by`: the command that
    shows it, where there is one."""

    def __init__(self, message: str, *, shown_by: str = "") -> None:
        super().__init__(message)
        self.shown_by = shown_by
