"""The budget: how many pods may be out at once, whoever took them out, and what PodDisruptionBudgets leave of it."""

import random

import msgspec
import pytest

from inplace.engine.availability.budget import (
    DisruptionBudgets,
    Headroom,
    allows_no_disruption,
    headroom,
    is_available,
    upgrade_order,
)
from inplace.engine.kinds.workload import max_unavailable
from inplace.engine.pods.stages import PodAssessment, assess_pod
from inplace.engine.snapshot import ObservedPod
from inplace.model.run import RunOptions
from tests.builders import (
    NEW,
    budget,
    deployment,
    in_service,
    observed,
    of_deployment,
    patched,
    pod,
    record,
    replica_set,
    rules,
    run,
)

NOBODY: frozenset[str] = frozenset()


def up(name: str, **fields: object) -> ObservedPod:
    return in_service(pod(name, **fields))  # type: ignore[arg-type]


def down(name: str) -> ObservedPod:
    return in_service(pod(name, ready=False))


def ours(name: str) -> ObservedPod:
    return in_service(pod(name, ready=False, gate="False", record=record()))


def stages_of(*pods: ObservedPod) -> list[PodAssessment]:
    return [assess_pod(f, rules(), None, 0.0) for f in pods]


def room(*pods: ObservedPod, desired: int, limit: int, closing: frozenset[str] = NOBODY) -> Headroom:
    return headroom(stages_of(*pods), desired, limit, closing, NOBODY)


@pytest.mark.parametrize(
    ("option", "own", "replicas", "limit"),
    [
        (0, "25%", 4, 0),
        (1, "25%", 40, 1),
        ("33%", "25%", 7, 2),
        ("10%", "25%", 7, 1),
        ("0%", "25%", 7, 0),
        (None, "50%", 7, 3),
        (None, 2, 7, 2),
        (None, None, 8, 2),
        ("100%", 0, 7, 7),
    ],
)
def test_max_unavailable_is_the_option_else_the_workloads_own(
    option: int | str | None, own: int | str | None, replicas: int, limit: int
) -> None:
    target = of_deployment(deployment(replicas=replicas, max_unavailable=own), replica_set())
    assert max_unavailable(observed(target=target), run(RunOptions(max_unavailable=option))) == limit


class TestRoom:
    def test_all_serve(self) -> None:
        assert room(up("a"), up("b"), up("c"), desired=3, limit=2) == Headroom(2, 2)

    def test_not_ready_and_terminating_and_missing_cost_budget(self) -> None:
        assert room(up("a"), up("b"), down("c"), desired=3, limit=2).ready == 1
        assert room(up("a"), up("b"), up("c", deleting=True), desired=3, limit=2).ready == 1
        assert room(up("a"), up("b"), desired=3, limit=2).ready == 1
        assert room(up("a"), desired=4, limit=2).ready == 0

    def test_a_pod_not_ready_in_its_slices_serves_nobody(self) -> None:
        assert room(in_service(pod("a"), ready=False), up("b"), desired=2, limit=1).ready == 0

    def test_surplus_pods_do_not_pay_for_others(self) -> None:
        """The scale-down that is on its way may take any of them."""
        assert room(up("a"), up("b"), up("c"), down("d"), desired=3, limit=1).ready == 0
        assert room(up("a"), up("b"), up("c"), up("d", deleting=True), desired=3, limit=1).ready == 1

    def test_ours_count_even_before_the_kubelet_has_acted(self) -> None:
        still_ready = in_service(pod("a", gate="False", record=record()))
        assert room(still_ready, up("b"), desired=2, limit=1) == Headroom(0, 0)

    def test_closes_that_are_not_yet_visible_count_at_once(self) -> None:
        assert room(up("a"), up("b"), desired=2, limit=1, closing=frozenset({"uid-a"})) == Headroom(0, 0)
        both = room(ours("a"), up("b"), desired=2, limit=2, closing=frozenset({"uid-a"}))
        assert both == Headroom(1, 1)

    def test_pods_that_serve_nobody_are_worked_on_within_the_limit(self) -> None:
        assert room(ours("a"), down("b"), down("c"), desired=3, limit=2) == Headroom(0, 1)
        assert room(ours("a"), ours("b"), down("c"), desired=3, limit=2) == Headroom(0, 0)

    def test_opened_but_not_back_costs_budget(self) -> None:
        assert room(up("a"), in_service(pod("b", images=NEW, ready=False)), desired=2, limit=1).ready == 0

    def test_a_pod_held_closed_by_others_is_updated_and_unavailable(self) -> None:
        held = in_service(pod("b", images=NEW, ready=False, gate="False", containers_ready=True, holds='{"x":""}'))
        assert assess_pod(held, rules(), None, 0.0).stage == "Updated"
        assert room(up("a"), held, desired=2, limit=1).ready == 0

    def test_never_negative(self) -> None:
        assert room(ours("a"), ours("b"), down("c"), desired=9, limit=1) == Headroom(0, 0)


class TestDisruptionBudgets:
    def left(self, *pods: ObservedPod, closing: frozenset[str] = NOBODY, **fields: int) -> int:
        view = observed(*pods, budgets=(budget(**fields),), closing=closing)  # type: ignore[arg-type]
        disruptions, n = DisruptionBudgets(view, len(pods), NOBODY), 0
        while disruptions.blocked_by(pods[0]) is None and n < 50:
            disruptions.reserve(pods[0])
            n += 1
        return n

    def test_pods_that_serve_less_what_must_stay(self) -> None:
        assert self.left(up("a"), up("b"), up("c"), desired_healthy=1) == 2
        assert self.left(up("a"), up("b"), down("c"), desired_healthy=1) == 1
        assert self.left(up("a"), up("b"), ours("c"), desired_healthy=2) == 0

    def test_closes_not_yet_visible(self) -> None:
        assert self.left(up("a"), up("b"), up("c"), closing=frozenset({"uid-b"}), desired_healthy=1) == 1

    def test_shared_with_pods_that_we_do_not_watch(self) -> None:
        assert self.left(up("a"), up("b"), desired_healthy=3, expected=6, healthy=5) == 2
        assert self.left(up("a"), ours("b"), desired_healthy=3, expected=6, healthy=5) == 1
        assert self.left(up("a"), up("b"), desired_healthy=5, expected=6, healthy=5) == 0

    def test_a_pod_that_is_not_covered_is_not_blocked(self) -> None:
        none = DisruptionBudgets(observed(up("a"), budgets=(budget(desired_healthy=9),)), 1, NOBODY)
        assert none.blocked_by(up("a")) == "pdb"
        assert none.blocked_by(up("x", labels={"app": "db"})) is None

    def test_one_pod_counts_against_every_budget_that_covers_it(self) -> None:
        pods = [up("a"), up("b"), up("c")]
        both = DisruptionBudgets(observed(*pods, budgets=(budget("wide", 0), budget("tight", 2))), 3, NOBODY)
        both.reserve(pods[0])
        assert both.blocked_by(pods[1]) == "tight"

    def test_one_whose_status_is_not_computed_yet_allows_none(self) -> None:
        def blocker(problem: str) -> str | None:
            fresh = budget(desired_healthy=0, expected=0, problem=problem)
            fresh = msgspec.structs.replace(fresh, metadata=msgspec.structs.replace(fresh.metadata, generation=1))
            return DisruptionBudgets(observed(up("a"), budgets=(fresh,)), 1, NOBODY).blocked_by(up("a"))

        assert blocker("") == "pdb"
        assert blocker("found no controller") is None, "one that never will be is told, and no limit"

    @pytest.mark.parametrize(("healthy", "expected", "never"), [(3, 3, True), (4, 3, True), (2, 3, False), (0, 0, False)])
    def test_a_budget_that_never_allows_one(self, healthy: int, expected: int, never: bool) -> None:
        assert allows_no_disruption(budget(desired_healthy=healthy, expected=expected)) is never


class TestOrder:
    def names(self, *pods: ObservedPod) -> list[str]:
        return [j.facts.pod.name for j in upgrade_order(stages_of(*pods), observed())]

    def test_pods_that_serve_nobody_go_first(self) -> None:
        assert self.names(up("a"), down("b"), up("c"), down("d")) == ["b", "d", "a", "c"]

    def test_nodes_take_turns(self) -> None:
        pods = [up(f"p{i}", node=node) for i, node in enumerate(["x", "x", "x", "y", "y", "z"])]
        assert self.names(*pods) == ["p0", "p3", "p5", "p1", "p4", "p2"]

    def test_the_order_in_which_they_are_listed_does_not_matter(self) -> None:
        pods = [up(f"p{i}", node=f"n{i % 3}") for i in range(9)] + [down("q1"), down("q0")]
        rng, wanted = random.Random(1), self.names(*pods)
        for _ in range(20):
            rng.shuffle(pods)
            assert self.names(*pods) == wanted


def test_available_means_ready_listed_ours_not_and_staying() -> None:
    assert is_available(up("a"), NOBODY, NOBODY)
    assert not is_available(up("a"), frozenset({"uid-a"}), NOBODY)
    assert not is_available(down("a"), NOBODY, NOBODY)
    assert not is_available(up("a", deleting=True), NOBODY, NOBODY)
    assert not is_available(in_service(pod("a", record=patched())), NOBODY, NOBODY)
    assert is_available(in_service(pod("a"), ready=False), NOBODY, frozenset({"web"}))
