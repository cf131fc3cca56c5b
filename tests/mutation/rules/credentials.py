"""Breaks of the rules about credentials that are refused, and about images that nobody could pull."""

from __future__ import annotations

from tests.mutation.edit import Mutant

SIM = ("tests/simulation/test_credentials.py",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "begin with an image that no runtime could pull",
        "inplace/engine/preflight/checks.py",
        "problem = _image_problem(run) or strategy_for(snapshot).revision_problem(run, _hang(snapshot, run))",
        "problem = strategy_for(snapshot).revision_problem(run, _hang(snapshot, run))",
        ("tests/unit/engine/preflight/test_checks.py",),
    ),
    Mutant(
        "wait for good credentials for ever",
        "inplace/runtime/run/connectivity.py",
        "        if now - self._stuck_since > PATIENCE_SECONDS:",
        "        if False:",
        SIM,
    ),
    Mutant(
        "take refused credentials for a refusal of the pod",
        "inplace/runtime/run/driver.py",
        "not isinstance(error, (ConnectionFailed, Unauthorized))",
        "not isinstance(error, ConnectionFailed)",
        SIM,
    ),
)
