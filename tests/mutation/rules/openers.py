"""Breaks of what is said about who opens the gates of new pods."""

from __future__ import annotations

from tests.mutation.edit import Mutant

OPENERS = "inplace/engine/gate_openers.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "take what may not be read for absent",
        OPENERS,
        "    if openers.incomplete_reason:\n",
        "    if False:\n",
        ("tests/unit/engine/test_gate_openers.py", "tests/cli/test_openers.py"),
    ),
    Mutant(
        "take a dead opener for a living opener",
        OPENERS,
        "for opener, rule in candidates if opener.is_alive]",
        "for opener, rule in candidates]",
        ("tests/unit/engine/test_gate_openers.py", "tests/cli/test_openers.py"),
    ),
    Mutant(
        "take the opener of other pods for theirs",
        OPENERS,
        "if announcement.selector and not parse_selector(announcement.selector).matches(labels):",
        "if False:",
        ("tests/unit/engine/test_gate_openers.py",),
    ),
    Mutant(
        "open gates while another gate run does",
        "inplace/runtime/gates/controller.py",
        "fence=leader, resync_seconds",
        "resync_seconds",
        ("tests/unit/runtime/gates/test_reconciler.py",),
    ),
)
