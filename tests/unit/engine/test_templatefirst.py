"""StatefulSets and DaemonSets: what comes first, what holds the pods back, and when the user's strategy is given back."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import PatchTemplate, SetStrategy
from inplace.engine.acts import Act, Await, Done, Next, Prepared
from inplace.engine.observed import DaemonSetTarget, Observed, PodFacts, StatefulSetTarget
from inplace.engine.templatefirst import ABOVE_ALL, finish, follow, prepare, withdraw
from inplace.model.meta import ObjectMeta, OwnerReference
from inplace.model.names import TargetRef
from inplace.model.run import Run
from inplace.model.workloads import (
    CONTROLLER_REVISION_HASH,
    ControllerRevision,
    DaemonSet,
    DaemonSetSpec,
    DaemonSetStatus,
    Ordinals,
    StatefulSet,
    StatefulSetSpec,
    StatefulSetStatus,
)
from tests.builders import NEW, NS, OLD, in_service, observed, pod, run, template

OLD_REVISION, NEW_REVISION = "db-old", "db-new"
OWN: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


def held(partition: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


def revision(name: str, images: dict[str, str], number: int) -> ControllerRevision:
    labels = {CONTROLLER_REVISION_HASH: name.removeprefix("db-")}
    return ControllerRevision(ObjectMeta(name=name, labels=labels), number, {"spec": {"template": template(images)}})


REVISIONS = (revision(OLD_REVISION, OLD, 1), revision(NEW_REVISION, NEW, 2))


def stateful_set(strategy: dict[str, Any], images: dict[str, str] = OLD, *, seen: bool = True, **status: Any) -> StatefulSet:
    newest = NEW_REVISION if images == NEW else OLD_REVISION
    shown: dict[str, Any] = {"replicas": 3, "ready_replicas": 3, "current_revision": OLD_REVISION, "update_revision": newest}
    return StatefulSet(
        ObjectMeta(name="db", namespace=NS, uid="uid-db", resource_version="7", generation=5),
        StatefulSetSpec(template=template(images), replicas=3, update_strategy=strategy),
        StatefulSetStatus(observed_generation=5 if seen else 4, **{**shown, **status}),
    )


def pods(new: int, count: int = 3) -> tuple[PodFacts, ...]:
    """The `new` highest ordinals carry the new revision and image."""
    owner = OwnerReference("StatefulSet", "db", "uid-db", controller=True)
    made = []
    for ordinal in range(count):
        is_new = ordinal >= count - new
        labels = {CONTROLLER_REVISION_HASH: NEW_REVISION if is_new else OLD_REVISION}
        made.append(in_service(pod(f"db-{ordinal}", images=NEW if is_new else OLD, labels=labels, owner=owner)))
    return tuple(made)


def asked(**fields: Any) -> Run:
    return run(target=TargetRef("StatefulSet", NS, "db"), strategy=OWN, **fields)


def view(workload: StatefulSet, new: int = 0, count: int = 3) -> Observed:
    return observed(*pods(new, count), target=StatefulSetTarget(workload, REVISIONS))


def preparing(workload: StatefulSet, r: Run | None = None, new: int = 0) -> Next:
    target = StatefulSetTarget(workload, REVISIONS)
    return prepare(view(workload, new), target, r or asked())


def says(step: Next | None) -> str:
    match step:
        case Act(action=SetStrategy(strategy=strategy)):
            return f"strategy {(strategy.get('rollingUpdate') or {}).get('partition', strategy['type'])}"
        case Act(action=PatchTemplate()):
            return "template"
        case Await(reason=reason):
            return f"wait: {reason.removeprefix('waiting for ')}"
        case Prepared(revision=name):
            return f"prepared: {name}"
        case Done():
            return "done"
        case None:
            return "nothing"
        case _:
            return str(step)


class TestPreparing:
    @pytest.mark.parametrize(
        ("workload", "next_is"),
        [
            (stateful_set(OWN), f"strategy {ABOVE_ALL}"),
            (stateful_set(held(ABOVE_ALL), seen=False), "wait: the StatefulSet controller to see the change"),
            (stateful_set(held(ABOVE_ALL)), "template"),
            (stateful_set(held(ABOVE_ALL), NEW, seen=False), "wait: the StatefulSet controller to see the change"),
            (stateful_set(held(ABOVE_ALL), NEW), f"prepared: {NEW_REVISION}"),
        ],
    )
    def test_in_order(self, workload: StatefulSet, next_is: str) -> None:
        assert says(preparing(workload)) == next_is

    def test_waits_where_a_pod_that_dies_would_come_back_older(self) -> None:
        ancient = stateful_set(held(ABOVE_ALL), current_revision="db-ancient")
        assert says(preparing(ancient)).startswith("wait: currentRevision to be what the pods run")

    def test_the_users_on_delete_holds_already(self) -> None:
        on_delete = {"type": "OnDelete"}
        r = run(target=TargetRef("StatefulSet", NS, "db"), strategy=on_delete)
        assert says(preparing(stateful_set(on_delete, current_revision="db-ancient"), r)) == "template"

    def test_a_resume_behind_the_front_leaves_the_partition(self) -> None:
        assert says(preparing(stateful_set(held(2), NEW), new=1)) == f"prepared: {NEW_REVISION}"

    def test_a_resume_that_finds_a_pod_exposed_holds_it_first(self) -> None:
        assert says(preparing(stateful_set(held(1), NEW), new=1)) == f"strategy {ABOVE_ALL}"

    def test_a_daemon_set_is_held_by_on_delete_and_labelled_with_the_bare_hash(self) -> None:
        own = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        r = run(target=TargetRef("DaemonSet", NS, "db"), strategy=own)

        def at(strategy: dict[str, Any], images: dict[str, str]) -> Next:
            meta = ObjectMeta(name="db", namespace=NS, uid="uid-db", resource_version="7", generation=5)
            spec = DaemonSetSpec(template=template(images), update_strategy=strategy)
            target = DaemonSetTarget(DaemonSet(meta, spec, DaemonSetStatus(observed_generation=5)), REVISIONS)
            return prepare(observed(*pods(0), target=target), target, r)

        assert says(at(own, OLD)) == "strategy OnDelete"
        assert says(at({"type": "OnDelete"}, OLD)) == "template"
        assert says(at({"type": "OnDelete"}, NEW)) == "prepared: new"


class TestFollowing:
    def following(self, workload: StatefulSet, new: int, **fields: Any) -> str:
        return says(follow(view(workload, new), asked(revision=NEW_REVISION, **fields)))

    @pytest.mark.parametrize(("new", "partition"), [(1, 2), (2, 1), (3, 0)])
    def test_the_partition_goes_behind_the_front(self, new: int, partition: int) -> None:
        assert self.following(stateful_set(held(ABOVE_ALL), NEW, updated_replicas=new), new) == f"strategy {partition}"

    def test_not_before_the_controller_counts_those_pods(self) -> None:
        waiting = "wait: the StatefulSet controller to count the updated pods"
        assert self.following(stateful_set(held(ABOVE_ALL), NEW, updated_replicas=1), 2) == waiting

    def test_stays_where_nothing_is_new_or_it_is_there_already(self) -> None:
        assert self.following(stateful_set(held(ABOVE_ALL), NEW), 0) == "nothing"
        assert self.following(stateful_set(held(2), NEW, updated_replicas=1), 1) == "nothing"

    def test_a_missing_pod_stops_the_front(self) -> None:
        """It may come back old until the partition is below it."""
        four = stateful_set(held(ABOVE_ALL), NEW, updated_replicas=3)
        bigger = StatefulSet(
            four.metadata, StatefulSetSpec(template=template(NEW), replicas=4, update_strategy=held(9)), four.status
        )
        assert says(follow(view(bigger, 3), asked(revision=NEW_REVISION))) == "nothing"

    def test_counts_from_the_first_ordinal(self) -> None:
        s = stateful_set(held(ABOVE_ALL), NEW, updated_replicas=1)
        spec = StatefulSetSpec(template=template(NEW), replicas=1, update_strategy=held(ABOVE_ALL), ordinals=Ordinals(2))
        shifted = StatefulSet(s.metadata, spec, s.status)
        (last,) = pods(1)[2:]
        found = follow(observed(last, target=StatefulSetTarget(shifted, REVISIONS)), asked(revision=NEW_REVISION))
        assert says(found) == "strategy 0"


class TestFinishing:
    def finishing(self, workload: StatefulSet, new: int = 3, **fields: Any) -> str:
        target = StatefulSetTarget(workload, REVISIONS)
        r = run(**{"target": TargetRef("StatefulSet", NS, "db"), "strategy": OWN, "revision": NEW_REVISION, **fields})
        return says(finish(view(workload, new), target, r))

    DONE: dict[str, Any] = {"updated_replicas": 3, "current_revision": NEW_REVISION}

    def test_waits_for_the_controllers_count(self) -> None:
        counting = self.finishing(stateful_set(OWN, NEW, updated_replicas=2))
        assert counting == "wait: the StatefulSet controller to count every pod as updated"

    def test_waits_for_the_new_revision_to_be_the_current_one(self) -> None:
        waiting = self.finishing(stateful_set(OWN, NEW, updated_replicas=3))
        assert waiting == "wait: currentRevision to become the new one"

    def test_what_somebody_keeps_closed_is_not_waited_for(self) -> None:
        assert self.finishing(stateful_set(OWN, NEW, updated_replicas=3, ready_replicas=2)) == "done"

    def test_gives_the_users_strategy_back(self) -> None:
        own = held(3)
        assert self.finishing(stateful_set(held(4), NEW, **self.DONE), strategy=own, takes_over=True) == "strategy 3"
        assert self.finishing(stateful_set(own, NEW, **self.DONE), strategy=own, takes_over=True) == "done"

    def test_pods_behind_the_users_partition_are_not_counted(self) -> None:
        assert self.finishing(stateful_set(held(2), NEW, updated_replicas=1), 1, strategy=held(2)) == "done"


class TestWithdrawing:
    def test_where_every_pod_is_of_the_newest_revision(self) -> None:
        assert says(withdraw(view(stateful_set(held(ABOVE_ALL))), asked())) == "strategy 0"
        assert says(withdraw(view(stateful_set(held(0), NEW), 3), asked())) == "nothing"

    def test_never_where_one_is_older(self) -> None:
        assert says(withdraw(view(stateful_set(held(2), NEW), 1), asked())) == "nothing"
