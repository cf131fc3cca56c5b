"""What a run that nobody drives has left behind, in words."""

from typing import Any

import pytest

from inplace.engine.planning.plan import PlanContext
from inplace.engine.runs.leftovers import Leftovers, held_pods, infer_owner_strategy, leftovers
from inplace.engine.workloads.template_first import PARTITION_ABOVE_ALL
from inplace.model.refs import TargetKind
from inplace.model.run import CommitState
from tests.builders import LEASE, LIVE_UID, NEW, OLD, facts, observed, of_pods, partition, patched, pod, record, run, status

SPEC = PlanContext(LEASE)


def closed(name: str, **fields: object) -> object:
    return facts(pod(name, gate="False", ready=False, **{"record": record(), **fields}))  # type: ignore[arg-type]


def of(*pods: object) -> Leftovers:
    return leftovers(observed(*pods), SPEC, run(), 100.0)  # type: ignore[arg-type]


def test_a_pod_whose_image_was_not_changed_is_reopened() -> None:
    assert of(closed("web-a")).todo == ("reopen pod/web-a, whose image was not changed",)


def test_a_pod_that_has_restarted_is_opened() -> None:
    new = [status(id_="c2", image=NEW["app"], image_id="sha-2")]
    found = of(closed("web-a", record=patched(), images=NEW, statuses=new))
    assert found.todo == ("open pod/web-a on app=repo/app:2, whose restart is proven",)


def test_a_pod_that_restarts_is_waited_for() -> None:
    (text,) = of(closed("web-a", record=patched(), images=NEW)).todo
    assert text.startswith("open pod/web-a on app=repo/app:2 once its restart is proven (")


def test_untouched_pods_are_nothing_to_do() -> None:
    assert of(facts(pod("web-a")), facts(pod("web-b", images=NEW))) == Leftovers()


def test_a_begun_commit_is_finished() -> None:
    done = facts(pod("web-a", images=NEW))
    found = leftovers(observed(done), SPEC, run(commit=CommitState(live_uid=LIVE_UID)), 0.0)
    assert found.todo == ("finish its commit of app=repo/app:2, and unpause the Deployment",)


@pytest.mark.parametrize("live_uid", [LIVE_UID, "somebody's"])
def test_a_commit_that_no_pod_knows_is_left_and_its_images_named(live_uid: str) -> None:
    """A Lease says so, and nobody else."""
    images = OLD if live_uid == LIVE_UID else NEW
    found = leftovers(observed(facts(pod("web-a", images=images))), SPEC, run(commit=CommitState(live_uid=live_uid)), 0.0)
    assert found.todo == ()
    (text,) = found.undecided
    assert text.startswith("its commit of app=repo/app:2 is not finished, since ")


def test_a_record_that_cannot_be_read_is_stuck() -> None:
    (text,) = of(closed("web-a", record="{")).stuck
    assert text.startswith("pod/web-a: annotation inplace.dev/upgrade cannot be read")
    assert held_pods(observed(facts(pod("web-b", record=record())), facts(pod("web-c")))) == ("pod/web-b is still closed",)


def test_bare_pods_of_a_dead_but_no_living_lease_are_adopted() -> None:
    mine = facts(pod("web-a", gate="False", ready=False, record=record(lease="inplace-pods-gone"), owner=None))
    seen, asked = observed(mine, target=of_pods()), run(images={})
    assert leftovers(seen, SPEC, asked, 0.0).todo == ()
    dead = PlanContext(LEASE, dead_leases=frozenset({"inplace-pods-gone"}))
    assert leftovers(seen, dead, asked, 0.0).todo == ("reopen pod/web-a, whose image was not changed",)


@pytest.mark.parametrize(
    ("kind", "strategy", "is_ours", "own"),
    [
        ("StatefulSet", partition(PARTITION_ABOVE_ALL), False, partition(0)),
        ("StatefulSet", partition(2), True, None),
        ("DaemonSet", {"type": "OnDelete"}, True, {"maxSurge": 0, "maxUnavailable": 1}),
        ("DaemonSet", {"type": "OnDelete"}, False, None),
        ("DaemonSet", {"type": "RollingUpdate"}, True, None),
    ],
)
def test_a_strategy_that_can_only_be_a_runs(kind: TargetKind, strategy: dict[str, Any], is_ours: bool, own: Any) -> None:
    found = infer_owner_strategy(strategy, kind, is_ours)
    wanted = {"type": "RollingUpdate", "rollingUpdate": own} if kind == "DaemonSet" and own else own
    assert found == wanted
