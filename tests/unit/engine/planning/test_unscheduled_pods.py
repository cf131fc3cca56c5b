"""Pods without a node: what is planned for them, what they cost, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import CloseGate, OpenGate, PatchIdleImages, RemoveRecord
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.snapshot import DeploymentTarget, ObservedPod, Snapshot
from inplace.model.refs import TargetRef
from inplace.model.run import RunOptions, parse_steps
from tests.builders import (
    NEW,
    NS,
    OLD,
    SPEC,
    container,
    deployment,
    facts,
    in_service,
    observed,
    of_deployment,
    of_revision,
    patched,
    pod,
    record,
    replica_set,
    revision,
    run,
    stateful_set,
)

NOW = 100.0


def homeless(name: str = "web-9", **fields: Any) -> ObservedPod:
    return facts(pod(name, **{"node": "", "ready": False, "statuses": [], "observed": 0, "phase": "Pending", **fields}))


def pods(n: int, **fields: Any) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}", **fields)) for i in range(n)]


def rolled_out(replicas: int) -> DeploymentTarget:
    return of_deployment(deployment(NEW, replicas=replicas), replica_set(NEW, replicas=replicas))


def planned(view: Snapshot, options: RunOptions | None = None, **fields: Any) -> Plan:
    return plan(view, SPEC, run(options or RunOptions(max_unavailable=1), **fields), NOW)


def test_an_unscheduled_pod_is_patched_at_once_and_takes_no_slot() -> None:
    made = planned(observed(*pods(2), homeless()))
    idle, close = made.actions
    assert isinstance(idle, PatchIdleImages)
    assert (idle.pod.name, idle.images, idle.pod.resource_version) == ("web-9", NEW, "10")
    assert isinstance(close, CloseGate)


def test_a_pod_just_created_is_patched_but_counts_as_unavailable() -> None:
    """The scheduler has not said that there is no node: it will serve in a moment."""
    made = planned(observed(*pods(2), homeless(just_created=True)))
    assert [type(action) for action in made.actions] == [PatchIdleImages]


def test_whatever_else_is_waited_for() -> None:
    """Not ready, in flight, and no room: nothing of that is its business."""
    flying = in_service(pod("web-0", ready=False, gate="False", record=record()))
    made = planned(observed(flying, in_service(pod("web-1")), homeless()))
    assert [a.pod.name for a in made.actions if isinstance(a, PatchIdleImages)] == ["web-9"]


def test_sidecars_and_ordinary_init_containers_keep_their_place() -> None:
    init = container("setup", "repo/setup:1", restart_policy=None)
    made = planned(observed(*pods(1, images=NEW), homeless(sidecars=[init])))
    (idle,) = [a for a in made.actions if isinstance(a, PatchIdleImages)]
    assert idle.init == {"setup"}


@pytest.mark.parametrize(("steps", "expected"), [("1,pause,100%", []), ("3,pause,100%", ["web-9"]), ("100%", ["web-9"])])
def test_an_unscheduled_pod_does_not_count_for_a_step(steps: str, expected: list[str]) -> None:
    made = planned(observed(*pods(2), homeless()), RunOptions(max_unavailable=1, steps=parse_steps(steps)))
    assert [a.pod.name for a in made.actions if isinstance(a, PatchIdleImages)] == expected


def test_an_unscheduled_pod_counts_as_updated_and_unverified() -> None:
    there = [*pods(2, images=NEW), homeless(images=NEW)]
    made = planned(observed(*there, target=rolled_out(3), pods_listed_at=NOW, timers={"commit/end": NOW - 1}))
    assert made.finished is not None
    assert (made.finished.outcome, made.finished.message) == ("Succeeded", "pod/web-9 is updated and waits for a node")
    assert (made.progress.updated, made.progress.unscheduled, made.progress.failed) == (3, 1, 0)


def test_many_are_counted() -> None:
    many = [homeless(f"web-{i}", images=NEW) for i in range(5)]
    view = observed(*many, target=rolled_out(5), pods_listed_at=NOW, timers={"commit/end": NOW - 1})
    finished = planned(view).finished
    assert finished is not None
    assert finished.message == "pod/web-0, pod/web-1, pod/web-2 and 2 more are updated and wait for a node"


def test_no_verdict_and_no_deadline() -> None:
    made = planned(observed(homeless(images=NEW, gates=()), homeless("web-8", gates=())))
    assert made.run.failures == ()
    assert not any(name.startswith("uid-web-9/") for name in made.timers)


def test_a_gate_without_a_condition_opens_as_on_every_new_pod() -> None:
    made = planned(observed(*pods(1), homeless(images=NEW, gate=None)))
    (opening,) = [a for a in made.actions if isinstance(a, OpenGate)]
    assert opening.reason == "GateAdded"


@pytest.mark.parametrize("written", [record(), patched()], ids=["closed", "patched"])
@pytest.mark.parametrize(("gate_before", "freed"), [("True", OpenGate), ("False", RemoveRecord)])
def test_an_unscheduled_pod_closed_by_an_older_version_is_freed(written: Any, gate_before: str, freed: type) -> None:
    carried = type(written)(**{**{f: getattr(written, f) for f in written.__struct_fields__}, "gate_before": gate_before})
    made = planned(observed(*pods(1), homeless(images=NEW, gate="False", record=carried)))
    assert [type(a) for a in made.actions if getattr(a, "pod", None) and a.pod.name == "web-9"] == [freed]  # type: ignore[attr-defined]


def test_an_unscheduled_pod_is_rolled_back_the_same_way() -> None:
    back = run(RunOptions(max_unavailable=1), rollback_reason="Failure", images=OLD, original_images=NEW)
    made = plan(observed(*pods(2), homeless(images=NEW)), SPEC, back, NOW)
    (idle,) = made.actions
    assert isinstance(idle, PatchIdleImages)
    assert idle.images == OLD


class TestOrderedStatefulSet:
    """web-2 has no node, so its controller makes no web-3 and web-4."""

    REF = TargetRef(kind="StatefulSet", namespace=NS, name="web")

    def view(self, node: str, ordered: bool) -> Snapshot:
        target = stateful_set(NEW, revision(1), revision(2, NEW), replicas=5, update="web-2", updated=3, ordered=ordered)
        last = of_revision("web-2", "web-2", NEW, node=node, ready=bool(node))
        return observed(*[of_revision(f"web-{i}", "web-2", NEW) for i in (0, 1)], last, target=target)

    @pytest.mark.parametrize(("node", "ordered", "count"), [("", True, 2), ("node-1", True, 0), ("", False, 0)])
    def test_what_is_not_made_is_not_waited_for(self, node: str, ordered: bool, count: int) -> None:
        assert strategy_for(self.view(node, ordered)).blocked_replicas() == count
