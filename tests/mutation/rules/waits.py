"""Breaks of the rules about time that passes while nobody looks."""

from __future__ import annotations

from tests.mutation.edit import Mutant

UNIT = ("tests/unit/engine/planning/test_waits.py",)
SIM = ("tests/simulation/test_elapsed_waits.py",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "believe an old note of another container's readiness",
        "inplace/engine/pods/proof.py",
        "    return is_as_then and bool(steady.container_ids) and",
        "    return True or",
        UNIT,
    ),
    Mutant(
        "go on with a readiness that has turned meanwhile",
        "inplace/engine/pods/evidence.py",
        "old.steady_since if old.steady_since is not None and steady_before(facts, facts.record) else None",
        "old.steady_since",
        UNIT,
    ),
    Mutant(
        "leave no time to look to whoever takes a deadline over",
        "inplace/engine/planning/waits.py",
        "min(passed, max(0.0, limit - FRESH_SECONDS))",
        "min(passed, limit)",
        UNIT,
    ),
    Mutant(
        "count an instant that lies ahead",
        "inplace/kube/clock.py",
        "max(0.0, (now - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds())",
        "(now - (at if at.tzinfo else at.replace(tzinfo=UTC))).total_seconds()",
        UNIT,
    ),
    Mutant(
        "begin every pause anew",
        "inplace/runtime/run/driver.py",
        "            self._carried = self._snapshot_builder.restore_timers(self.run, now, self._clock.utcnow())",
        "            self._carried = {}",
        SIM,
    ),
)
