"""The rollouts that this process reconciles, each with its reconciler, and which of them has claimed a run."""

from __future__ import annotations

from inplace.engine.runs.rollouts import default_run_id
from inplace.model.rollout import TERMINAL_PHASES, InPlaceRollout
from inplace.runtime.controller.reconciler import RolloutReconciler
from inplace.runtime.informers.informer_set import InformerSet, Key, key_of


class ActiveRollouts:
    """At most one reconciler for each key; a rollout that was created again under its name has another uid."""

    def __init__(self, informers: InformerSet) -> None:
        self._informers = informers
        self._reconcilers: dict[Key, tuple[str, RolloutReconciler]] = {}
        """With the uid of its rollout."""

    def get(self, rollout: InPlaceRollout) -> RolloutReconciler | None:
        """Return the reconciler of this very object."""
        uid, reconciler = self._reconcilers.get(key_of(rollout), ("", None))
        return reconciler if uid == rollout.metadata.uid else None

    def at(self, key: Key) -> RolloutReconciler | None:
        """Return the reconciler under this name, even if the rollout it is for has gone."""
        return self._reconcilers.get(key, ("", None))[1]

    def add(self, rollout: InPlaceRollout, reconciler: RolloutReconciler) -> None:
        self._reconcilers[key_of(rollout)] = (rollout.metadata.uid, reconciler)

    def close(self, key: Key) -> str:
        """Close and drop the reconciler under this name. Return the uid that it was for, empty if there is none."""
        uid, reconciler = self._reconcilers.pop(key, ("", None))
        if reconciler is not None:
            reconciler.close()
        return uid

    def claimant(self, run_id: str, excluding: InPlaceRollout) -> str:
        """Return the name of another rollout that has this run and has not finished; empty if there is none.

        A claim shows in a reconciler of this process, in a status, or in the run's own name, whichever comes first.
        """
        uid = excluding.metadata.uid
        for (_, name), (other_uid, reconciler) in list(self._reconcilers.items()):
            if other_uid != uid and reconciler.run_id == run_id:
                return name
        for other in self._informers.in_namespace(excluding.metadata.namespace).rollouts.snapshot().values():
            has_run = run_id in (other.status.run_id, default_run_id(other)) and other.status.phase not in TERMINAL_PHASES
            if has_run and other.metadata.uid != uid:
                return other.metadata.name
        return ""
