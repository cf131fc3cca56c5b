"""Which pods are started by a plan, and what it says where none is."""

import random
from typing import Any

import pytest

from inplace.engine.actions import CloseGate, OpenGate
from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.planning.scheduling import gate_before
from inplace.engine.snapshot import Evidence, ObservedPod, Snapshot
from inplace.model.refs import TargetRef
from inplace.model.run import RunOptions, parse_steps
from tests.builders import (
    GATE,
    NEW,
    NS,
    OLD,
    SPEC,
    budget,
    in_service,
    observed,
    of_pods,
    pod,
    record,
    run,
)

NOW = 100.0


def pods(n: int, **fields: Any) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}", **fields)) for i in range(n)]


def planned(view: Snapshot, options: RunOptions | None = None, now: float = NOW) -> Plan:
    return plan(view, SPEC, run(options or RunOptions(max_unavailable=1)), now)


def closed(made: Plan) -> list[str]:
    return [a.pod.name for a in made.actions if isinstance(a, CloseGate)]


class TestSettledView:
    def test_nobody_is_touched_before_two_seconds_of_agreement(self) -> None:
        view = observed(*pods(2), evidence={f"uid-web-{i}": Evidence(consistent_since=99.0) for i in range(2)})
        made = planned(view)
        assert closed(made) == []
        assert made.requeue_after_seconds == 1.0
        assert made.progress.waiting == "watching the pods for 2s before starting"
        assert closed(planned(view, now=101.0)) == ["web-0"]

    def test_a_pod_whose_slices_say_otherwise_is_passed_over(self) -> None:
        view = observed(*pods(2), evidence={"uid-web-0": Evidence(), "uid-web-1": Evidence(consistent_since=0.0)})
        assert closed(planned(view)) == ["web-1"]

    def test_a_pod_never_witnessed_is_not_touched(self) -> None:
        made = planned(observed(*pods(1), evidence={}))
        assert closed(made) == []
        assert made.progress.waiting == "waiting for pod/web-0 and its EndpointSlices to agree"
        assert made.requeue_after_seconds == 300.0

    def test_blind_watches_start_nothing(self) -> None:
        made = planned(observed(*pods(1), stale_reason="no answer for 20s"))
        assert made.actions == ()
        assert made.progress.waiting == "waiting for the API server: no answer for 20s"


class TestBudget:
    @pytest.mark.parametrize(("limit", "started"), [(1, 1), (3, 3), ("33%", 2), ("100%", 7), (9, 7)])
    def test_as_many_as_may_be_unavailable(self, limit: int | str, started: int) -> None:
        assert len(closed(planned(observed(*pods(7)), RunOptions(max_unavailable=limit)))) == started

    def test_pods_that_are_not_ready_go_first_and_cost_no_headroom(self) -> None:
        view = observed(*pods(3), *[in_service(pod("web-9", ready=False))])
        assert closed(planned(view)) == ["web-9"]
        assert closed(planned(view, RunOptions(max_unavailable=2))) == ["web-9", "web-0"]

    def test_at_most_so_many_unready_pods_at_once(self) -> None:
        assert len(closed(planned(observed(*pods(5, ready=False)), RunOptions(max_unavailable=2)))) == 2

    def test_closing_and_busy_pods_are_not_started_again(self) -> None:
        view = observed(*pods(3), keys_in_progress=frozenset({"uid-web-0"}), closing=frozenset({"uid-web-0"}))
        assert closed(planned(view, RunOptions(max_unavailable=2))) == ["web-1"]

    def test_no_room_is_said_unless_our_own_pods_in_flight_take_it(self) -> None:
        closing = in_service(pod("web-9", ready=False, gate="False", record=record()))
        assert planned(observed(*pods(2), closing)).progress.waiting == ""
        held = in_service(pod("web-9", images=NEW, ready=False, gate="False", containers_ready=True), ready=False)
        waiting = plan(observed(*pods(2), held), SPEC, run(RunOptions(max_unavailable=1)), NOW).progress.waiting
        assert waiting == (
            "waiting, since at most 1 may be unavailable at once: pod/web-9 was closed by hand (gate inplace.dev/ready)"
            " (to go on: --max-unavailable 2)"
        )

    def test_a_disruption_budget_blocks_by_name_but_not_unready_pods(self) -> None:
        tight = budget("tight", desired_healthy=3, expected=3)
        made = planned(observed(*pods(3), budgets=(tight,)))
        assert closed(made) == []
        assert made.progress.waiting == "waiting for PodDisruptionBudget tight"
        unready = in_service(pod("web-9", ready=False))
        assert closed(planned(observed(*pods(3), unready, budgets=(tight,)))) == ["web-9"]

    def test_one_plan_takes_no_more_than_the_disruption_budget_has(self) -> None:
        view = observed(*pods(6), budgets=(budget(desired_healthy=4, expected=6),))
        assert len(closed(planned(view, RunOptions(max_unavailable=5)))) == 2

    def test_a_blocked_pod_does_not_block_one_that_is_not_covered(self) -> None:
        other = in_service(pod("web-9", labels={"app": "db"}))
        view = observed(*pods(1), other, budgets=(budget(desired_healthy=1, expected=1),))
        assert closed(planned(view)) == ["web-9"]


class TestNodes:
    """A node that does not report: its controller has said Ready False, the kubelet has not."""

    @pytest.mark.parametrize("gates", [(GATE,), (), (GATE, GATE)], ids=["gated", "no gates", "listed twice"])
    def test_a_pod_of_a_silent_node_is_waited_for_and_its_node_named(self, gates: tuple[str, ...]) -> None:
        silent = in_service(pod("web-0", ready=False, containers_ready=True, gates=gates, node="node-7"))
        made = planned(observed(silent), RunOptions(max_unavailable=1, without_gate=True))
        assert made.actions == ()
        assert made.progress.waiting == "waiting for the node of pod/web-0 (node-7), which does not report"

    @pytest.mark.parametrize(
        "fields",
        [{"containers_ready": False}, {"containers_ready": True, "gate": "False"}, {"containers_ready": True, "gate": None}],
        ids=["its containers are not", "its gate is closed", "its gate has no condition"],
    )
    def test_one_that_its_kubelet_calls_not_ready_goes_first(self, fields: dict[str, Any]) -> None:
        sick = in_service(pod("web-0", ready=False, **fields))
        assert closed(planned(observed(sick, *[in_service(pod(f"web-{i}")) for i in (1, 2)]))) == ["web-0"]

    def test_the_others_go_on_within_the_budget(self) -> None:
        """The silent one counts as unavailable."""
        view = observed(in_service(pod("web-9", ready=False, containers_ready=True)), *pods(3))
        assert closed(planned(view)) == []
        assert closed(planned(view, RunOptions(max_unavailable=2))) == ["web-0"]


class TestOrder:
    def test_nodes_take_turns(self) -> None:
        where = ["x", "x", "x", "y", "z"]
        view = observed(*[in_service(pod(f"web-{i}", node=node)) for i, node in enumerate(where)])
        assert closed(planned(view, RunOptions(max_unavailable=3))) == ["web-0", "web-3", "web-4"]

    def test_the_order_of_the_list_changes_nothing(self) -> None:
        everyone = [in_service(pod(f"web-{i}", node=f"n{i % 3}", ready=i % 4 > 0)) for i in range(8)]
        wanted = planned(observed(*everyone), RunOptions(max_unavailable=4))
        rng = random.Random(3)
        for _ in range(10):
            rng.shuffle(everyone)
            made = planned(observed(*everyone), RunOptions(max_unavailable=4))
            assert closed(made) == closed(wanted)
            assert made.progress == wanted.progress


class TestSteps:
    def test_no_more_than_the_step_asks_for(self) -> None:
        options = RunOptions(max_unavailable=5, steps=parse_steps("25%,pause,100%"))
        assert len(closed(planned(observed(*pods(7)), options))) == 2
        one_on_its_way = observed(*pods(6), in_service(pod("web-9", ready=False, gate="False", record=record())))
        assert len(closed(planned(one_on_its_way, options))) == 1
        one_not_yet_visible = observed(*pods(7), closing=frozenset({"uid-web-3"}))
        assert len(closed(planned(one_not_yet_visible, options))) == 1

    def test_updated_pods_count(self) -> None:
        options = RunOptions(max_unavailable=5, steps=parse_steps("50%,pause,100%"))
        view = observed(*pods(4), *[in_service(pod(f"new-{i}", images=NEW)) for i in range(2)])
        assert len(closed(planned(view, options))) == 1


class TestClose:
    def close(self, what: ObservedPod, **fields: Any) -> CloseGate:
        made = planned(observed(what, **fields), RunOptions(max_unavailable=1))
        (action,) = made.actions
        assert isinstance(action, CloseGate)
        return action

    def test_carries_the_whole_record(self) -> None:
        action = self.close(in_service(pod()))
        assert action.record == record(gate=GATE, since=SPEC.timestamp)
        assert (action.gate, action.require_resource_version) == (GATE, False)

    def test_from_images_are_only_those_that_change(self) -> None:
        both = {"app": NEW["app"], "mesh": "mesh:1"}
        made = plan(observed(in_service(pod(images={**OLD, "mesh": "mesh:1"}))), SPEC, run(images=both), NOW)
        (action,) = made.actions
        assert isinstance(action, CloseGate)
        assert action.record.from_images == OLD
        assert action.record.to_images == both

    def test_a_pod_is_closed_as_not_ready_only_while_it_is(self) -> None:
        """It costs no budget: where our view was old and it serves by now, the close must fail."""
        assert self.close(in_service(pod(ready=False))).require_resource_version

    def test_bare_pods_are_closed_at_the_version_that_was_judged(self) -> None:
        bare = run(target=TargetRef(kind="Pods", namespace=NS, pod_names=("web-a",)))
        (action,) = plan(observed(in_service(pod()), target=of_pods()), SPEC, bare, NOW).actions
        assert isinstance(action, CloseGate)
        assert action.require_resource_version

    @pytest.mark.parametrize(
        ("gate", "holds", "before"),
        [
            ("True", None, "True"),
            ("False", None, "False"),
            ("False", '{"label":""}', "True"),
            (None, None, "Missing"),
            ("False", "{}", "False"),
        ],
    )
    def test_what_the_gate_was_before(self, gate: str | None, holds: str | None, before: str) -> None:
        """One closed by a hold that is written down opens when the last hold goes; one closed by hand stays closed."""
        assert gate_before(in_service(pod(ready=gate == "True", gate=gate, holds=holds)), GATE) == before


class TestMissingGates:
    def test_a_new_pod_is_opened_while_it_waits_for_its_turn(self) -> None:
        waiting = in_service(pod("web-9", ready=False, gate=None))
        busy = in_service(pod("web-0", ready=False, gate="False", record=record()))
        (action,) = planned(observed(busy, waiting, evidence={})).actions
        assert isinstance(action, OpenGate)
        assert (action.pod.name, action.reason) == ("web-9", "GateAdded")

    def test_not_where_something_holds_it(self) -> None:
        waiting = in_service(pod("web-9", ready=False, gate=None, holds='{"label":""}'))
        busy = in_service(pod("web-0", ready=False, gate="False", record=record()))
        assert planned(observed(busy, waiting, evidence={})).actions == ()

    def test_missing_gates_are_named_during_a_pause(self) -> None:
        options = RunOptions(steps=parse_steps("pause:1m,100%"))
        (action,) = planned(observed(in_service(pod("web-9", ready=False, gate=None))), options).actions
        assert isinstance(action, OpenGate)
