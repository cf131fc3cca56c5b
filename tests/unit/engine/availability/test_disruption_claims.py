"""A PodDisruptionBudget that other workloads share is claimed before a pod is closed under it, serves one plan, and is given
back when what was closed is answered."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import ClaimBudget, CloseGate, ReleaseBudget
from inplace.engine.availability.budget import headroom_under_claim
from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.snapshot import ObservedPod
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.run import RunOptions, StopRequest
from tests.builders import SPEC, budget, deployment, in_service, observed, of_deployment, pod, record, replica_set, run

NOW = 100.0
SHARED: dict[str, int] = {"desired_healthy": 1, "expected": 6, "healthy": 6}
KEY = "budget/pdb"


def pods(n: int = 3) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}")) for i in range(n)]


def planned(*of: ObservedPod, spec: Any = SPEC, now: float = NOW, most: int = 2, **fields: Any) -> Plan:
    view = {"budgets": (budget(**SHARED),), **fields}  # type: ignore[arg-type]
    return plan(observed(*(of or pods()), **view), spec, run(RunOptions(max_unavailable=most)), now)


def said(made: Plan) -> list[str]:
    names = []
    for action in made.actions:
        match action:
            case CloseGate(pod=closed, budgets=budgets):
                names.append(f"close {closed.name} under {','.join(budgets)}")
            case ClaimBudget(budget=claimed, prior_claims=held):
                names.append(f"claim {','.join((*held, claimed.metadata.name))}")
            case ReleaseBudget(name=name):
                names.append(f"release {name}")
    return names


def test_a_shared_budget_is_claimed_first() -> None:
    made = planned()
    assert said(made) == ["claim pdb"]
    assert made.progress.waiting == "waiting for its turn at PodDisruptionBudget pdb"


def test_a_claim_serves_as_many_closes_as_it_says() -> None:
    assert said(planned(claims={"pdb": 5})) == ["close web-0 under pdb", "close web-1 under pdb"]
    assert said(planned(claims={"pdb": 1})) == ["close web-0 under pdb"]


def test_a_claim_is_released_when_the_close_is_answered() -> None:
    closing: dict[str, Any] = {"claims": {"pdb": 0}, "closing": frozenset({"uid-web-0"})}
    assert said(planned(**closing)) == []
    ours = in_service(pod("web-0", gate="False", record=record()))
    assert said(planned(ours, *pods()[1:], claims={"pdb": 0})) == ["release pdb"]


def test_a_claim_that_cannot_be_used_is_released() -> None:
    assert said(planned(claims={"pdb": 0})) == ["release pdb"]
    stopped = planned(claims={"pdb": 3}, spec=type(SPEC)(SPEC.lease_name, StopRequest("Interrupted", "Ctrl-C")))
    assert said(stopped) == ["release pdb"]
    assert stopped.finished is None


def test_several_claims_are_made_by_name_and_held_together() -> None:
    both = (budget("b", **SHARED), budget("a", **SHARED))  # type: ignore[arg-type]
    assert said(planned(budgets=both)) == ["claim a"]
    assert said(planned(budgets=both, claims={"a": 3})) == ["claim a,b"]
    assert said(planned(budgets=both, claims={"a": 3, "b": 1})) == ["close web-0 under a,b"]
    assert said(planned(budgets=both, claims={"b": 1})) == ["claim a", "release b"]


@pytest.mark.parametrize(
    ("shown", "desired", "expected", "is_claimed"),
    [(3, 3, 3, False), (3, 3, 4, True), (4, 3, 4, True), (3, 5, 3, False)],
    ids=["its own alone", "one more", "a surplus pod may hide another's", "some are still to come"],
)
def test_only_one_that_others_share_is_claimed(shown: int, desired: int, expected: int, is_claimed: bool) -> None:
    target = of_deployment(deployment(replicas=desired), replica_set(replicas=desired))
    alone = budget(desired_healthy=0, expected=expected, healthy=expected)
    made = planned(*pods(shown), budgets=(alone,), target=target, most=4)
    assert any(isinstance(action, ClaimBudget) for action in made.actions) is is_claimed


def test_pods_that_serve_nobody_need_no_claim() -> None:
    made = planned(in_service(pod("web-0", ready=False)), *pods()[1:])
    assert said(made)[0] == "close web-0 under "


def test_no_claim_is_asked_for_where_the_budget_shows_no_room() -> None:
    made = planned(budgets=(budget(desired_healthy=6, expected=6, healthy=6),))
    assert said(made) == []


def test_a_run_that_never_gets_its_claim_gives_up() -> None:
    """Also while the next try rests."""
    waits: dict[str, Any] = {"timers": {"run/blocked": NOW}, "keys_in_progress": frozenset({KEY})}
    early = planned(now=NOW + DEFAULT_WAIT_SECONDS - 1, **waits)
    assert (early.finished, "run/blocked" in early.timers) == (None, True)
    late = planned(now=NOW + DEFAULT_WAIT_SECONDS, timers={"run/blocked": NOW})
    assert late.finished is not None
    assert late.finished.message == "gave up after 5 minutes: waiting for its turn at PodDisruptionBudget pdb"


def test_headroom_is_what_serves_unclaimed_less_the_minimum() -> None:
    listed = [pod("a"), pod("b"), pod("c", ready=False), pod("d", deleting=True), pod("e", record=record())]
    assert headroom_under_claim(budget(desired_healthy=1), listed) == 1
