"""The target by its name: what is found, and what helps where nothing is."""

from __future__ import annotations

import pytest

from inplace.model.refs import TargetRef
from inplace.runtime.errors import RefusedError
from inplace.runtime.lookup import crd_installed, require_namespace, resolve_target
from tests.simulation.simulated_cluster import SimulatedCluster

WEB = TargetRef("Deployment", "shop", "web")


@pytest.fixture
def cluster(world: SimulatedCluster) -> SimulatedCluster:
    world.deployment("web", "reg/app:1", replicas=2)
    world.scheduler.run_for(5)
    return world


def test_a_workload_is_found_with_its_selector_and_owner(cluster: SimulatedCluster) -> None:
    found = resolve_target(cluster.api, WEB)
    uid = cluster.request("GET", cluster.path("apps", "deployments", "web"))["metadata"]["uid"]
    assert (found.uid, found.selector) == (uid, "app=web")
    assert found.owner == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid}
    assert [name for name, entries in found.managed if entries] == [""]


def test_bare_pods_are_found_by_name_and_have_no_owner(cluster: SimulatedCluster) -> None:
    names = tuple(pod.name for pod in cluster.pods())
    found = resolve_target(cluster.api, TargetRef("Pods", "shop", "", pod_names=names[:1]))
    assert (found.uid, found.owner, [name for name, _ in found.managed]) == ("", None, [names[0]])


def test_a_name_that_is_nearly_right_is_proposed(cluster: SimulatedCluster) -> None:
    with pytest.raises(RefusedError, match=r"does not exist in namespace shop; did you mean deploy\w*/web\?"):
        resolve_target(cluster.api, TargetRef("Deployment", "shop", "wep"))


def test_a_namespace_that_does_not_exist_is_named(cluster: SimulatedCluster) -> None:
    with pytest.raises(RefusedError, match="namespace shpo does not exist"):
        resolve_target(cluster.api, TargetRef("Deployment", "shpo", "web"))
    require_namespace(cluster.api, "shop")


def test_a_workload_that_another_owns_is_refused(cluster: SimulatedCluster) -> None:
    (owned,) = cluster.request("GET", cluster.path("apps", "replicasets"))["items"]
    with pytest.raises(RefusedError, match="deploy"):
        resolve_target(cluster.api, TargetRef("ReplicaSet", "shop", owned["metadata"]["name"]))


def test_a_cluster_without_the_crd(cluster: SimulatedCluster) -> None:
    assert not crd_installed(cluster.api)
