"""Update strategies that the releases we know do not have. On the embedded cluster alone, past what its API server accepts."""

from __future__ import annotations

from inplace.sim.objects.kinds import STATEFUL_SETS
from tests.scenarios.embedded_cluster import EmbeddedCluster
from tests.scenarios.manifests import service, statefulset
from tests.scenarios.scene import Scene


def test_a_stateful_set_that_recreates_all_pods_is_not_touched(stage: EmbeddedCluster) -> None:
    """`Recreate` (1.37, alpha: KEP-3541): a partition would hold nothing back."""
    scene = Scene(stage)
    scene.deploy(statefulset("db", scene.image("app:1"), replicas=3, parallel=True), service("db"), count=3)
    store = stage.cluster.store
    found = store.get(STATEFUL_SETS, scene.ns, "db")
    assert found is not None
    store.put(STATEFUL_SETS, {**found.obj, "spec": {**found.obj["spec"], "updateStrategy": {"type": "Recreate"}}})
    scene.remember()
    scene.check_refused(scene.inplace(*scene.command(target="sts/db", app="app:2")), 5, "sts/db has updateStrategy Recreate")
    assert scene.our_writes() == []
    scene.check_same_pods()
