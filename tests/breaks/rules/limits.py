"""Breaks of the rules about limits that runs share, and clocks."""

from __future__ import annotations

from tests.breaks.edit import Break

BREAKS: tuple[Break, ...] = (
    Break(
        "the fence uses CLOCK_MONOTONIC",
        "inplace/kube/clock.py",
        "return time.clock_gettime(_NEVER_STANDS) if _NEVER_STANDS is not None else time.monotonic()",
        "return time.monotonic()",
        ("tests/unit/kube/test_clock.py",),
    ),
    Break(
        "go on with old caches after a gap",
        "inplace/runtime/session.py",
        "        lock.on_gap = self.watches.look_afresh\n",
        "",
        ("tests/sim/test_sleeping.py",),
    ),
)
