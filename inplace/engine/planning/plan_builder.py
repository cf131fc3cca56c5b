"""Builds one plan from the assessed pods: adds what pods in flight need, and shows where everything stands."""

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


class PlanBuilder(msgspec.Struct):
    """Everything that one planning pass knows.

    `failed`: uids of the pods that no longer count. `in_flight`: the pods that this run has in work.
    """

    snapshot: Snapshot
    context: PlanContext
    run: Run
    policy: PodPolicy
    assessments: list[PodAssessment]
    timers: Timers
    stop: StopRequest | None
    failed: frozenset[str]
    in_flight: list[PodAssessment]

    @property
    def all_updated(self) -> bool:
        """Whether every pod is updated that should exist. One that is being deleted counts once its place is taken."""
        return self.missing == 0 and all(a.stage in ("Updated", "Kept", "Gone") for a in self.assessments)

    @property
    def missing(self) -> int:
        """How many pods should exist and do not; negative: how many are too many. Bare pods that leave are not replaced."""
        leaving = sum(a.stage == "Gone" for a in self.assessments)
        strategy = strategy_for(self.snapshot)
        gone = leaving if not strategy.has_controller and leaving < len(self.assessments) else 0
        return strategy.desired_replicas() - strategy.blocked_replicas() - gone - (len(self.assessments) - leaving)

    @property
    def patience_seconds(self) -> float:
        """For waits without an option of their own: the default, plus the grace period of a pod that is being deleted."""
        graces = (a.facts.pod.metadata.deletion_grace_period_seconds or 0 for a in self.assessments if a.stage == "Gone")
        return DEFAULT_WAIT_SECONDS + max(graces, default=0)

    def plan(
        self,
        actions: Iterable[Action],
        waiting: str = "",
        step: str = "",
        started: frozenset[str] = frozenset(),
        until: float | None = None,
    ) -> Plan:
        """The plan with these actions and what the pods in flight need, without what is under way already.

        `waiting`, `step`, `until`: for people, what the run waits for, in which step, and until when. `started`: uids of pods
        that `actions` start.
        """
        todo: dict[str, Action] = {}
        actions = tuple(actions)
        for action in (*self._pod_actions(), *actions, *self._follow_actions(), *self._releases(actions)):
            if action.key not in self.snapshot.keys_in_progress:
                todo.setdefault(action.key, action)
        closing = started | self.snapshot.closing
        shown = show(self.snapshot, self.run, self.policy, self.assessments, closing)
        for pod in shown.pods:
            if pod.stage in IN_FLIGHT:
                self.timers.started_at(pod.timer)
        return Plan(
            run=self.run,
            actions=tuple(todo.values()),
            pods=shown.pods,
            progress=msgspec.structs.replace(shown.progress, waiting=waiting, step=step, until=until),
            requeue_after_seconds=self.timers.requeue_after(),
            timers=self.timers.used,
        )

    def _pod_actions(self) -> list[Action]:
        actions: list[Action] = []
        needs_slices = False
        for a in self.assessments:
            if a.uid in self.failed:
                freeing = release_failed(a, self.policy)
                if freeing is not None:
                    actions.append(freeing)
                continue
            if a.action is not None:
                actions.append(a.action)
            if a.requeue_at is not None:
                self.timers.requeue_at(a.requeue_at)
            needs_slices = needs_slices or a.needs_slice_list
        if needs_slices:
            actions.extend(self._list_slices())
        return actions

    def follow_step(self) -> sequence.Perform | sequence.WaitFor | None:
        """What the workload needs while pods are worked on; nothing once somebody else has changed it."""
        if self.stop is not None and self.stop.external_change:
            return None
        return strategy_for(self.snapshot).follow(self.run)

    def _follow_actions(self) -> list[Action]:
        match self.follow_step():
            case sequence.Perform(action=action):
                return [action]
            case _:
                return []

    def _releases(self, actions: tuple[Action, ...]) -> list[Action]:
        """Releases the budget claims that no action needs any more, nor a close that is not yet visible here."""
        snapshot = self.snapshot
        needed = {name for action in actions for name in required_budgets(action)}
        for budget in snapshot.budgets if snapshot.closing and snapshot.claims else ():
            if any(f.uid in snapshot.closing and budget.selects(f.pod.metadata.labels) for f in snapshot.pods):
                needed.add(budget.metadata.name)
        return [ReleaseBudget(name) for name in snapshot.claims if name not in needed]

    def _list_slices(self) -> list[Action]:
        """Reads the slices, at most once a second, until they no longer show a drained pod as ready."""
        last = self.snapshot.slices_listed_at
        if last is None or self.timers.now >= last + 1.0:
            return [ListSlices()]
        self.timers.requeue_at(last + 1.0)
        return []
