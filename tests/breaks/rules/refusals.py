"""Breaks of the rules about refused writes and deadlines."""

from __future__ import annotations

from tests.breaks.edit import Break

ENGINE = "inplace/engine"

BREAKS: tuple[Break, ...] = ()
