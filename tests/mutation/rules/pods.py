"""Breaks of the rules about pods as they come."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a pod without a node takes a slot",
        "inplace/engine/availability/budget.py",
        "max(desired, living) - unschedulable - available",
        "max(desired, living) - available",
        ("tests/unit/engine/planning/test_unscheduled_pods.py", "tests/scenarios/pods/test_unscheduled.py"),
    ),
    Mutant(
        "old kubelets are accepted",
        "inplace/engine/preflight/checks.py",
        "    if old is not None:",
        "    if False:",
        ("tests/unit/engine/preflight/test_old_kubelets.py", "tests/simulation/test_silent_nodes.py"),
    ),
    Mutant(
        "the restart clock starts at the patch",
        "inplace/engine/pods/stages.py",
        "        old = stopping_containers(facts.pod, record)",
        "        old: tuple[str, ...] = ()",
        ("tests/unit/engine/pods/test_stages.py", "tests/scenarios/pods/test_failing_starts.py"),
    ),
    Mutant(
        "a 5xx fails a pod at once",
        "inplace/engine/pods/container_problems.py",
        'classify_pull_error(waiting.message) == "Transient" or ',
        "",
        ("tests/unit/engine/pods/test_container_problems.py", "tests/scenarios/pods/test_failing_starts.py"),
    ),
    Mutant(
        "take a pod that will have a node in a moment for one that nobody can help",
        "inplace/model/objects/pods.py",
        'return not self.is_scheduled and condition is not None and condition.status == "False"',
        "return not self.is_scheduled",
        ("tests/unit/engine/planning/test_unscheduled_pods.py",),
    ),
)
