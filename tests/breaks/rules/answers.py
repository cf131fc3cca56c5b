"""Breaks of the rules about what the API server makes of a write."""

from __future__ import annotations

from tests.breaks.edit import Break

ENGINE = "inplace/engine"

BREAKS: tuple[Break, ...] = ()
