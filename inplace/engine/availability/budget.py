"""Decides how many more pods may be taken out of service now, by maxUnavailable and PodDisruptionBudgets, and in what order.

A pod that is already not Ready costs nothing of either, so such pods go first. Closes count before they are visible here. Those
that another run has just sent are not visible: so a PodDisruptionBudget over pods of several targets is first claimed, by one
run at a time, and its pods are counted in a read that was sent after the claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from inplace.engine.actions import ClaimBudget
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.pods.drain import is_in_service
from inplace.engine.pods.stages import IN_FLIGHT, PodAssessment
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.record import UpgradeRecord, read_record


class Headroom(msgspec.Struct, frozen=True):
    """`ready`: how many Ready pods may be closed now; `unready`: how many pods that are out of service may also be upgraded."""

    ready: int
    unready: int


def is_available(facts: ObservedPod, closing: frozenset[str], ignored: frozenset[str]) -> bool:
    """Whether the pod serves, by its condition and slices, and the run is not about to take it out of service."""
    if not facts.is_ready or facts.pod.is_terminating or facts.uid in closing:
        return False
    return not isinstance(facts.record, UpgradeRecord) and is_in_service(facts, ignored)


def headroom(
    assessments: Iterable[PodAssessment], desired: int, max_unavailable: int, closing: frozenset[str], ignored: frozenset[str]
) -> Headroom:
    """Returns what maxUnavailable leaves.

    Unavailable pods are the desired ones less the available ones: not Ready, terminating, missing or in upgrade. During a
    scale-down more pods live than are desired, and any of them may be removed: then all of them count as desired. Unschedulable
    pods do not count, since no upgrade causes or ends that; the serving pods may be upgraded meanwhile. A new pod will be
    scheduled in a moment, and counts."""
    available = in_flight = living = unschedulable = 0
    for j in assessments:
        living += not j.facts.pod.is_terminating
        unschedulable += not j.facts.pod.is_terminating and j.facts.pod.is_unschedulable
        available += is_available(j.facts, closing, ignored)
        in_flight += j.uid in closing or (j.stage in IN_FLIGHT and isinstance(j.facts.record, UpgradeRecord))
    unavailable = max(0, max(desired, living) - unschedulable - available)
    return Headroom(max(0, max_unavailable - unavailable), max(0, max_unavailable - in_flight))


class DisruptionBudgets:
    """Tracks what the PodDisruptionBudgets still allow within one plan; `reserve` counts a pod against each that selects it.

    A budget allows its pods that are Ready in the caches, less closes not visible there, less `desiredHealthy`; a shared one no
    more than this run's claim. In-place restarts bypass the Eviction API, so inplace has to keep to the budget by itself.
    """

    def __init__(self, snapshot: Snapshot, desired: int, ignored: frozenset[str]) -> None:
        self._budgets = tuple(sorted(snapshot.budgets, key=lambda budget: budget.metadata.name))
        self._claims = snapshot.claims
        pods = snapshot.pods if self._budgets else ()
        self._shared = frozenset(b.metadata.name for b in self._budgets if is_shared(b, pods, desired))
        self._room = {}
        for budget in self._budgets:
            left = _disruptions_left(budget, pods, snapshot.closing, ignored)
            self._room[budget.metadata.name] = min(left, self._claims.get(budget.metadata.name, left))

    def blocked_by(self, facts: ObservedPod) -> str | None:
        """Returns the budget that does not allow closing this pod now."""
        for budget in self._budgets:
            if self._room[budget.metadata.name] <= 0 and budget.selects(facts.pod.metadata.labels):
                return budget.metadata.name
        return None

    def shared(self, facts: ObservedPod) -> tuple[PodDisruptionBudget, ...]:
        """Returns the budgets to claim before the pod is closed, in the order in which every run claims them."""
        return tuple(b for b in self._budgets if b.metadata.name in self._shared and b.selects(facts.pod.metadata.labels))

    def claim_for(self, facts: ObservedPod) -> ClaimBudget | None:
        """Returns the first claim that is missing for this pod."""
        needed = self.shared(facts)
        for number, budget in enumerate(needed):
            if budget.metadata.name not in self._claims:
                return ClaimBudget(budget, tuple(b.metadata.name for b in needed[:number]))
        return None

    def reserve(self, facts: ObservedPod) -> None:
        for budget in self._budgets:
            if budget.selects(facts.pod.metadata.labels):
                self._room[budget.metadata.name] -= 1


def _disruptions_left(
    budget: PodDisruptionBudget, pods: tuple[ObservedPod, ...], closing: frozenset[str], ignored: frozenset[str]
) -> int:
    covered = [facts for facts in pods if budget.selects(facts.pod.metadata.labels)]
    available = sum(is_available(facts, closing, ignored) for facts in covered)
    status = budget.status
    if status.observed_generation < budget.metadata.generation and not budget.sync_failure:
        return 0  # not computed yet: the Eviction API allows none then, either
    if status.expected_pods <= len(covered):
        return available - status.desired_healthy
    # It selects pods that are not watched here: only its status counts those, and it may still count pods in flight as healthy.
    in_upgrade = sum(facts.uid in closing or isinstance(facts.record, UpgradeRecord) for facts in covered)
    return status.current_healthy - in_upgrade - status.desired_healthy


def is_shared(budget: PodDisruptionBudget, pods: Iterable[ObservedPod], desired: int) -> bool:
    """Whether the budget also selects pods of other targets, which the surplus pods of a scale-down must not hide."""
    living = sum(not f.pod.is_terminating and budget.selects(f.pod.metadata.labels) for f in pods)
    return budget.status.expected_pods > min(living, desired)


def headroom_under_claim(budget: PodDisruptionBudget, pods: Iterable[Pod]) -> int:
    """Returns how many Ready pods may be closed, counted in a quorum read of all its pods. A close shows as the pod's
    record."""
    available = sum(pod.is_ready and not pod.is_terminating and read_record(pod) is None for pod in pods)
    return available - budget.status.desired_healthy


def allows_no_disruption(budget: PodDisruptionBudget) -> bool:
    """Whether the budget expects pods and requires all of them to be healthy, so that it never allows a disruption."""
    status = budget.status
    return status.expected_pods > 0 and status.desired_healthy >= status.expected_pods


def upgrade_order(assessments: Iterable[PodAssessment], snapshot: Snapshot) -> list[PodAssessment]:
    """Sorts pods for the upgrade: those out of service first, those without a node last, since none of their containers runs.
    Within that, a StatefulSet's pods from the highest ordinal; others in a stable order that takes the nodes in turn."""
    everyone, strategy = list(assessments), strategy_for(snapshot)
    ordinals = {j.uid: ordinal for j in everyone if (ordinal := strategy.ordinal(j.facts)) is not None}
    if ordinals:
        return sorted(everyone, key=lambda x: (*_sort_key(x), -ordinals[x.uid]))
    rank = _rank_within_node(everyone)
    return sorted(everyone, key=lambda x: (*_sort_key(x), rank[x.uid], x.facts.pod.spec.node_name, x.facts.pod.name))


def _sort_key(assessment: PodAssessment) -> tuple[bool, bool]:
    return not assessment.facts.pod.is_scheduled, assessment.facts.is_ready


def _rank_within_node(assessments: list[PodAssessment]) -> dict[str, int]:
    seen: dict[str, int] = defaultdict(int)
    ranks = {}
    for j in sorted(assessments, key=lambda x: x.facts.pod.name):
        node = j.facts.pod.spec.node_name
        ranks[j.uid] = seen[node]
        seen[node] += 1
    return ranks
