"""One plan in the making: the judged pods, the clocks, and what becomes of both."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inplace.engine.actions import Action, ListSlices, ReleaseBudget, required_budgets
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Plan, PlanContext
from inplace.engine.planning.projection import show
from inplace.engine.pods.stages import IN_FLIGHT, PodAssessment, PodPolicy, release_failed
from inplace.engine.snapshot import Snapshot
from inplace.engine.timers import DEFAULT_WAIT_SECONDS, Timers
from inplace.engine.workloads import sequence
from inplace.model.run import Run, StopRequest


class View(msgspec.Struct):
    """`failed`: uids of the pods that count no more. `in_flight`: those that are ours now."""

    observed: Snapshot
    spec: PlanContext
    run: Run
    rules: PodPolicy
    judged: list[PodAssessment]
    clocks: Timers
    stop: StopRequest | None
    failed: frozenset[str]
    in_flight: list[PodAssessment]

    @property
    def all_updated(self) -> bool:
        """A pod that is being deleted is none of them: it counts when its place is taken."""
        return self.missing == 0 and all(j.stage in ("Updated", "Kept", "Gone") for j in self.judged)

    @property
    def missing(self) -> int:
        """How many pods are to be there and are not, or are too many. Nobody takes the place of a bare one that leaves."""
        leaving = sum(j.stage == "Gone" for j in self.judged)
        strategy = strategy_for(self.observed)
        gone = leaving if not strategy.has_controller and leaving < len(self.judged) else 0
        return strategy.desired_replicas() - strategy.blocked_replicas() - gone - (len(self.judged) - leaving)

    @property
    def patience_seconds(self) -> float:
        """Of waits without an option of their own: a pod that leaves may take its grace period."""
        graces = (j.facts.pod.metadata.deletion_grace_period_seconds or 0 for j in self.judged if j.stage == "Gone")
        return DEFAULT_WAIT_SECONDS + max(graces, default=0)

    def plan(
        self,
        actions: Iterable[Action],
        waiting: str = "",
        step: str = "",
        started: frozenset[str] = frozenset(),
        until: float | None = None,
    ) -> Plan:
        """Adds what the pods in flight need, and leaves out whatever is under way already."""
        todo: dict[str, Action] = {}
        actions = tuple(actions)
        for action in (*self._pod_actions(), *actions, *self._following(), *self._releases(actions)):
            if action.key not in self.observed.keys_in_progress:
                todo.setdefault(action.key, action)
        closing = started | self.observed.closing
        shown = show(self.observed, self.run, self.rules, self.judged, closing)
        for pod in shown.pods:
            if pod.stage in IN_FLIGHT:
                self.clocks.started_at(pod.timer)
        return Plan(
            run=self.run,
            actions=tuple(todo.values()),
            pods=shown.pods,
            progress=msgspec.structs.replace(shown.progress, waiting=waiting, step=step, until=until),
            requeue_after=self.clocks.requeue_after(),
            timers=self.clocks.used,
        )

    def _pod_actions(self) -> list[Action]:
        actions: list[Action] = []
        needs_slices = False
        for j in self.judged:
            if j.uid in self.failed:
                freeing = release_failed(j, self.rules)
                if freeing is not None:
                    actions.append(freeing)
                continue
            if j.action is not None:
                actions.append(j.action)
            if j.requeue_at is not None:
                self.clocks.requeue_at(j.requeue_at)
            needs_slices = needs_slices or j.needs_slice_list
        if needs_slices:
            actions.extend(self._list_slices())
        return actions

    def following(self) -> sequence.Perform | sequence.WaitFor | None:
        """What a StatefulSet's partition needs; nothing once somebody else has a hand in it."""
        if self.stop is not None and self.stop.external_change:
            return None
        return strategy_for(self.observed).follow(self.run)

    def _following(self) -> list[Action]:
        match self.following():
            case sequence.Perform(action=action):
                return [action]
            case _:
                return []

    def _releases(self, actions: tuple[Action, ...]) -> list[Action]:
        """Claims that nothing rests on any more, nor on its way: a close that was answered is seen by whoever claims next."""
        observed = self.observed
        needed = {name for action in actions for name in required_budgets(action)}
        for budget in observed.budgets if observed.closing and observed.claims else ():
            if any(f.uid in observed.closing and budget.selects(f.pod.metadata.labels) for f in observed.pods):
                needed.add(budget.metadata.name)
        return [ReleaseBudget(name) for name in observed.claims if name not in needed]

    def _list_slices(self) -> list[Action]:
        """At most one read a second: one that still shows a pod as ready is asked again."""
        last = self.observed.slices_listed_at
        if last is None or self.clocks.now >= last + 1.0:
            return [ListSlices()]
        self.clocks.requeue_at(last + 1.0)
        return []
