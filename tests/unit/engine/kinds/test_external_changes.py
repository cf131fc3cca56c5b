"""Somebody else changes the workload under a run: what is noticed, and what is given back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import SetPaused, SetUpdateStrategy
from inplace.engine.kinds.external_changes import detect_external_change, yield_to_owner
from inplace.engine.snapshot import ObservedPod, Snapshot, Target
from inplace.engine.timers import Timers
from inplace.engine.workloads.template_first import GRACE_SECONDS, ON_DELETE, PARTITION_ABOVE_ALL
from inplace.model.objects.workloads import ReplicaSet
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, Run
from tests.builders import (
    LIVE_UID,
    NEW,
    NS,
    OLD,
    daemon_set,
    deployment,
    observed,
    of_deployment,
    of_pods,
    of_replica_set,
    of_revision,
    partition,
    replica_set,
    revision,
    run,
    stateful_set,
    template,
)

ROLLING: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
BOTH = (revision(1), revision(2, NEW))
OLD_SET, NEW_SET, RAISED = replica_set(OLD), replica_set(NEW), replica_set(NEW, revision=2)
TOMBSTONE = replica_set(OLD, name="web-tomb", uid="uid-tomb", replicas=0, revision=1)
BEGUN = CommitState(paused=False, live_uid=LIVE_UID, revision=1)
FOREIGN = {"app": "repo/app:9"}
EDITED = template(NEW, terminationGracePeriodSeconds=7)
SET = "somebody set container app of {} to repo/app:9 in the middle"


def said(target: Target | None, asked: Run, *pods: ObservedPod, at: float = 0.0, timers: dict[str, float] | None = None) -> str:
    """Empty: nothing is amiss."""
    broken = detect_external_change(observed(*pods, target=target), asked, Timers(timers or {}, at))
    return broken.reason if broken is not None else ""


def sts(**fields: Any) -> Run:
    target = TargetRef(kind="StatefulSet", namespace=NS, name="web")
    return run(**{"target": target, "saved_strategy": partition(0), "revision": "web-2", **fields})


def ds(**fields: Any) -> Run:
    target = TargetRef(kind="DaemonSet", namespace=NS, name="web")
    return run(**{"target": target, "saved_strategy": ROLLING, "revision": "2", **fields})


PODS = (of_revision("web-0", "web-1"), of_revision("web-1", "web-1"), of_revision("web-2", "web-2", NEW))
DAEMONS = (of_revision("web-a", "1"), of_revision("web-b", "2", NEW))


class TestDeployment:
    """Also in the middle of its commit."""

    def reason(self, *sets: ReplicaSet, r: Run | None = None, **d: Any) -> str:
        return said(of_deployment(deployment(**d), *sets), r or run())

    def test_nothing_at_rest_nor_at_any_point_of_a_commit(self) -> None:
        committing = run(commit=BEGUN)
        assert self.reason(OLD_SET) == ""
        for images, rs in ((OLD, OLD_SET), (OLD, NEW_SET), (NEW, NEW_SET), (NEW, RAISED)):
            assert self.reason(rs, r=committing, images=images, paused=True) == ""
        assert self.reason(RAISED, TOMBSTONE, r=committing, images=NEW, paused=True) == ""

    def test_somebody_started_a_rollout(self) -> None:
        other = replica_set({"app": "x"}, name="web-9", uid="uid-9", replicas=1)
        assert self.reason(OLD_SET, other).startswith("deploy/web has other active ReplicaSets (web-1, web-9)")
        assert "(web-9)" in self.reason(OLD_SET, other, r=run(commit=BEGUN))

    def test_an_active_tombstone(self) -> None:
        """Scaled to 0 and back in that window, the newest ReplicaSet is revived."""
        alive = msgspec.structs.replace(TOMBSTONE, spec=replica_set(OLD).spec)
        assert "other active ReplicaSets" in self.reason(NEW_SET, alive, r=run(commit=BEGUN), images=NEW)

    def test_the_template_was_edited(self) -> None:
        found = self.reason(OLD_SET, template_=template(OLD, hostNetwork=True))
        assert found == "the template of deploy/web was edited in the middle (spec.hostNetwork)"

    def test_what_was_edited_is_told_also_once_its_rollout_has_begun(self) -> None:
        edited = template(OLD, hostNetwork=True)
        young = replica_set(name="web-9", uid="uid-9", replicas=1, template_=edited)
        found = self.reason(OLD_SET, young, template_=edited)
        assert found == "the template of deploy/web was edited in the middle (spec.hostNetwork)"
        young = replica_set({"app": "x"}, name="web-9", uid="uid-9", replicas=1)
        assert self.reason(OLD_SET, young, images={"app": "x"}).startswith("somebody set container app of deploy/web to x")

    def test_a_classic_rollout_to_the_runs_own_images(self) -> None:
        young = replica_set(NEW, name="web-9", uid="uid-9", replicas=1)
        assert self.reason(OLD_SET, young, images=NEW).endswith("(web-1, web-9): somebody started a rollout")

    @pytest.mark.parametrize("paused", [True, False])
    def test_paused_or_unpaused(self, paused: bool) -> None:
        how = "paused" if paused else "unpaused"
        assert self.reason(OLD_SET, paused=paused, r=run(paused=not paused)) == f"deploy/web was {how} in the middle"
        assert self.reason(OLD_SET, paused=paused, r=run(paused=paused)) == ""

    def test_somebody_set_another_image(self) -> None:
        assert self.reason(OLD_SET, images={"app": "x"}) == "somebody set container app of deploy/web to x in the middle"
        other = of_replica_set(replica_set({"app": "x"}))
        assert said(other, run(target_uid=LIVE_UID)) == "somebody set container app of rs/web-1 to x in the middle"

    def test_a_rollback_knows_both_ways(self) -> None:
        back = run(images=OLD, original_images=NEW, rollback_reason="Failure")
        assert self.reason(OLD_SET, r=back) == ""

    def test_what_somebody_had_set_before_the_run_may_stand_there(self) -> None:
        ahead = of_deployment(deployment(FOREIGN, paused=True), replica_set())
        assert said(ahead, run(paused=True)) == SET.format("deploy/web")
        assert said(ahead, run(paused=True, superseded_images=(FOREIGN,))) == ""


class TestRevisioned:
    """StatefulSets and DaemonSets."""

    def test_the_middle_as_it_should_be(self) -> None:
        assert said(stateful_set(NEW, *BOTH, update="web-2", strategy=partition(2)), sts(), *PODS) == ""
        assert said(daemon_set(NEW, *BOTH, strategy=ON_DELETE), ds(), *DAEMONS) == ""

    def test_other_images(self) -> None:
        assert said(stateful_set(FOREIGN, *BOTH, strategy=partition(2)), sts(), *PODS) == SET.format("sts/web")
        assert said(daemon_set(FOREIGN, *BOTH, strategy=ON_DELETE), ds(), *DAEMONS) == SET.format("ds/web")

    def test_what_somebody_had_set_before_the_run(self) -> None:
        """The template was ahead: it may be there still, or again, until the run has patched it."""
        ahead = stateful_set(FOREIGN, *BOTH, strategy=partition(PARTITION_ABOVE_ALL))
        assert said(ahead, sts(revision="", superseded_images=(FOREIGN,)), *PODS) == ""
        assert said(ahead, sts(superseded_images=(FOREIGN,)), *PODS) == "the template of sts/web was set back in the middle"

    def test_an_undo(self) -> None:
        assert said(stateful_set(OLD, *BOTH, strategy=partition(2)), sts(), *PODS).endswith(
            "sts/web was set back in the middle"
        )
        assert said(stateful_set(OLD, *BOTH, strategy=partition(2)), sts(revision=""), *PODS[:2]) == ""
        assert said(daemon_set(OLD, *BOTH, strategy=ON_DELETE), ds(), *DAEMONS).endswith("ds/web was set back in the middle")

    def test_an_edit(self) -> None:
        target = stateful_set(*(NEW, *BOTH), template_=EDITED, strategy=partition(2))
        edited = "the template of sts/web was edited in the middle (spec.terminationGracePeriodSeconds)"
        assert said(target, sts(), *PODS) == edited

    def test_another_strategy(self) -> None:
        for strategy in (ON_DELETE, {"type": "RollingUpdate", "rollingUpdate": {"partition": 2, "maxUnavailable": 2}}):
            target = stateful_set(NEW, *BOTH, update="web-2", strategy=strategy)
            assert said(target, sts(), *PODS) == "the updateStrategy of sts/web was changed in the middle"

    def test_a_partition_that_lets_a_pod_be_replaced(self) -> None:
        """That may be one which its controller is about to delete, so it is looked at for a while."""
        target = stateful_set(NEW, *BOTH, update="web-2", strategy=partition(1))
        assert said(target, sts(), *PODS) == ""
        lasting = said(target, sts(), *PODS, at=GRACE_SECONDS, timers={"disturbed/strategy": 0.0})
        assert lasting.endswith("was changed in the middle: it lets its controller replace pod/web-1")
        assert said(target, sts(revision=""), *PODS, at=9.0, timers={"disturbed/strategy": 0.0}) == ""

    def test_a_strategy_given_back_to_a_daemon_set(self) -> None:
        at_once = said(daemon_set(NEW, *BOTH, strategy=ROLLING), ds(), *DAEMONS)
        assert at_once.endswith("was changed in the middle: it lets its controller replace pod/web-a")


class TestGiveWay:
    """Where others have changed the template, what held the workload back is taken away, and they get what they wanted."""

    def way(self, target: Target, asked: Run, *pods: ObservedPod) -> object:
        seen: Snapshot = observed(*pods, target=target)
        step = yield_to_owner(seen, asked)
        return step.action if step is not None else None

    @pytest.mark.parametrize("images", [FOREIGN, OLD], ids=["set", "undone"])
    def test_a_template_of_others(self, images: dict[str, str]) -> None:
        action = self.way(stateful_set(images, *BOTH, strategy=partition(2)), sts(), *PODS)
        assert isinstance(action, SetUpdateStrategy)
        assert action.strategy == partition(0)
        action = self.way(daemon_set(images, *BOTH, strategy=ON_DELETE), ds(), *DAEMONS)
        assert isinstance(action, SetUpdateStrategy)
        assert action.strategy == ROLLING

    def test_a_strategy_of_their_own_stays(self) -> None:
        theirs = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1, "maxUnavailable": 2}}
        assert self.way(stateful_set(FOREIGN, *BOTH, strategy=theirs), sts(), *PODS) is None
        assert self.way(stateful_set(NEW, *BOTH, update="web-2", strategy=partition(1)), sts(), *PODS) is None
        assert self.way(daemon_set(FOREIGN, *BOTH, strategy=ROLLING), ds(), *DAEMONS) is None

    def test_a_deployment_gets_its_pause_back(self) -> None:
        target = of_deployment(deployment(FOREIGN, paused=True), replica_set(NEW))
        begun = run(commit=CommitState(live_uid=LIVE_UID))
        action = self.way(target, begun)
        assert isinstance(action, SetPaused)
        assert not action.paused
        assert self.way(target, run()) is None
        assert self.way(of_deployment(deployment(FOREIGN), replica_set(NEW)), begun) is None
        assert self.way(of_deployment(None), begun) is None

    def test_nothing_else_is_held(self) -> None:
        assert self.way(of_replica_set(replica_set(FOREIGN)), run()) is None
        assert self.way(of_pods(), run()) is None
