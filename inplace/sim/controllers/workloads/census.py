"""The pods of each owner, counted as they change, so that a sync of a thousand pods costs no more than one of ten."""

from __future__ import annotations

from dataclasses import dataclass, field

from inplace.sim.controllers.pods import PodSummary, facts_of
from inplace.sim.objects.store import StoredObject, StoreEvent


@dataclass
class PodCounts:
    """`pods`: by uid, terminating and finished ones too. `ready` counts active ones only."""

    pods: dict[str, StoredObject] = field(default_factory=dict)
    active: int = 0
    ready: int = 0
    terminating: int = 0

    def active_pods(self) -> list[StoredObject]:
        return [pod for pod in self.pods.values() if facts_of(pod).is_active]

    def ready_facts(self) -> list[PodSummary]:
        return [facts for pod in self.pods.values() if (facts := facts_of(pod)).is_active and facts.is_ready]

    def _count(self, facts: PodSummary, by: int) -> None:
        if facts.is_active:
            self.active += by
            self.ready += by * facts.is_ready
        elif facts.is_terminating and facts.phase not in ("Succeeded", "Failed"):
            self.terminating += by


class PodCountIndex:
    """A census per controlling owner's uid. Feed it every event of every pod, in order."""

    def __init__(self) -> None:
        self._of: dict[str, PodCounts] = {}

    def of(self, uid: str) -> PodCounts:
        return self._of.setdefault(uid, PodCounts())

    def forget(self, uid: str) -> None:
        self._of.pop(uid, None)

    def saw(self, event: StoreEvent) -> None:
        if event.old is not None:
            facts = facts_of(event.old)
            if facts.controller:
                census = self.of(facts.controller)
                if census.pods.pop(event.old.uid, None) is not None:
                    census._count(facts, -1)
        if event.new is not None:
            facts = facts_of(event.new)
            if facts.controller:
                census = self.of(facts.controller)
                census.pods[event.new.uid] = event.new
                census._count(facts, 1)
