"""What a StatefulSet's own partition, a template that is ahead, and surging mean before anything has begun."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.kinds import workload
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.preflight.checks import Accepted, Rejected, UpToDate, current_images, pending_template_images, preflight
from inplace.engine.snapshot import ObservedPod, RevisionedTarget, Snapshot
from inplace.engine.workloads.partitions import partition_index
from inplace.model.objects.workloads import StatefulSet
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions
from tests.builders import NEW, NS, OLD, daemon_set, observed, of_revision, partition, revision, run, stateful_set, template

THIRD = {"app": "repo/app:3"}
BOTH = (revision(1), revision(2, NEW))
CANARY = (*(of_revision(f"web-{n}", "web-1") for n in (0, 1)), of_revision("web-2", "web-2", NEW))


def sts(**fields: Any) -> Run:
    target = TargetRef(kind="StatefulSet", namespace=NS, name="web")
    return run(**{"target": target, "saved_strategy": partition(2), **fields})


def ds(options: RunOptions | None = None, **fields: Any) -> Run:
    target = TargetRef(kind="DaemonSet", namespace=NS, name="web")
    return run(options, **{"target": target, "saved_strategy": {"type": "RollingUpdate"}, **fields})


def seen(target: RevisionedTarget, *pods: ObservedPod) -> Snapshot:
    return observed(*pods, target=target)


def judged(target: RevisionedTarget, asked: Run, *pods: ObservedPod, resuming: bool = False) -> object:
    return preflight(seen(target, *pods), asked, "inplace-statefulset-web", resuming)


def canary(images: dict[str, str] = NEW, **fields: Any) -> RevisionedTarget:
    """Revision 2 above partition 2, revision 1 below."""
    return stateful_set(images, *BOTH, **{"update": "web-2", "updated": 1, "strategy": partition(2), **fields})


class TestBetweenTwoRevisions:
    def test_what_runs_already_is_no_change(self) -> None:
        """The partition is the owner's wish: what is behind it need not follow."""
        assert judged(canary(), sts(from_images=NEW), *CANARY) == UpToDate()

    def test_other_images_are_refused_with_the_way_out(self) -> None:
        refused = judged(canary(), sts(images=THIRD, from_images=NEW), *CANARY)
        assert isinstance(refused, Rejected)
        assert refused.message == (
            "sts/web is between two revisions (currentRevision web-1, updateRevision web-2): bring its pods to the template"
            " first (`inplace upgrade sts/web`)"
        )

    def test_a_run_that_takes_over_brings_all_along(self) -> None:
        asked = sts(adopts_template=True)
        assert pending_template_images(seen(canary(), *CANARY), asked) == NEW
        assert isinstance(judged(canary(), asked, *CANARY), Accepted)

    def test_a_resume_is_not_asked_again(self) -> None:
        assert isinstance(judged(canary(), sts(images=THIRD, from_images=NEW), *CANARY, resuming=True), Accepted)

    def test_the_controller_may_just_not_have_got_round_to_it(self) -> None:
        every = [of_revision(f"web-{n}", "web-2", NEW) for n in range(3)]
        done = stateful_set(NEW, *BOTH, update="web-2")
        asked = sts(images=THIRD, from_images=NEW, saved_strategy=partition(0))
        assert isinstance(judged(done, asked, *every), Accepted)


class TestBefore:
    def test_what_is_behind_the_owners_partition_does_not_count(self) -> None:
        view = seen(canary(), *CANARY)
        assert current_images(view, sts()) == NEW
        assert current_images(view, sts(saved_strategy=partition(0))) == OLD
        assert pending_template_images(view, sts()) == {}

    def test_a_template_that_is_ahead(self) -> None:
        held = daemon_set(NEW, *BOTH, strategy={"type": "OnDelete"})
        pods = [of_revision("a", "1"), of_revision("b", "2", NEW)]
        assert current_images(seen(held, *pods), ds()) == OLD
        assert pending_template_images(seen(held, *pods), ds()) == NEW

    def test_one_that_differs_in_more_is_refused_by_name(self) -> None:
        edited = template(NEW, terminationGracePeriodSeconds=7)
        held = daemon_set(NEW, revision(1), revision(2, template_=edited), strategy={"type": "OnDelete"}, template_=edited)
        refused = judged(held, ds(), of_revision("a", "1"), of_revision("b", "1"))
        assert isinstance(refused, Rejected)
        assert "more than images (spec.terminationGracePeriodSeconds)" in refused.message


def test_how_many_stay_behind_is_said() -> None:
    verdict = judged(stateful_set(strategy=partition(2)), sts(), *(of_revision(f"web-{n}", "web-1") for n in range(3)))
    assert isinstance(verdict, Accepted)
    (warning,) = map(str, verdict.warnings)
    assert warning.startswith("2 pods stay as they are, behind the workload's own partition 2: `inplace upgrade sts/web`")


def test_surging_leaves_nothing_to_be_unavailable() -> None:
    """Unless somebody says how many may be."""
    surging = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    pods = [of_revision("a", "1"), of_revision("b", "1")]
    refused = judged(daemon_set(strategy=surging), ds(saved_strategy=surging), *pods)
    assert isinstance(refused, Rejected)
    assert refused.message.startswith("ds/web has maxUnavailable 0")
    assert refused.message.endswith("--max-unavailable")
    assert isinstance(
        judged(daemon_set(strategy=surging), ds(RunOptions(max_unavailable=1), saved_strategy=surging), *pods), Accepted
    )


@pytest.mark.parametrize(
    ("ordered", "asked", "count"), [(True, None, 1), (True, 2, 2), (False, None, 3), (False, "25%", 1), (False, 2, 2)]
)
def test_at_once(ordered: bool, asked: int | str | None, count: int) -> None:
    """One where order counts, unless asked for more; else the owner's own: also while a run holds his strategy."""
    own = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 3}}
    target = stateful_set(replicas=6, ordered=ordered, strategy=partition(7))
    pods = [of_revision(f"web-{n}", "web-1") for n in range(6)]
    assert (
        workload.max_unavailable(seen(target, *pods), sts(saved_strategy=own, options=RunOptions(max_unavailable=asked)))
        == count
    )


@pytest.mark.parametrize(("start", "name", "index"), [(0, "web-3", 3), (5, "web-7", 2), (0, "web-x", -1), (0, "web", -1)])
def test_an_index_is_the_ordinal_less_the_first(start: int, name: str, index: int) -> None:
    found = stateful_set(start=start).stateful_set
    assert isinstance(found, StatefulSet)
    assert partition_index(found, of_revision(name, "web-1")) == index


def test_the_goal_is_what_the_partition_leaves() -> None:
    view = seen(stateful_set(replicas=5), *CANARY)
    assert workload.pods_to_update(view, sts()) == 3
    assert workload.pods_to_update(view, sts(adopts_template=True)) == 5
    assert workload.pods_to_update(view, sts(saved_strategy=partition(9))) == 0
    assert strategy_for(view).pods_kept_back(sts()) == {"uid-web-0", "uid-web-1"}
