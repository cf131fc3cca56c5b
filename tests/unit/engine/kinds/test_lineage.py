"""Between a workload and its pods: which ReplicaSet, or which revision."""

from inplace.engine.kinds.registry import strategy_for
from inplace.engine.snapshot import DaemonSetTarget, PodsTarget, Snapshot, StatefulSetTarget, Target
from inplace.engine.workloads.revisions import Lineage
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH
from tests.builders import of_deployment, pod
from tests.workloads import deployment, replica_set, revision


def labelled(value: str) -> dict[str, str]:
    return {"app": "web", CONTROLLER_REVISION_HASH: value}


def lineage_of(pod: Pod, target: Target) -> Lineage:
    return strategy_for(Snapshot(target, ())).lineage(pod)


def test_a_deployments_pod_is_of_a_replica_set_with_its_number() -> None:
    assert lineage_of(pod(), of_deployment(deployment(), replica_set(revision=4))) == Lineage("rs/web-1", 4)
    assert lineage_of(pod(), of_deployment(deployment())) == Lineage("rs/web-1", 0)
    assert lineage_of(pod(owner=None), of_deployment(deployment(), replica_set())) == Lineage()


def test_the_revision_of_stateful_set_and_daemon_set_pods() -> None:
    known = (revision(3),)
    assert lineage_of(pod(labels=labelled("web-3")), StatefulSetTarget(None, known)) == Lineage("web-3", 3)
    assert lineage_of(pod(labels=labelled("3")), DaemonSetTarget(None, known)) == Lineage("web-3", 3)
    assert lineage_of(pod(labels=labelled("gone")), StatefulSetTarget(None, known)) == Lineage("gone", 0)


def test_a_bare_pod_has_nothing_between() -> None:
    assert lineage_of(pod(), PodsTarget()) == Lineage()
