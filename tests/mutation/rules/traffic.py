"""Breaks of the rules about traffic, Services and gates of others."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a slice that came back late is not waited for",
        "inplace/engine/pods/evidence.py",
        "    if old.had_record or isinstance(facts.record, UpgradeRecord) or not facts.is_ready:",
        "    if not facts.is_ready:",
        ("tests/unit/engine/pods/test_ignored_slices.py",),
    ),
    Mutant(
        "a closed other gate is a bad image",
        "inplace/engine/planning/failures.py",
        "run.failed_count - blameless > run.options.max_failed",
        "run.failed_count > run.options.max_failed",
        ("tests/unit/engine/planning/test_other_gates.py",),
    ),
    Mutant(
        "drain the last endpoint",
        "inplace/engine/availability/outages.py",
        "            if not self._ready_of(service) - _keys(facts):",
        "            if False:",
        ("tests/unit/engine/availability/test_outages.py", "tests/scenarios/pods/test_outages.py"),
    ),
    Mutant(
        "begin with the only endpoint",
        "inplace/engine/availability/outages.py",
        "            if endpoint_keys(service, snapshot.slices) <= _keys(facts) and not any(map(selects[service], coming)):",
        "            if False:",
        ("tests/unit/engine/availability/test_outages.py",),
    ),
    Mutant(
        "a doubled condition stays",
        "inplace/engine/gate_rules.py",
        "return None if have == str(right) and not pod.has_duplicate_condition(gate) else right",
        "return None if have == str(right) else right",
        ("tests/unit/engine/test_gate_rules.py", "tests/scenarios/gates/test_doubled_conditions.py"),
    ),
)
