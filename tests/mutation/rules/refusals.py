"""Breaks of the rules about refused writes and deadlines."""

from __future__ import annotations

from tests.mutation.edit import Mutant

ENGINE = "inplace/engine"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "store every failure",
        "inplace/model/run.py",
        "for f in run.failures[:MAX_FAILURES])",
        "for f in run.failures)",
        ("tests/unit/model/test_run.py", "tests/simulation/test_many_failures.py"),
    ),
    Mutant(
        "an act has no deadline",
        "inplace/engine/planning/patience.py",
        'if builder.timers.expired(f"{prefix}{step.reason}", DEFAULT_WAIT_SECONDS):',
        'if builder.timers.expired(f"{prefix}{step.reason}", DEFAULT_WAIT_SECONDS) and isinstance(step, WaitFor):',
        ("tests/unit/engine/planning/test_patience.py",),
    ),
    Mutant(
        "begin an act's deadline anew each time",
        "inplace/engine/planning/patience.py",
        "    builder.timers.keep(prefix)\n",
        "",
        ("tests/unit/engine/planning/test_patience.py",),
    ),
    Mutant(
        "stop at a refused tombstone",
        "inplace/engine/workloads/template_last.py",
        'return Perform(keeping, "keeping the old template in the history", "history")',
        'return Perform(keeping, "keeping the old template in the history")',
        ("tests/unit/engine/planning/test_patience.py", "tests/scenarios/failures/test_refused_writes.py"),
    ),
    Mutant(
        "delete a twin that is going already",
        "inplace/engine/workloads/template_last.py",
        "            if rs.metadata.deletion_timestamp is None:",
        "            if True:",
        ("tests/unit/engine/planning/test_patience.py",),
    ),
    Mutant(
        "leave a commit that is refused as it is",
        "inplace/engine/planning/sequences.py",
        "    if strategy_for(builder.snapshot).may_uncommit(builder.run):",
        "    if False:",
        ("tests/unit/engine/planning/test_patience.py", "tests/scenarios/failures/test_refused_writes.py"),
    ),
    Mutant(
        "take a commit back that is in the history",
        "inplace/engine/workloads/uncommit.py",
        "if live is None or run.commit is None or live.revision > run.commit.revision:",
        "if live is None or run.commit is None:",
        ("tests/unit/engine/workloads/test_uncommit.py",),
    ),
    Mutant(
        "unpause on the way back before the controller has seen the ReplicaSet",
        "inplace/engine/workloads/uncommit.py",
        "        if not commit.paused and deployment.spec.replicas and deployment.status.updated_replicas:",
        "        if False:",
        ("tests/unit/engine/workloads/test_uncommit.py",),
    ),
    Mutant(
        "repeat what was done without a rest",
        "inplace/runtime/run/backoff.py",
        "times = before.times + 1 if before is not None and before.denial is None and before.intent == action.intent else 0",
        "times = 0",
        ("tests/unit/runtime/run/test_backoff.py",),
    ),
    Mutant(
        "take the first refusal for the last word",
        "inplace/runtime/run/backoff.py",
        " and times + 1 >= MAX_REFUSALS and now - since >= FINAL_SECONDS",
        "",
        ("tests/unit/runtime/run/test_backoff.py",),
    ),
    Mutant(
        "wait for ever to free a pod at the end",
        "inplace/engine/planning/endings.py",
        ' and not builder.timers.expired(f"{FINISHING}{rest}", DEFAULT_WAIT_SECONDS):',
        ":",
        ("tests/unit/engine/planning/test_patience.py",),
    ),
    Mutant(
        "say that a repair is done that is not",
        "inplace/runtime/repair/leases.py",
        '        context.report("left", where, f"its commit was taken back instead: {stored.message}; {way}")',
        '        context.report("found", where, f"its commit was taken back instead: {stored.message}; {way}")',
        ("tests/scenarios/failures/test_refused_writes.py",),
    ),
)
