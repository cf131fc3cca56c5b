"""The template first, held back by the update strategy: what comes next at every point of the sequence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import PatchTemplate, SetUpdateStrategy
from inplace.engine.kinds.daemon_set import DaemonSetKind
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.kinds.stateful_set import StatefulSetKind
from inplace.engine.preflight.checks import Rejected, preflight
from inplace.engine.snapshot import DaemonSetTarget, ObservedPod, RevisionedTarget, Snapshot, StatefulSetTarget
from inplace.engine.workloads.sequence import Blocked, Done, NextStep, Perform, Prepared, WaitFor
from inplace.engine.workloads.template_first import (
    ON_DELETE,
    PARTITION_ABOVE_ALL,
    may_be_ours,
    unholdable,
    unprotected_pod,
)
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from tests.builders import (
    DEPLOYMENT_UID,
    LEASE,
    NEW,
    NS,
    OLD,
    daemon_set,
    observed,
    of_revision,
    partition,
    revision,
    run,
    stateful_set,
)

ROLLING: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
BOTH = (revision(1), revision(2, NEW))
WAITS = "waiting for the {} controller to see the change"


def sts(**fields: Any) -> Run:
    target = TargetRef(kind="StatefulSet", namespace=NS, name="web")
    return run(**{"target": target, "saved_strategy": partition(0), **fields})


def ds(**fields: Any) -> Run:
    target = TargetRef(kind="DaemonSet", namespace=NS, name="web")
    return run(**{"target": target, "saved_strategy": ROLLING, **fields})


def old(*ordinals: int) -> list[ObservedPod]:
    return [of_revision(f"web-{n}", "web-1") for n in ordinals]


def new(*ordinals: int, **fields: Any) -> list[ObservedPod]:
    return [of_revision(f"web-{n}", "web-2", NEW, **fields) for n in ordinals]


def seen(target: RevisionedTarget, *pods: ObservedPod, **fields: Any) -> Snapshot:
    return observed(*pods, target=target, **fields)


def page(view: Snapshot) -> StatefulSetKind | DaemonSetKind:
    return StatefulSetKind(view) if isinstance(view.target, StatefulSetTarget) else DaemonSetKind(view)


def prepared(target: RevisionedTarget, asked: Run, *pods: ObservedPod) -> NextStep:
    return strategy_for(seen(target, *pods)).prepare(asked)


def finished(target: RevisionedTarget, asked: Run, *pods: ObservedPod) -> NextStep:
    """Where the fields have been given back already."""
    returned = msgspec.structs.replace(seen(target, *pods), fields_returned=frozenset({DEPLOYMENT_UID}))
    return strategy_for(returned).commit(asked, {})


def strategy_in(step: object) -> dict[str, Any]:
    assert isinstance(step, Perform), step
    assert isinstance(step.action, SetUpdateStrategy)
    return step.action.strategy


class TestPrepare:
    def test_first_the_pods_are_held_back(self) -> None:
        assert strategy_in(prepared(stateful_set(), sts(), *old(0, 1, 2))) == partition(PARTITION_ABOVE_ALL)
        assert strategy_in(prepared(daemon_set(), ds(), *old(0, 1))) == ON_DELETE

    def test_what_else_the_owner_has_chosen_is_kept_in_it(self) -> None:
        own = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": "30%"}}
        strategy = strategy_in(prepared(stateful_set(strategy=own), sts(saved_strategy=own), *old(0, 1, 2)))
        assert strategy == {
            "type": "RollingUpdate",
            "rollingUpdate": {"partition": PARTITION_ABOVE_ALL, "maxUnavailable": "30%"},
        }

    def test_nothing_before_the_controller_has_seen_that(self) -> None:
        unseen = stateful_set(strategy=partition(PARTITION_ABOVE_ALL), generation=2, observed=1)
        assert prepared(unseen, sts(), *old(0, 1, 2)) == WaitFor(WAITS.format("StatefulSet"))
        late = daemon_set(strategy=ON_DELETE, generation=2, observed=1)
        assert prepared(late, ds(), *old(0, 1)) == WaitFor(WAITS.format("DaemonSet"))

    @pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
    def test_the_template_follows_the_hold(self, kind: str) -> None:
        target, asked = (
            (stateful_set(strategy=partition(PARTITION_ABOVE_ALL)), sts())
            if kind == "StatefulSet"
            else (daemon_set(strategy=ON_DELETE), ds())
        )
        step = prepared(target, asked, *old(0, 1, 2))
        assert isinstance(step, Perform)
        assert step.action == PatchTemplate("web", asked.target_uid, "100", kind, NEW)  # type: ignore[arg-type]

    def test_no_template_where_a_dying_pod_would_come_back_older(self) -> None:
        between = stateful_set(
            OLD, revision(1, {"app": "repo/app:0"}), revision(2), strategy=partition(PARTITION_ABOVE_ALL), update="web-2"
        )
        step = prepared(between, sts(), *old(0, 1, 2))
        assert isinstance(step, WaitFor)
        assert "waiting for currentRevision" in step.reason

    def test_an_on_delete_owner_may_get_older_pods(self) -> None:
        revisions = revision(1, {"app": "repo/app:0"}), revision(2)
        between = stateful_set(OLD, *revisions, strategy=ON_DELETE, update="web-2")
        step = prepared(between, sts(saved_strategy=dict(ON_DELETE)), *old(0, 1, 2))
        assert isinstance(step, Perform)
        assert isinstance(step.action, PatchTemplate)

    def test_the_revision_is_learnt_after_the_template(self) -> None:
        unnumbered = stateful_set(NEW, strategy=partition(PARTITION_ABOVE_ALL))
        assert prepared(unnumbered, sts(), *old(0, 1, 2)) == WaitFor(
            "waiting for the StatefulSet controller to create the new revision"
        )
        numbered = stateful_set(NEW, *BOTH, strategy=partition(PARTITION_ABOVE_ALL), update="web-2")
        assert prepared(numbered, sts(), *old(0, 1, 2)) == Prepared("web-2")
        assert prepared(daemon_set(NEW, *BOTH, strategy=ON_DELETE), ds(), *old(0, 1)) == Prepared("2")

    def test_a_template_that_went_ahead_is_held_back_first(self) -> None:
        """The owner had it held back otherwise, and has let go since."""
        ahead = stateful_set(NEW, *BOTH, update="web-2")
        assert strategy_in(prepared(ahead, sts(), *old(0, 1), *new(2))) == partition(PARTITION_ABOVE_ALL)

    def test_no_hold_where_all_pods_are_new_or_behind_the_partition(self) -> None:
        own = partition(2)
        ahead = stateful_set(NEW, *BOTH, update="web-2", strategy=own)
        assert prepared(ahead, sts(saved_strategy=own), *old(0, 1), *new(2)) == Prepared("web-2")

    def test_a_resume_finds_the_partition_behind_the_front(self) -> None:
        middle = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(2))
        assert prepared(middle, sts(), *old(0, 1), *new(2)) == Prepared("web-2")
        assert strategy_in(prepared(middle, sts(), *old(0, 1, 2))) == partition(PARTITION_ABOVE_ALL)

    def test_what_is_known_is_not_asked_again(self) -> None:
        assert prepared(stateful_set(), sts(revision="web-2"), *old(0, 1, 2)) == Prepared("web-2")

    def test_a_target_that_is_gone(self) -> None:
        for target in (StatefulSetTarget(None, ()), DaemonSetTarget(None, ())):
            assert prepared(target, sts()) == Blocked("the target is gone")


class TestFollow:
    """The partition goes down behind the front."""

    def following(
        self, *pods: ObservedPod, own: int = 0, now: int = PARTITION_ABOVE_ALL, **fields: Any
    ) -> Perform | WaitFor | None:
        target = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(now), **fields)
        return strategy_for(seen(target, *pods)).follow(sts(revision="web-2", saved_strategy=partition(own)))

    def test_behind_those_that_are_new(self) -> None:
        assert strategy_in(self.following(*old(0), *new(1, 2), updated=2)) == partition(1)
        assert strategy_in(self.following(*new(0, 1, 2))) == partition(0)

    def test_not_before_the_controller_counts_them(self) -> None:
        """It would replace them otherwise."""
        assert self.following(*old(0), *new(1, 2), updated=1) == WaitFor(
            "waiting for the StatefulSet controller to count the updated pods"
        )
        assert isinstance(self.following(*old(0), *new(1, 2), updated=2, generation=2, observed=1), WaitFor)

    def test_not_past_one_that_is_old_or_missing(self) -> None:
        assert self.following(*new(0), *old(1, 2), updated=1) is None
        assert strategy_in(self.following(*old(0), *new(3), *new(1), replicas=4, updated=2)) == partition(3)
        assert self.following(*new(0, 1, 2), replicas=4, updated=3) is None

    def test_not_behind_one_that_is_about_to_go(self) -> None:
        assert self.following(*old(0, 1), *new(2, deleting=True), updated=0) is None

    def test_never_below_the_owners_own(self) -> None:
        assert strategy_in(self.following(*old(0), *new(1, 2), own=2, updated=2)) == partition(2)

    def test_never_up(self) -> None:
        """A pod that was scaled up comes new by itself."""
        assert self.following(*old(0), *new(1, 2), now=1, replicas=4, updated=2) is None

    def test_an_index_is_the_ordinal_less_the_first(self) -> None:
        pods = [of_revision("web-5", "web-1"), of_revision("web-6", "web-2", NEW), of_revision("web-7", "web-2", NEW)]
        assert strategy_in(self.following(*pods, start=5, updated=2)) == partition(1)

    def test_nobody_else_has_one(self) -> None:
        on_delete = stateful_set(NEW, *BOTH, update="web-2", strategy=ON_DELETE)
        held = strategy_for(seen(on_delete, *new(0, 1, 2)))
        assert held.follow(sts(revision="web-2", saved_strategy=dict(ON_DELETE))) is None
        assert strategy_for(seen(daemon_set(NEW, *BOTH, strategy=ON_DELETE))).follow(ds(revision="2")) is None
        assert strategy_for(seen(stateful_set(), *old(0, 1, 2))).follow(sts()) is None


class TestFinish:
    def test_the_partition_goes_down_first(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(1))
        assert strategy_in(finished(target, sts(revision="web-2"), *new(0, 1, 2))) == partition(0)

    def test_finish_waits_for_the_controller_to_count(self) -> None:
        short = daemon_set(NEW, *BOTH, strategy=ON_DELETE, updated=1)
        step = finished(short, ds(revision="2"))
        assert step == WaitFor("waiting for the DaemonSet controller to count every pod as updated")
        assert finished(daemon_set(NEW, *BOTH, generation=3, observed=2), ds(revision="2")) == WaitFor(
            WAITS.format("DaemonSet")
        )

    def test_finish_waits_for_the_new_revision_to_be_current(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2")
        step = finished(target, sts(revision="web-2"), *new(0, 1, 2))
        assert step == WaitFor("waiting for currentRevision to become the new one")

    def test_what_is_not_ready_or_kept_behind_is_not_waited_for(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2", ready=2)
        assert finished(target, sts(revision="web-2"), *new(0, 1, 2)) == Done()
        own = partition(2)
        canary = stateful_set(NEW, *BOTH, update="web-2", strategy=own, updated=1)
        assert finished(canary, sts(revision="web-2", saved_strategy=own), *old(0, 1), *new(2)) == Done()

    def test_finish_restores_the_owners_strategy(self) -> None:
        assert strategy_in(finished(daemon_set(NEW, *BOTH, strategy=ON_DELETE), ds(revision="2"))) == ROLLING
        own = {"type": "RollingUpdate"}
        target = stateful_set(NEW, *BOTH, update="web-2", current="web-2", strategy=partition(0))
        assert strategy_in(finished(target, sts(revision="web-2", saved_strategy=own), *new(0, 1, 2))) == own

    def test_finish_restores_the_owners_partition_once_all_are_new(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2", current="web-2", strategy=partition(0))
        asked = sts(revision="web-2", saved_strategy=partition(3), adopts_template=True)
        assert strategy_in(finished(target, asked, *new(0, 1, 2))) == partition(3)

    def test_finish_leaves_nothing_to_do(self) -> None:
        assert finished(daemon_set(NEW, *BOTH, strategy=ROLLING), ds(revision="2")) == Done()
        target = stateful_set(NEW, *BOTH, update="web-2", current="web-2")
        assert finished(target, sts(revision="web-2"), *new(0, 1, 2)) == Done()
        on_delete = stateful_set(NEW, *BOTH, update="web-2", strategy=ON_DELETE)
        assert finished(on_delete, sts(revision="web-2", saved_strategy=dict(ON_DELETE)), *new(0, 1, 2)) == Done()


class TestWithdraw:
    """An early end: the strategy goes back only where no pod is of an older revision."""

    def test_where_every_pod_is_of_the_newest(self) -> None:
        untouched = stateful_set(strategy=partition(PARTITION_ABOVE_ALL))
        step = strategy_for(seen(untouched, *old(0, 1, 2))).withdraw(sts())
        assert strategy_in(step) == partition(0)
        labels = [of_revision("a", "1"), of_revision("b", "1")]
        assert strategy_in(strategy_for(seen(daemon_set(strategy=ON_DELETE), *labels)).withdraw(ds())) == ROLLING

    def test_not_where_it_would_let_one_be_replaced(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(2))
        assert strategy_for(seen(target, *old(0, 1), *new(2))).withdraw(sts(revision="web-2")) is None

    def test_what_the_owner_keeps_behind_does_not_count(self) -> None:
        target = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(3))
        step = strategy_for(seen(target, *old(0, 1), *new(2))).withdraw(sts(revision="web-2", saved_strategy=partition(2)))
        assert strategy_in(step) == partition(2)

    def test_not_before_the_controller_has_seen_what_there_is(self) -> None:
        unseen = stateful_set(NEW, strategy=partition(PARTITION_ABOVE_ALL), generation=3, observed=2)
        assert strategy_for(seen(unseen, *old(0, 1, 2))).withdraw(sts()) is None

    def test_no_withdrawal_before_the_newest_revision_is_seen(self) -> None:
        """The pods are of the one before, which looks like the newest until the watch of revisions has caught up."""
        labels = [of_revision("a", "1"), of_revision("b", "1")]
        assert strategy_for(seen(daemon_set(NEW, strategy=ON_DELETE), *labels)).withdraw(ds()) is None

    def test_nothing_to_give_back(self) -> None:
        assert strategy_for(seen(stateful_set(), *old(0, 1, 2))).withdraw(sts()) is None
        assert strategy_for(seen(stateful_set(), *old(0, 1, 2))).withdraw(sts(saved_strategy=None)) is None
        assert strategy_for(observed()).withdraw(run()) is None


class TestStrategies:
    def test_which_a_run_can_have_left(self) -> None:
        own = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": 3}}
        asked = sts(saved_strategy=own)
        of_set, of_daemons = page(seen(stateful_set())), page(seen(daemon_set()))
        assert may_be_ours(of_set, own, asked)
        assert may_be_ours(of_set, of_set.hold_back_strategy(asked, 7), asked)
        assert not may_be_ours(of_set, partition(7), asked)
        assert not may_be_ours(of_set, ON_DELETE, asked)
        assert may_be_ours(of_daemons, ON_DELETE, ds())
        assert not may_be_ours(of_daemons, {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}, ds())

    def test_which_pods_they_expose(self) -> None:
        def exposed_in(target: RevisionedTarget, asked: Run, *pods: ObservedPod) -> str:
            return unprotected_pod(page(seen(target, *pods)), asked, "web-2" if target.kind == "StatefulSet" else "2")

        mixed = (*old(0, 1), *new(2))
        assert exposed_in(stateful_set(strategy=partition(2)), sts(), *mixed) == ""
        assert exposed_in(stateful_set(strategy=partition(1)), sts(), *mixed) == "web-1"
        assert exposed_in(stateful_set(strategy=partition(0)), sts(saved_strategy=partition(2)), *mixed) == ""
        assert exposed_in(stateful_set(strategy=ON_DELETE), sts(), *mixed) == ""
        leaving = of_revision("web-1", "web-1", deleting=True)
        assert exposed_in(stateful_set(strategy=partition(1)), sts(), leaving) == ""
        assert exposed_in(daemon_set(), ds(), of_revision("a", "2", NEW), of_revision("b", "1")) == "b"
        assert exposed_in(daemon_set(strategy=ON_DELETE), ds(), of_revision("b", "1")) == ""

    def test_the_newest_revision(self) -> None:
        """A StatefulSet names it; of a DaemonSet's the highest number, which a return to an older template renews."""
        assert page(seen(stateful_set(OLD, *BOTH))).newest_revision() is BOTH[0]
        assert page(seen(daemon_set(NEW, *BOTH))).newest_revision() is BOTH[1]
        assert page(seen(daemon_set({"app": "repo/app:3"}, *BOTH))).newest_revision() is None
        assert page(seen(DaemonSetTarget(None, ()))).newest_revision() is None


@pytest.mark.parametrize("kind", ["stateful set", "daemon set"])
@pytest.mark.parametrize("resuming", [False, True])
def test_a_strategy_that_holds_no_pod_back_is_refused_by_name(kind: str, resuming: bool) -> None:
    """A StatefulSet's `Recreate` (1.37, alpha), and whatever comes after it: also as the strategy that a run has saved."""
    recreate = {"type": "Recreate"}
    make: Any = stateful_set if kind == "stateful set" else daemon_set
    asked = sts() if kind == "stateful set" else ds()
    verdict = preflight(observed(*old(0, 1, 2), target=make(strategy=recreate)), asked, LEASE, resuming)
    assert isinstance(verdict, Rejected)
    assert "has updateStrategy Recreate" in verdict.message
    assert "set its type to RollingUpdate or OnDelete first" in verdict.message
    has, keeps = observed(target=make()), observed(target=make(strategy=dict(ON_DELETE)))
    assert unholdable(page(has), msgspec.structs.replace(asked, saved_strategy=recreate)) is not None
    assert unholdable(page(has), asked) is None
    assert unholdable(page(keeps), asked) is None
