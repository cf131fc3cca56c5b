"""Breaks of the rules about limits that runs share, and clocks."""

from __future__ import annotations

from tests.mutation.edit import Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "the fence uses CLOCK_MONOTONIC",
        "inplace/kube/clock.py",
        "return time.clock_gettime(_ACROSS_SLEEP) if _ACROSS_SLEEP is not None else time.monotonic()",
        "return time.monotonic()",
        ("tests/unit/kube/test_clock.py",),
    ),
    Mutant(
        "go on with old caches after a gap",
        "inplace/runtime/foreground/locked_run.py",
        "        lock.on_gap = view.informers.relist\n",
        "",
        ("tests/simulation/test_sleeping_machine.py",),
    ),
    Mutant(
        "two runs count one budget each for itself",
        "inplace/engine/availability/budget.py",
        "return budget.status.expected_pods > min(living, desired)",
        "return False",
        ("tests/unit/engine/availability/test_disruption_claims.py", "tests/scenarios/pods/test_shared_budgets.py"),
    ),
    Mutant(
        "count before the budget is claimed",
        "inplace/runtime/lease/disruption_claims.py",
        "    if now - since < LEASE_DURATION_SECONDS:",
        "    if False:",
        ("tests/unit/runtime/lease/test_disruption_claims.py", "tests/properties/test_budgets.py"),
    ),
    Mutant(
        "close under a claim that is over",
        "inplace/runtime/run/executor.py",
        "fence.is_safe and (claims is None or claims.are_held(budgets))",
        "fence.is_safe",
        ("tests/unit/runtime/lease/test_disruption_claims.py",),
    ),
    Mutant(
        "give a claim back before the close is answered",
        "inplace/engine/planning/plan_builder.py",
        "                needed.add(budget.metadata.name)",
        "                pass",
        ("tests/unit/engine/availability/test_disruption_claims.py",),
    ),
    Mutant(
        "first come, first served among namespaces",
        "inplace/runtime/controller/controller.py",
        "WorkQueue(api.clock, lambda key: key[0],",
        "WorkQueue(api.clock, lambda _key: None,",
        ("tests/unit/runtime/controller/test_tenants.py",),
    ),
    Mutant(
        "keep facts of every pod of the namespace",
        "inplace/runtime/informers/shared_informers.py",
        "self._select(shared.pods, is_own, lambda",
        "self._select(shared.pods, is_labelled, lambda",
        ("tests/unit/runtime/controller/test_tenants.py",),
    ),
    Mutant(
        "a free goes behind closes in the queue",
        "inplace/runtime/run/lanes.py",
        "        case OpenGate() | RemoveRecord() | ReleaseBudget():\n            return Lane.FREE",
        "        case OpenGate() | RemoveRecord() | ReleaseBudget():\n            return Lane.CLOSE",
        ("tests/unit/runtime/run/test_lanes.py",),
    ),
)
