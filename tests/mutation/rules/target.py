"""Breaks of the rules about the target that a run was begun for."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "abort without a look at the live revision",
        "inplace/engine/workloads/identity.py",
        "    if not run.live_uid or is_same:",
        "    if True:",
        ("tests/unit/engine/workloads/test_identity.py",),
    ),
    Mutant(
        "resume without a look at the uid",
        "inplace/engine/workloads/identity.py",
        "    return found is not None and bool(run.target_uid) and found.metadata.uid != run.target_uid",
        "    return False",
        ("tests/unit/engine/workloads/test_identity.py",),
    ),
    Mutant(
        "run a rollout again that was undone",
        "inplace/engine/preflight/reapplied.py",
        "    if not matching or target_workload is None or run.adopts_template:",
        "    if True:",
        ("tests/unit/engine/preflight/test_reapplied.py",),
    ),
    Mutant(
        "open the run's gate, not the one that the pod was closed by",
        "inplace/engine/pods/stages.py",
        'return msgspec.structs.replace(policy, gate=gate) if gate not in ("", policy.gate) else policy',
        "return policy",
        ("tests/unit/engine/pods/test_stages.py",),
    ),
    Mutant(
        "refuse for good what the target's own controller is about to change",
        "inplace/engine/preflight/checks.py",
        "return Rejected(problem, may_pass=_is_unsettled(snapshot))",
        "return Rejected(problem)",
        ("tests/unit/engine/preflight/test_checks.py",),
    ),
    Mutant(
        "take a Service whose other pods are still to come for one with a single endpoint",
        "inplace/engine/availability/outages.py",
        " and not any(map(selects[service], coming)):",
        ":",
        ("tests/unit/engine/availability/test_outages.py",),
    ),
)
