"""Breaks of the rules about objects that cannot be read, and stored state that others wrote."""

from __future__ import annotations

from tests.breaks.edit import Break

ENGINE = "inplace/engine"

BREAKS: tuple[Break, ...] = ()
