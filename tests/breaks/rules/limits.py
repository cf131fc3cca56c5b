"""Breaks of the rules about limits that runs share, and clocks."""

from __future__ import annotations

from tests.breaks.edit import Break

ENGINE = "inplace/engine"

BREAKS: tuple[Break, ...] = ()
