"""Maps changes of watched objects to the rollouts that must be reconciled: client-go's event handlers and enqueue.

Handlers decide nothing: a change only puts keys into the queue. Changes that cannot alter a decision (our own status writes,
renewals of a Lease) enqueue nothing.
"""

from __future__ import annotations

import structlog

from inplace.kube.workqueue import WorkQueue
from inplace.model.objects.coordination import Lease
from inplace.model.rollout import InPlaceRollout
from inplace.model.run import lease_name
from inplace.runtime.controller.active_rollouts import ActiveRollouts
from inplace.runtime.informers.informer_set import InformerSet, Key, key_of


class EventHandlers:
    def __init__(self, informers: InformerSet, queue: WorkQueue[Key], active: ActiveRollouts) -> None:
        self._informers = informers
        self._queue = queue
        self._active = active
        self._watch_error = ""
        self._log = structlog.get_logger()

    def register(self) -> None:
        """Subscribe to the caches, which must be empty still."""
        self._informers.on_watch_state(self._watch_state_changed)
        for informers in self._informers:
            informers.rollouts.subscribe(self._rollout_changed)
            informers.leases.subscribe(self._lease_changed)

    def enqueue_all(self) -> None:
        """Enqueue every rollout: for a process that begins to lead, and when a watch has come back."""
        for rollout in self._informers.rollouts():
            self._queue.add(key_of(rollout))

    def _watch_state_changed(self) -> None:
        error = str(self._informers.error or "")
        if error != self._watch_error:
            self._watch_error = error
            if error:
                self._log.warning("cannot watch, trying again", why=error)
            else:
                self._log.info("watching again")
        self.enqueue_all()

    def _rollout_changed(self, old: InPlaceRollout | None, new: InPlaceRollout | None) -> None:
        changed = new or old
        if changed is None or (old is not None and new is not None and old.user_input == new.user_input):
            return
        reconciler = self._active.get(changed)
        if new is None and reconciler is not None:
            reconciler.rollout = changed  # an edit that came with the deletion counts, too
        self._queue.add(key_of(changed))

    def _lease_changed(self, old: Lease | None, new: Lease | None) -> None:
        """Enqueue the rollout whose run has ended, and those that wait for its target."""
        if new is None or (old is not None and old.metadata.annotations == new.metadata.annotations):
            return
        namespace, name = new.metadata.namespace, new.metadata.name
        for rollout in self._informers.in_namespace(namespace).rollouts.snapshot().values():
            key = key_of(rollout)
            if key[0] == namespace and lease_name(rollout.spec.target.ref(namespace)) == name:
                self._queue.add(key)
