"""Breaks of the rules about the brake of an InPlaceRollout, and about what keeps one from being deleted."""

from __future__ import annotations

from tests.mutation.edit import Mutant

FINALIZERS = ("tests/scenarios/controller/test_finalizers.py",)
SCENARIOS = ("tests/scenarios/controller/test_spec_paused.py",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "start pods while the brake is on",
        "inplace/runtime/run/driver.py",
        "PlanContext(self._lock.name, self._stop or self.spec_pause, since",
        "PlanContext(self._lock.name, self._stop, since",
        SCENARIOS,
    ),
    Mutant(
        "let a request pass the brake",
        "inplace/runtime/controller/paused.py",
        "if command is not None and not is_allowed_while_paused(command) and is_paused_by_spec(rollout, run):",
        "if False:",
        SCENARIOS,
    ),
    Mutant(
        "drive a braked run from a command",
        "inplace/runtime/foreground/spec_paused.py",
        "if run is not None and rollout is not None and is_paused_by_spec(rollout, run):",
        "if False:",
        SCENARIOS,
    ),
    Mutant(
        "close pods of a rollout that nothing keeps",
        "inplace/runtime/run/driver.py",
        " and (not planned.actions or self._actions_allowed())",
        "",
        FINALIZERS,
    ),
    Mutant(
        "keep a rollout that stands from being deleted",
        "inplace/runtime/controller/reconciler.py",
        """            case Paused():
                return self.rollout.spec.on_delete == "Abort\"""",
        """            case Paused():
                return True""",
        FINALIZERS,
    ),
    Mutant(
        "hold the lock of a rollout that is gone",
        "inplace/runtime/controller/syncer.py",
        "result = reconciler.reconcile_delete(as_deleted(reconciler.rollout))",
        "result = None",
        FINALIZERS,
    ),
)
