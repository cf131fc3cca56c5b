"""Breaks of the rules about the target that a run was begun for."""

from __future__ import annotations

from tests.breaks.edit import Break

ENGINE = "inplace/engine"

BREAKS: tuple[Break, ...] = ()
