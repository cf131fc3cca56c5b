"""How a workload stands in the middle of a run."""

from typing import Any

import pytest

from inplace.engine.snapshot import DaemonSetTarget, Snapshot, StatefulSetTarget
from inplace.engine.status.midrun import describe_midrun
from inplace.engine.workloads.template_first import PARTITION_ABOVE_ALL
from inplace.model.objects.meta import ObjectMeta
from inplace.model.objects.workloads import DaemonSet, DaemonSetSpec, DaemonSetStatus, Ordinals, StatefulSet, StatefulSetSpec
from inplace.model.run import CommitState
from tests.builders import (
    DEPLOYMENT_UID,
    LIVE_UID,
    NEW,
    deployment,
    facts,
    observed,
    of_deployment,
    of_pods,
    of_replica_set,
    pod,
    replica_set,
    run,
    template,
)

OWN = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


def stateful(partition: int | None, start: int = 0) -> Snapshot:
    strategy = {"type": "OnDelete"} if partition is None else {**OWN, "rollingUpdate": {"partition": partition}}
    spec = StatefulSetSpec(template=template(NEW), replicas=3, update_strategy=strategy, ordinals=Ordinals(start))
    return Snapshot(StatefulSetTarget(StatefulSet(ObjectMeta(name="web", uid=DEPLOYMENT_UID), spec), ()), ())


def daemon(strategy: dict[str, Any]) -> Snapshot:
    spec, status = DaemonSetSpec(template=template(NEW), update_strategy=strategy), DaemonSetStatus(desired_number_scheduled=2)
    return Snapshot(DaemonSetTarget(DaemonSet(ObjectMeta(name="web", uid=DEPLOYMENT_UID), spec, status), ()), ())


def test_a_deployment_comes_back_old() -> None:
    (line,) = describe_midrun(observed(facts(pod())), run())
    assert line.startswith(
        "its template still says app=repo/app:1 (it is changed last), so a pod recreated now starts with that;"
    )
    lines = describe_midrun(observed(target=of_deployment(deployment(paused=True), replica_set())), run(paused=True))
    assert lines[0] == "paused by its owner, and stays paused"


def test_a_deployment_in_its_commit() -> None:
    begun = run(commit=CommitState(live_uid=LIVE_UID))
    (line,) = describe_midrun(observed(target=of_deployment(deployment(paused=True), replica_set())), begun)
    assert line.startswith("paused by the run while its templates change; its commit has begun")


def test_a_deployment_that_somebody_else_has_changed_since() -> None:
    """What a pod that dies comes back as is then for them to say."""
    foreign = of_deployment(deployment({"app": "repo/app:9"}), replica_set())
    (line,) = describe_midrun(observed(target=foreign), run(outcome="Failed"))
    assert line.startswith("somebody else has changed it since")


@pytest.mark.parametrize(
    ("seen", "own", "expected"),
    [
        (stateful(PARTITION_ABOVE_ALL), OWN, "partition above every pod, set by the run (its owner's: 0): a pod"),
        (stateful(2), OWN, "starts with app=repo/app:2 from ordinal 2 on, and below with what it ran before"),
        (stateful(2, start=5), OWN, "from ordinal 7 on"),
        (stateful(0), OWN, "its updateStrategy is its owner's own"),
        (stateful(None), {"type": "OnDelete"}, "OnDelete, its owner's: a pod recreated now starts with app=repo/app:2"),
        (daemon({"type": "OnDelete"}), OWN, "updateStrategy OnDelete, set by the run (its owner's: RollingUpdate): a pod"),
        (daemon({"type": "OnDelete"}), {"type": "OnDelete"}, "updateStrategy OnDelete, its owner's: a pod recreated now"),
        (daemon(OWN), OWN, "its updateStrategy is its owner's own"),
    ],
)
def test_what_holds_the_pods_back_and_whose_it_is(seen: Snapshot, own: dict[str, Any], expected: str) -> None:
    (line,) = describe_midrun(seen, run(saved_strategy=own))
    assert expected in line


def test_midrun_lines_of_other_kinds_and_of_a_run_that_is_over() -> None:
    (line,) = describe_midrun(observed(target=of_replica_set(replica_set())), run(target_uid=LIVE_UID))
    assert line == "a pod recreated now starts with app=repo/app:1"
    assert "does not come back" in describe_midrun(observed(facts(pod()), target=of_pods()), run())[0]
    assert describe_midrun(observed(facts(pod())), run(outcome="Succeeded")) == ()
